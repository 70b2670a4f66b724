package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// shownEntries is how many sessions of one fact a line names.
const shownEntries = 3

// fact is the line for an encoded fact.
func (l look) fact(raw []byte) (string, error) {
	f, err := events.DecodeFact(raw)
	what := ""
	switch {
	case err == nil:
		what = l.what(f)
	case errors.Is(err, events.ErrUnknownType):
		what = word(f.Type) + ", which this roomctl does not know"
	default:
		return "", err
	}
	return fmt.Sprintf("%s %4d  %s", l.clock(f.Time), f.Sequence, what), nil
}

// clock is the time at the beginning of a line.
func (l look) clock(t events.Time) string {
	layout := "15:04:05.000"
	if l.dated {
		layout = "2006-01-02 " + layout
	}
	return l.paint(text.Faint, t.Time().In(l.zone).Format(layout))
}

// what says what happened.
func (l look) what(f *events.Fact) string {
	switch f.Type {
	case events.RoomCreated:
		line := "room created"
		if f.Info.RoomName != "" {
			line += fmt.Sprintf(" (%s)", printable(f.Info.RoomName))
		}
		if len(f.Joined) == 0 {
			return line + ", with nobody in it"
		}
		return fmt.Sprintf("%s, %s, %s", line, l.comings(f), members(f.Info.MemberCount))
	case events.MemberJoined:
		return fmt.Sprintf("%s, %s", l.comings(f), members(f.MemberCount))
	case events.MemberLeft:
		line := fmt.Sprintf("%s, %s", l.goings(f), members(f.MemberCount))
		if len(f.Deleted) > 0 {
			line += "; deleted " + words(f.Deleted)
		}
		return line
	case events.SessionJoined:
		return l.comings(f)
	case events.SessionLeft:
		return l.goings(f)
	case events.RoomAttributesChanged:
		return l.attributesChanged(f)
	case events.MemberAttributesChanged:
		return l.memberAttributesChanged(f)
	case events.RoomUpdated:
		return "room updated" + l.by(f.User) + ": " + rules(f.Name, f.Config)
	case events.MemberUpdated:
		return l.membersUpdated(f)
	case events.RoomAccessChanged:
		if line := l.accessChanged(f); line != "" {
			return line
		}
		line := "who may join: " + word(cmp.Or(f.Access, room.AccessOpen))
		if n := len(f.Allowed); n > 0 {
			line += fmt.Sprintf(", %d listed", n)
		}
		return line + l.by(f.User)
	case events.RoomDestroyed:
		return l.paint(text.FgRed, "room destroyed") + fmt.Sprintf(" (%s%s)", word(string(f.Reason)), l.by(f.Operator))
	}
	return "nothing changed; the room is still there"
}

func (l look) comings(f *events.Fact) string {
	clauses := make([]string, 0, len(f.Joined))
	for i := range f.Joined {
		j := &f.Joined[i]
		how := word(string(j.Via))
		if j.FromRoomID != "" {
			how += " from " + l.roomID(j.FromRoomID)
		}
		if j.Role == events.RoleHost {
			how += ", a host"
		}
		clauses = append(clauses, fmt.Sprintf("%s%s joined%s (%s)", l.user(j.UserID), name(j.UserID, j.UserName), l.session(f, j.SessionID), how))
	}
	return enumerate(clauses)
}

func (l look) goings(f *events.Fact) string {
	clauses := make([]string, 0, len(f.Left))
	for i := range f.Left {
		e := &f.Left[i]
		clauses = append(clauses, fmt.Sprintf("%s%s left%s%s", l.user(e.UserID), name(e.UserID, e.UserName), l.session(f, e.SessionID), l.why(e)))
	}
	return enumerate(clauses)
}

// name is what people call the user, if that says more than the ID.
func name(id, name string) string {
	if name == "" || name == id {
		return ""
	}
	return fmt.Sprintf(" %q", name)
}

// session distinguishes a further session from the member's only one.
func (l look) session(f *events.Fact, id string) string {
	switch {
	case f.Type == events.SessionJoined:
		return " with one more session, " + word(id)
	case f.Type == events.SessionLeft:
		return " with one session, " + word(id)
	case id != room.DefaultSession:
		return " as " + word(id)
	}
	return ""
}

// why is empty for somebody who just left.
func (l look) why(e *events.Left) string {
	reason := word(string(e.Reason))
	switch e.Reason {
	case events.ReasonLeft:
		return ""
	case events.ReasonSwitched:
		reason = "switched to " + l.roomID(e.ToRoomID)
	case events.ReasonDestroyed:
		reason = "room destroyed"
	}
	reason += l.by(e.Operator)
	if e.ReasonText != "" {
		reason += ": " + printable(e.ReasonText)
	}
	return " (" + reason + ")"
}

// by names the user who asked for it, if there is one.
func (l look) by(operator string) string {
	if operator == "" {
		return ""
	}
	return " by " + l.user(operator)
}

func enumerate(clauses []string) string {
	if more := len(clauses) - shownEntries; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(clauses[:shownEntries], ", "), more)
	}
	return strings.Join(clauses, ", ")
}
