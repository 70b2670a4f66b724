package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

func (c *updateCmd) Run(ctx context.Context, s *session) error {
	config := c.config()
	if c.Name == nil && config == nil {
		return usageError{errors.New("nothing is to change; give --name or one of the other flags")}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.Update(ctx, room.UpdateRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, RoomName: c.Name, Config: config})
	if err == nil {
		s.trusting(ctx, c.Room, chosen(c.Speakers, c.Attributes, "", c.Hosts))
	}
	return s.answer(err, func(l look) string {
		return fmt.Sprintf("%s is now as follows (sequence %d): %s", l.roomID(c.Room), reply.Sequence, rules(reply.RoomName, &reply.Config))
	})
}

func (c *updateMemberCmd) Run(ctx context.Context, s *session) error {
	info := jsontext.Value(c.Info)
	switch {
	case c.Info == "" && s.UserName == "":
		return usageError{errors.New("nothing is to change; give --user-name or --info")}
	case c.Info != "" && !info.IsValid():
		return usageError{fmt.Errorf("--info is %s, which is not JSON", word(c.Info))}
	}
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: {"enter", c.Room}, room.ErrUserNotInRoom: {"enter", c.Room}}
	q := room.RoomRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room}
	if c.Info != "" {
		q.UserInfo = info
	}
	reply, err := client.UpdateMember(ctx, q)
	return s.answer(err, func(l look) string {
		line := fmt.Sprintf("%s%s is in %s", l.user(s.As), name(s.As, reply.Member.UserName), l.roomID(c.Room))
		if len(reply.Member.UserInfo) > 0 {
			line += " with the info " + printable(string(reply.Member.UserInfo))
		}
		return fmt.Sprintf("%s (sequence %d)", line, reply.Sequence)
	})
}

func (c *setRoleCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.SetRole(ctx, room.SetRoleRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, UserIDs: c.Users, Role: c.Role})
	if err != nil {
		return err
	}
	if len(reply.UserIDs) == 0 {
		return s.undone(undoneError{"nothing changed: " + notServed(c.Room, reply.ErrorUserList), s.nextHint([]string{"members", c.Room})})
	}
	s.trusting(ctx, c.Room, []string{roles})
	return s.answer(nil, func(l look) string {
		line := fmt.Sprintf("%s in %s (sequence %d)", l.are(reply.UserIDs, events.Role(c.Role)), l.roomID(c.Room), reply.Sequence)
		if len(reply.ErrorUserList) > 0 {
			line += "; " + notServed(c.Room, reply.ErrorUserList)
		}
		return line
	})
}

func (c *banCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*client.Client).Ban, "banned", "bans")
}

func (c *muteCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*client.Client).Mute, "muted", "mutes")
}

// run bans or mutes.
func (c *restrictFlags) run(ctx context.Context, s *session, do func(*client.Client, context.Context, room.RestrictRequest) (*room.RestrictedReply, error), done, such string) error {
	if c.For < 0 || c.For%time.Second != 0 {
		return usageError{fmt.Errorf("--for is %s; it must be whole seconds", c.For)}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := do(client, ctx, room.RestrictRequest{
		Caller: s.caller(c.requestFlag), RoomID: c.Room, UserIDs: c.Users, Seconds: int64(c.For / time.Second), Reason: c.Reason,
	})
	if err == nil {
		s.trusting(ctx, c.Room, []string{such})
	}
	return s.answer(err, func(l look) string {
		return fmt.Sprintf("%s %s in %s %s (sequence %d)", done, l.users(reply.UserIDs), l.roomID(c.Room), l.until(reply.Until), reply.Sequence)
	})
}

func (c *unbanCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*client.Client).Unban, "may come in again")
}

func (c *unmuteCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*client.Client).Unmute, "may send again")
}

// run takes back a ban or a mute.
func (c *liftFlags) run(ctx context.Context, s *session, do func(*client.Client, context.Context, room.LiftRequest) (*room.RestrictedReply, error), may string) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := do(client, ctx, room.LiftRequest{Caller: s.caller(c.requestFlag), RoomID: c.Room, UserIDs: c.Users})
	return s.answer(err, func(l look) string {
		return fmt.Sprintf("%s: %s %s (sequence %d)", l.roomID(c.Room), l.users(reply.UserIDs), may, reply.Sequence)
	})
}

// show says who may join and send, and who runs the room.
func (c *accessCmd) show(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.Get(ctx, room.ReadRequest{Freshness: newest, RoomID: c.Room})
	if err != nil {
		return err
	}
	members, _, err := s.everybody(ctx, client, room.MembersRequest{Freshness: newest, RoomID: c.Room})
	if err == nil {
		s.trusting(ctx, c.Room, bounds(reply))
	}
	if err != nil || !s.programs() {
		return s.answer(err, func(l look) string { return l.standing(reply, members) })
	}
	whole, err := fieldsOf(s.replies[0])
	if err != nil {
		return err
	}
	hosts, err := json.Marshal(hostsOf(members))
	if err != nil {
		return err
	}
	doc, err := append(whole, field{"hosts", hosts}).object()
	if err != nil {
		return err
	}
	return s.line(doc)
}

// chosen is which of the rules that hold for end users only a room is given.
func chosen(speakers, attributes, access, hosts string) (rules []string) {
	if access == room.AccessListed || access == room.AccessToken {
		rules = append(rules, joining)
	}
	if speakers == room.SpeakersHosts {
		rules = append(rules, "rules of who may send")
	}
	if attributes == room.AttributesOwned {
		rules = append(rules, "owners of attributes")
	}
	if hosts == room.HostsCreator {
		rules = append(rules, roles)
	}
	return rules
}

