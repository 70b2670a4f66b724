package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// shownValue is how much of a value a line shows, in characters.
const shownValue = 60

func (c *setCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{
		room.ErrRoomNotExist:     {"enter", c.Room},
		room.ErrUserNotInRoom:    {"enter", c.Room},
		room.ErrRevisionMismatch: {"attributes", c.Room},
		room.ErrAttributeCount:   {"attributes", c.Room},
		room.ErrAttributeTotal:   {"attributes", c.Room},
	}
	if s.As == "" {
		s.next[room.ErrRoomNotExist] = s.which()
	}
	reply, err := client.SetAttributes(ctx, room.SetAttributesRequest{
		Caller: s.caller(c.requestFlag), RoomID: c.Room, Set: c.Set, Delete: c.Delete,
		IsForce: c.Force, IsUpdateOwner: c.Own, IsDeleteAfterOwnerLeft: c.DeleteAfterLeft, IfRevision: c.IfRevision,
	})
	if err != nil {
		return err
	}
	done := func(keys []string) []string {
		return slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(reply.ErrorKeys, k) })
	}
	set, deleted := done(slices.Sorted(maps.Keys(c.Set))), done(slices.Compact(slices.Sorted(slices.Values(c.Delete))))
	if len(set) == 0 && len(deleted) == 0 {
		return s.undone(undoneError{fmt.Sprintf("nothing changed in %s: %s", word(c.Room), ofOthers(reply.ErrorKeys)), c.forced(s)})
	}
	return s.answer(nil, func(l look) string { return l.attributesSet(s.As, c.Room, set, deleted, reply) })
}

// forced is the hint to repeat the command so that it changes what belongs to others too;
// empty if one of its words would be taken for a flag.
func (c *setCmd) forced(s *session) string {
	args := []string{c.Room}
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		args = append(args, key+"="+c.Set[key])
	}
	if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-") }) {
		return ""
	}
	for _, key := range c.Delete {
		args = append(args, "--delete="+key)
	}
	return "try: " + s.typed(append([]string{"set"}, append(args, "--force")...)...)
}

// undone prints, for programs, the reply of a command that changed nothing, and returns why.
func (s *session) undone(why undoneError) error {
	if s.programs() {
		if err := s.answer(nil, nil); err != nil {
			return err
		}
	}
	return why
}

func ofOthers(keys []string) string {
	verb := "belong"
	if len(keys) == 1 {
		verb = "belongs"
	}
	return fmt.Sprintf("%s %s to somebody else", words(keys), verb)
}

// orServer is the user who set attributes; nobody is the server itself.
func (l look) orServer(user string) string {
	if user == "" {
		return "the server"
	}
	return l.user(user)
}

func (l look) attributesSet(user, roomID string, set, deleted []string, r *room.SetAttributesReply) string {
	var done []string
	if len(set) > 0 {
		done = append(done, "set "+words(set))
	}
	if len(deleted) > 0 {
		done = append(done, "deleted "+words(deleted))
	}
	line := fmt.Sprintf("%s %s in %s (sequence %d)", l.orServer(user), strings.Join(done, " and "), l.roomID(roomID), r.Sequence)
	if len(r.ErrorKeys) > 0 {
		line += "; unchanged: " + ofOthers(r.ErrorKeys)
	}
	return line
}

