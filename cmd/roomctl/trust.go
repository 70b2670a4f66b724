package main

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Rules that hold for end users only, as remarks call them.
const (
	joining = "rules of who may join"
	roles   = "roles of hosts"
)

// trust is whom rules for end users hold for.
type trust int

const (
	trustsAll    trust = iota // nobody: the server lets everybody act as a back end
	trustsLetIn               // only users whom the server itself confines: the service was not told that there are end users
	trustsNoUser              // end users
	trustUnknown              // this connection may not ask
)

// What the metadata of the journal's stream says: whose it is, and whether end users connect as
// themselves, which holds for all instances.
const (
	metaJournal = "natsrooms-journal"
	metaFeeds   = "natsrooms-feeds"
)

// trust finds out. An end user asks where it hears the room, and others ask the stream.
func (s *session) trust(ctx context.Context, roomID string) trust {
	if !s.nc.AuthRequired() {
		return trustsAll
	}
	ctx, give := context.WithTimeout(ctx, s.Timeout)
	defer give()
	s.forbidden.Store(&give)
	defer s.forbidden.Store(nil)
	ask := s.askStream
	if s.userForm {
		ask = func(ctx context.Context) (bool, error) { return s.askRoom(ctx, roomID) }
	}
	switch known, err := ask(ctx); {
	case err != nil:
		return trustUnknown
	case known:
		return trustsNoUser
	}
	return trustsLetIn
}

// askStream says whether end users connect as themselves.
func (s *session) askStream(ctx context.Context) (bool, error) {
	js, err := s.jetStream()
	if err != nil {
		return false, err
	}
	stream, err := js.Stream(ctx, subjects.StreamRooms)
	if err != nil {
		return false, err
	}
	said := stream.CachedInfo().Config.Metadata
	if said[metaJournal] == "" {
		return false, jetstream.ErrStreamNotFound // it is somebody else's
	}
	return said[metaFeeds] != "" && said[metaFeeds] != "0", nil
}

// askRoom says the same to an end user: where end users connect as themselves, they hear no
// subject that all rooms' facts are on.
func (s *session) askRoom(ctx context.Context, roomID string) (bool, error) {
	c := client.New(s.nc, client.Config{UserID: s.As, UserForm: true, SessionID: s.Session, Timeout: s.Timeout, Once: true})
	reply, err := c.Get(ctx, room.ReadRequest{RoomID: roomID})
	if err != nil {
		return false, err
	}
	return !slices.Contains(reply.Subscribe, subjects.Facts(subjects.Room(roomID))), nil
}

// trusting says which of a room's rules hold for end users only, where users are not held to them.
func (s *session) trusting(ctx context.Context, roomID string, rules []string) {
	if len(rules) == 0 || s.programs() {
		return
	}
	switch s.trust(ctx, roomID) {
	case trustsAll:
		s.remark("this server trusts everybody who connects, and %s hold for end users only; roomd --auth jwt lets users in as such", strings.Join(rules, " and "))
	case trustsLetIn:
		var parts []string
		others := slices.DeleteFunc(slices.Clone(rules), func(rule string) bool { return rule == joining })
		if len(others) > 0 {
			parts = append(parts, strings.Join(others, " and ")+" hold only for connections that the NATS server confines to one user's commands")
		}
		if len(others) < len(rules) {
			parts = append(parts, joining+" hold for nobody")
		}
		s.remark("this service has neither --auth nor --feeds, so %s; roomd --auth jwt lets users in as such", strings.Join(parts, ", and "))
	case trustUnknown:
		s.remark("%s hold for end users only, and this connection may not ask whether the service knows any", strings.Join(rules, " and "))
	}
}

// blocking says what the block of a user, or of its tokens, does not keep it from, where users
// are not held to that.
func (s *session) blocking(ctx context.Context, user string, tokens bool) {
	if s.programs() {
		return
	}
	switch now := s.trust(ctx, ""); {
	case now == trustUnknown:
		s.remark("a block keeps out users whom the service knows, and this connection may not ask whether it knows any")
	case now == trustsNoUser:
	case tokens:
		s.remark("this service lets nobody in by a token, so refusing one changes nothing; roomd --auth jwt lets users in by tokens")
	case now == trustsAll:
		s.remark("this server trusts everybody who connects: %s cannot come into a room, but anybody may act under another ID, or unblock it; roomd --auth jwt lets users in as such", word(user))
	default:
		s.remark("this service has neither --auth nor --feeds: %s cannot come into a room, but whom the NATS server does not confine to one user's commands may act under another ID, or unblock it; roomd --auth jwt lets users in as such", word(user))
	}
}