// bounds is which of such rules a room has.
func bounds(r *room.GetReply) []string {
	rules := chosen(r.Room.Config.Speakers, r.Room.Config.Attributes, r.Room.Config.Access, r.Room.Config.Hosts)
	if len(r.Bans) > 0 {
		rules = append(rules, "bans")
	}
	if len(r.Mutes) > 0 {
		rules = append(rules, "mutes")
	}
	return rules
}

// standing is who may join and send, and who runs the room, one property per line.
func (l look) standing(r *room.GetReply, members []room.MemberInfo) string {
	c := &r.Room.Config
	t := l.table()
	add := l.adder(t)
	add("room", l.roomID(r.Room.RoomID))
	add("end users who may join", mayJoin(c))
	add("end users who may send", maySend(c))
	if hosts := hostsOf(members); len(hosts) > 0 {
		add("hosts who are in", l.users(hosts))
	}
	if c.Hosts == room.HostsCreator {
		add("always a host", "its creator, "+l.user(r.Room.CreatedBy))
	}
	l.restrictions(add, r)
	return render(t)
}

// hostsOf is which members are hosts.
func hostsOf(members []room.MemberInfo) []string {
	hosts := []string{}
	for _, m := range members {
		if m.Role == events.RoleHost {
			hosts = append(hosts, m.UserID)
		}
	}
	return hosts
}

func mayJoin(c *events.Config) string {
	switch c.Access {
	case room.AccessListed:
		if len(c.AllowedUsers) == 0 {
			return "users on its list, which is empty"
		}
		return "users on its list: " + words(c.AllowedUsers)
	case room.AccessToken:
		return "users with a token that names it"
	}
	return "everybody"
}

func maySend(c *events.Config) string {
	if c.Speakers == room.SpeakersHosts {
		return "hosts"
	}
	return "everybody"
}

// adder adds a property to a table.
func (l look) adder(t *grid) func(string, any) {
	return func(name string, value any) { t.AppendRow(table.Row{l.bold(name), value}) }
}

// restrictions adds bans and mutes.
func (l look) restrictions(add func(string, any), r *room.GetReply) {
	for _, list := range []struct {
		what  string
		users []events.Restriction
	}{{"banned", r.Bans}, {"muted", r.Mutes}} {
		for _, x := range list.users {
			add(list.what+" "+word(x.UserID), l.term(&x))
		}
	}
	if r.More {
		add("banned or muted", "more users than are listed here")
	}
}

// until says how long a ban or a mute lasts.
func (l look) until(t events.Time) string {
	if t == 0 {
		return "as long as the room exists"
	}
	return "until " + l.time(t)
}

// term says how long, and why.
func (l look) term(x *events.Restriction) string {
	if x.Reason == "" {
		return l.until(x.Until)
	}
	return l.until(x.Until) + ": " + printable(x.Reason)
}

// users lists users, as many as a line has room for.
func (l look) users(ids []string) string {
	shown := make([]string, len(ids))
	for i, id := range ids {
		shown[i] = l.user(id)
	}
	return enumerate(shown)
}

// are says what users are now.
func (l look) are(ids []string, role events.Role) string {
	one, many := "is a member like others now", "are members like others now"
	if role == events.RoleHost {
		one, many = "is a host now", "are hosts now"
	}
	if len(ids) == 1 {
		return l.user(ids[0]) + " " + one
	}
	return l.users(ids) + " " + many
}

// rules says what is not as usual about a room.
func rules(name string, c *events.Config) string {
	var list []string
	add := func(is bool, format string, args ...any) {
		if is {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(name != "", "its name is %q", name)
	add(c.MaxMembers > 0, "at most %s", members(c.MaxMembers))
	add(c.RoomDestroyDelayTime > 0, "it outlives its last member by %v", time.Duration(c.RoomDestroyDelayTime)*time.Second)
	add(c.HistoryForJoiners != nil && !*c.HistoryForJoiners, "who joins does not read what was said before")
	add(c.Attributes == room.AttributesOwned, "only owners and hosts change attributes")
	add(c.Speakers == room.SpeakersHosts, "only hosts send")
	add(c.Hosts == room.HostsCreator, "its creator is a host")
	if len(list) == 0 {
		return "no name, and all rules as usual"
	}
	return strings.Join(list, ", ")
}

// accessChanged says what a fact about who may join or send changes.
func (l look) accessChanged(f *events.Fact) string {
	var clauses []string
	for _, list := range []struct {
		users        []events.Restriction
		done, lifted string
	}{{f.Bans, "banned", "may come in again"}, {f.Mutes, "muted", "may send again"}} {
		for _, x := range list.users {
			if x.Lifted {
				clauses = append(clauses, l.user(x.UserID)+" "+list.lifted)
			} else {
				clauses = append(clauses, fmt.Sprintf("%s is %s %s", l.user(x.UserID), list.done, l.term(&x)))
			}
		}
	}
	if len(clauses) == 0 {
		return ""
	}
	return enumerate(clauses) + l.asked(f.User)
}

// asked names who asked for what a whole line says, if somebody did.
func (l look) asked(user string) string {
	if user == "" {
		return ""
	}
	return " (by " + l.user(user) + ")"
}

// membersUpdated says what is new about members.
func (l look) membersUpdated(f *events.Fact) string {
	var clauses []string
	for i := range f.Updates {
		u := &f.Updates[i]
		if u.Role != "" {
			clauses = append(clauses, l.are([]string{u.UserID}, u.Role))
		}
		if u.UserName != "" {
			clauses = append(clauses, fmt.Sprintf("%s is called %q now", l.user(u.UserID), printable(u.UserName)))
		}
		if len(u.UserInfo) > 0 {
			clauses = append(clauses, l.user(u.UserID)+" has a new info")
		}
	}
	return enumerate(clauses) + l.asked(f.User)
}