func (c *setMemberCmd) Run(ctx context.Context, s *session) error {
	client, err := s.actor()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: {"enter", c.Room}, room.ErrUserNotInRoom: {"enter", c.Room}, room.ErrMemberAttributeTotal: {"members", c.Room}}
	reply, err := client.SetMemberAttributes(ctx, room.SetMemberAttributesRequest{
		Caller: s.caller(c.requestFlag), RoomID: c.Room, UserIDs: c.User, Attributes: c.Set, IsDeleteAfterOwnerLeft: c.DeleteAfterLeft,
	})
	if err != nil {
		return err
	}
	if len(reply.Infos) == 0 {
		return s.undone(undoneError{"nothing changed: " + notServed(c.Room, reply.ErrorUserList), s.nextHint([]string{"members", c.Room})})
	}
	return s.answer(nil, func(l look) string {
		done := make([]string, len(reply.Infos))
		for i, info := range reply.Infos {
			done[i] = l.user(info.UserID)
		}
		line := fmt.Sprintf("%s set %s of %s in %s (sequence %d)", l.user(s.As), words(slices.Sorted(maps.Keys(c.Set))), strings.Join(done, ", "), l.roomID(c.Room), reply.Sequence)
		if len(reply.ErrorUserList) > 0 {
			line += "; " + notServed(c.Room, reply.ErrorUserList)
		}
		return line
	})
}

// notServed says for each user why nothing was done.
func notServed(roomID string, list []room.ErrorUser) string {
	clauses := make([]string, len(list))
	for i, e := range list {
		clauses[i] = fmt.Sprintf("%s: %s", word(e.UserID), word(e.Code))
		if e.Number == room.ErrUserNotInRoom.Number {
			clauses[i] = fmt.Sprintf("%s is not in %s", word(e.UserID), word(roomID))
		}
	}
	return strings.Join(clauses, ", ")
}

func (c *attributesCmd) Run(ctx context.Context, s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	s.next = map[*room.Code][]string{room.ErrRoomNotExist: s.which()}
	reply, err := client.Get(ctx, room.ReadRequest{Freshness: newest, RoomID: c.Room})
	return s.answer(err, func(l look) string { return l.attributes(reply) })
}

// attributes lists a room's attributes, and the revision with which to change them only if
// they are still as listed.
func (l look) attributes(r *room.GetReply) string {
	revision := fmt.Sprintf("(revision %d)", r.Revision)
	if len(r.Room.Attributes) == 0 {
		return fmt.Sprintf("%s has no attributes %s", l.roomID(r.Room.RoomID), revision)
	}
	t := l.table("attribute", "owner", "value")
	for _, key := range slices.Sorted(maps.Keys(r.Room.Attributes)) {
		owner := ""
		if id := r.Owners[key]; id != "" {
			owner = l.user(id)
		}
		t.AppendRow(table.Row{word(key), owner, printable(r.Room.Attributes[key])})
	}
	return render(t) + "\n" + revision
}

func (l look) attributesChanged(f *events.Fact) string {
	var done, who []string
	if len(f.Set) > 0 {
		done = append(done, "set "+pairs(f.Set))
	}
	if len(f.Delete) > 0 {
		done = append(done, "deleted "+words(f.Delete))
	}
	for _, c := range f.Changes {
		if id := l.orServer(c.UserID); !slices.Contains(who, id) {
			who = append(who, id)
		}
	}
	if len(who) == 0 {
		who = []string{l.orServer(f.User)}
	}
	return fmt.Sprintf("%s %s", enumerate(who), strings.Join(done, " and "))
}

func (l look) memberAttributesChanged(f *events.Fact) string {
	clauses := make([]string, len(f.Infos))
	for i, info := range f.Infos {
		clauses[i] = fmt.Sprintf("%s: %s", l.user(info.UserID), pairs(info.Attributes))
	}
	return fmt.Sprintf("%s set attributes of %s", l.user(f.User), enumerate(clauses))
}

// pairs shows as many attributes as a line has room for.
func pairs(attributes map[string]string) string {
	clauses := make([]string, 0, len(attributes))
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		clauses = append(clauses, word(key)+"="+value(attributes[key]))
	}
	return enumerate(clauses)
}

// value is quoted if it could be misread; an empty one shows as nothing.
func value(v string) string {
	if v == "" {
		return ""
	}
	if all := []rune(v); len(all) > shownValue {
		v = string(all[:shownValue]) + "…"
	}
	return word(v)
}

// words shows as many keys as a line has room for.
func words(keys []string) string {
	shown := make([]string, len(keys))
	for i, key := range keys {
		shown[i] = word(key)
	}
	return enumerate(shown)
}
