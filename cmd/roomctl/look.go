package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// look is how results are shown to people.
type look struct {
	colours bool
	dated   bool // lines begin with the date
	width   int  // of the terminal in characters; 0: no limit
	zone    *time.Location
}

// lookOf is the look for a writer: with colours only if it is a terminal and NO_COLOR
// is not set, and as wide as that.
func lookOf(w io.Writer) look {
	l := look{colours: isTerminal(w) && os.Getenv("NO_COLOR") == "", zone: time.Local}
	if screen, ok := w.(interface{ Width() int }); ok {
		l.width = screen.Width()
	} else if f, ok := w.(*os.File); ok {
		if wide, _, err := term.GetSize(int(f.Fd())); err == nil {
			l.width = wide
		}
	}
	return l
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (l look) paint(c text.Color, s string) string {
	if !l.colours {
		return s
	}
	return c.Sprint(s)
}

func (l look) bold(s string) string { return l.paint(text.Bold, s) }

func (l look) user(id string) string   { return l.paint(text.FgCyan, word(id)) }
func (l look) roomID(id string) string { return l.paint(text.FgGreen, word(id)) }
func (l look) time(t events.Time) string {
	if t == 0 {
		return ""
	}
	return t.Time().In(l.zone).Format(time.DateTime)
}

// word shows an ID: quoted if it could be misread, or could make the terminal do
// something.
func word(id string) string {
	if id == "" || strings.ContainsFunc(id, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' || r == unicode.ReplacementChar
	}) {
		return strconv.Quote(id)
	}
	return id
}

// printable shows text that came from elsewhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func members(n int) string { return count(n, "member", "members") }

func size(n int, sequence uint64) string {
	return fmt.Sprintf("(%s, sequence %d)", members(n), sequence)
}

func (l look) created(user string, r *room.JoinedReply) string {
	if user == "" {
		return fmt.Sprintf("created %s, with nobody in it (sequence %d)", l.roomID(r.Room.RoomID), r.Sequence)
	}
	return fmt.Sprintf("%s created %s and is in it %s%s", l.user(user), l.roomID(r.Room.RoomID), size(r.Room.MemberCount, r.Sequence), lasting(r))
}

func (l look) joined(user string, r *room.JoinedReply) string {
	if r.Created != nil && *r.Created {
		return l.created(user, r)
	}
	return fmt.Sprintf("%s is in %s %s%s", l.user(user), l.roomID(r.Room.RoomID), size(r.Room.MemberCount, r.Sequence), lasting(r))
}

// lasting says how long a session that has a lease stays.
func lasting(r *room.JoinedReply) string {
	if r.LeaseSeconds == 0 {
		return ""
	}
	return fmt.Sprintf(" for %d s; each command renews it", r.LeaseSeconds)
}

func (l look) switched(user string, r *room.JoinedReply) string {
	from := ""
	if r.Left != nil {
		from = fmt.Sprintf("left %s and ", l.roomID(r.Left.RoomID))
	}
	what := "is in"
	if r.Created != nil && *r.Created {
		what = "is in the new room"
	}
	return fmt.Sprintf("%s %s%s %s %s%s", l.user(user), from, what, l.roomID(r.Room.RoomID), size(r.Room.MemberCount, r.Sequence), lasting(r))
}

func (l look) left(user string, r *room.LeftReply) string {
	return fmt.Sprintf("%s left %s (sequence %d)", l.user(user), l.roomID(r.RoomID), r.Sequence)
}

func (l look) leftAll(user string, rooms []string) string {
	if len(rooms) == 0 {
		return l.user(user) + " was in no room"
	}
	ids := make([]string, len(rooms))
	for i, id := range rooms {
		ids[i] = l.roomID(id)
	}
	return fmt.Sprintf("%s left %s", l.user(user), strings.Join(ids, ", "))
}

func (l look) kicked(roomID string, r *room.KickReply) string {
	out := make([]string, len(r.Kicked))
	for i, id := range r.Kicked {
		out[i] = l.user(id)
	}
	line := fmt.Sprintf("kicked %s out of %s", strings.Join(out, ", "), l.roomID(roomID))
	if len(r.ErrorUserList) > 0 {
		line += "; " + notServed(roomID, r.ErrorUserList)
	}
	return line
}

func (l look) access(roomID string, c *events.Config) string {
	line := l.roomID(roomID) + ": "
	switch c.Access {
	case room.AccessListed:
		line += "only users on its list may join"
	case room.AccessToken:
		line += "only users with a token that names it may join"
	default:
		return line + "everybody may join"
	}
	if len(c.AllowedUsers) > 0 && c.Access == room.AccessListed {
		line += ": " + words(c.AllowedUsers)
	}
	return line
}

// room describes one room, one property per line.
func (l look) room(reply *room.GetReply) string {
	r, t := &reply.Room, l.table()
	add := l.adder(t)
	add("room", l.roomID(r.RoomID))
	if r.RoomName != "" {
		add("name", printable(r.RoomName))
	}
	limit := ""
	if r.Config.MaxMembers > 0 {
		limit = fmt.Sprintf(" of %d", r.Config.MaxMembers)
	}
	add("members", strconv.Itoa(r.MemberCount)+limit)
	add("sequence", r.Sequence)
	created := l.time(r.CreatedAt)
	if r.CreatedBy != "" {
		created += " by " + l.user(r.CreatedBy)
	}
	add("created", created)
	l.config(add, r)
	for _, key := range slices.Sorted(maps.Keys(r.Attributes)) {
		value := printable(r.Attributes[key])
		if owner := reply.Owners[key]; owner != "" {
			value += " (owner " + l.user(owner) + ")"
		}
		add("attribute "+word(key), value)
	}
	l.restrictions(add, reply)
	return render(t)
}

// config adds how long a room lasts, and those of its rules that are not as usual.
func (l look) config(add func(string, any), r *events.Room) {
	c := &r.Config
	if c.RoomDestroyDelayTime > 0 {
		add("outlives its last member by", time.Duration(c.RoomDestroyDelayTime)*time.Second)
	}
	if r.DestroyAt != 0 {
		add("destroyed if nobody joins by", l.time(r.DestroyAt))
	}
	if c.Delivery == room.DeliveryOpen {
		add("heard by", "everybody who is connected")
	}
	if c.HistoryForJoiners != nil && !*c.HistoryForJoiners {
		add("messages of before", "not for those who join")
	}
	if c.Access == room.AccessListed || c.Access == room.AccessToken {
		add("end users who may join", mayJoin(c))
	}
	if c.Speakers == room.SpeakersHosts {
		add("end users who may send", maySend(c))
	}
	if c.Hosts == room.HostsCreator {
		add("always a host", "its creator")
	}
	if c.Attributes == room.AttributesOwned {
		add("attributes of others", "only hosts may change them")
	}
}

func (l look) rooms(prefix string, list []events.Room) string {
	if len(list) == 0 {
		if prefix != "" {
			return "there is no room whose ID starts with " + word(prefix)
		}
		return "there is no room"
	}
	t := l.table("room", "name", "members", "sequence", "created")
	for _, r := range list {
		t.AppendRow(table.Row{l.roomID(r.RoomID), printable(r.RoomName), r.MemberCount, r.Sequence, l.time(r.CreatedAt)})
	}
	return render(t)
}

func (l look) members(id string, list []room.MemberInfo) string {
	if len(list) == 0 {
		return "nobody is in " + l.roomID(id)
	}
	t := l.table("user", "name", "joined", "sessions", "role", "attributes")
	for _, m := range list {
		sessions := make([]string, len(m.Sessions))
		for i, s := range m.Sessions {
			sessions[i] = word(s.SessionID)
		}
		t.AppendRow(table.Row{l.user(m.UserID), printable(m.UserName), l.time(m.JoinedAt), strings.Join(sessions, ", "), printable(string(m.Role)), pairs(m.Attributes)})
	}
	return render(t)
}

// instances lists the rooms that there were under one ID.
func (l look) instances(list []room.Instance) string {
	t := l.table("instance", "name", "created", "ended", "why", "sequence")
	for _, i := range list {
		t.AppendRow(table.Row{i.InstanceID, printable(i.RoomName), l.time(i.CreatedAt), l.time(i.EndedAt), i.Reason, i.Sequence})
	}
	return render(t)
}

// heads lists the rooms of one user.
func (l look) heads(user string, list []room.RoomHead) string {
	if len(list) == 0 {
		return l.user(user) + " is in no room"
	}
	t := l.table("room", "sequence")
	for _, r := range list {
		t.AppendRow(table.Row{l.roomID(r.RoomID), r.Sequence})
	}
	return render(t)
}
