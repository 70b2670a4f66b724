package roomsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// beside starts another instance on the connection's server.
func beside(t *testing.T, nc *nats.Conn, cfg Config) *Service {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	own, err := nats.Connect(nc.ConnectedUrl(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	s, err := New(ctx, own, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// story is what the facts of the journal say, in order.
func (s *Service) story(t *testing.T) (lines []string, facts []*events.Fact) {
	t.Helper()
	if err := s.sync.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	reader := s.journal.Reader(subjects.FactsPattern)
	err := reader.Read(t.Context(), 1, func(_ uint64, data []byte) bool {
		f, err := events.DecodeFact(data)
		if err != nil {
			t.Fatal(err)
		}
		facts = append(facts, f)
		for _, j := range f.Joined {
			lines = append(lines, fmt.Sprintf("%s %s/%s in %s", strings.TrimSuffix(strings.TrimPrefix(f.Type, events.TypePrefix), ".v1"), j.UserID, j.SessionID, f.Room))
		}
		for _, l := range f.Left {
			lines = append(lines, fmt.Sprintf("%s %s/%s in %s %s", strings.TrimSuffix(strings.TrimPrefix(f.Type, events.TypePrefix), ".v1"), l.UserID, l.SessionID, f.Room, l.Reason))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, facts
}

// tellsOf keeps what is said about one user.
func tellsOf(lines []string, user string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, " "+user+"/") })
}

func seconds(n int) *int { return &n }

// mark ends a lease in the bucket and does nothing else, like a leader that dies just then.
func (s *Service) mark(t *testing.T, user string) leases.Ending {
	t.Helper()
	id := leases.Session{User: subjects.User(user), ID: room.DefaultSession}
	if _, err := s.leases.Still(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	known := s.leases.Of(id)
	if !known.Live {
		t.Fatalf("%s has no lease: %+v", user, known)
	}
	ended := s.leases.End(t.Context(), []leases.Ending{{Session: id, At: known.EndAt, Seq: known.Seq}})
	if len(ended) != 1 {
		t.Fatalf("the lease of %s is not ended", user)
	}
	return ended[0]
}

// expired has a lease ended and its session removed from its rooms, as the leader does, and
// returns when the session is out.
func (s *Service) expired(t *testing.T, e leases.Ending) {
	t.Helper()
	done, _ := s.expiry.Expire(t.Context(), []leases.Ending{e})
	for _, out := range done {
		<-out
	}
}

// succeeded stops an instance that leads, and returns when the next one has removed the
// sessions that it finds in the rooms after their leases ended. One such session, of the user
// ghost, is in each of the rooms, so that a fact shows that the next leader has looked there.
func succeeded(t *testing.T, s, next *Service, c *client.Client, ids ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for _, id := range ids {
		if _, err := c.Join(ctx, room.RoomRequest{Caller: room.Caller{UserID: "ghost", LeaseSeconds: seconds(60)}, RoomID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sync.Pass(ctx); err != nil {
		t.Fatal(err)
	}
	s.mark(t, "ghost")
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	out := func(id string) string { return "member.left ghost/default in " + id + " expired" }
	got, ok := next.awaitFacts(t, "ghost", func(got []string) bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(got, out(id)) })
	})
	if !ok || len(got) != 2*len(ids) {
		t.Errorf("the facts say %q about the ghost", got)
	}
}

// A lease has ended, and nobody has removed its session from its rooms yet. The session may
// join again at once, through any instance: what is left of it is removed first, and once.
// The next leader, which looks at everything, does not remove it either.
func TestJoinAgainAfterTheEnd(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(map[bool]string{false: "the same instance", true: "another one"}[other], func(t *testing.T) {
			s, nc := inside(t, Config{Instance: "first"})
			answers := s
			if other { // s marks, the other instance answers
				answers = beside(t, nc, Config{Instance: "second"})
				s.mu.Lock()
				s.endpoints.Stop(t.Context())
				s.mu.Unlock()
			}
			c := client.New(nc, client.Config{})
			ctx := t.Context()
			keep := &room.RoomConfig{RoomDestroyDelayTime: 600}
			if _, err := c.Create(ctx, room.CreateRequest{RoomID: "target", Config: keep}); err != nil {
				t.Fatal(err)
			}
			as := func(user string) room.Caller { return room.Caller{UserID: user, LeaseSeconds: seconds(60)} }
			rooms, stories := map[string]string{}, map[string][]string{} // of each user, at the end
			for verb, again := range map[string]func(user string) error{
				"join": func(u string) error {
					_, err := c.Join(ctx, room.RoomRequest{Caller: as(u), RoomID: "old-" + u})
					return err
				},
				"enter": func(u string) error {
					_, err := c.Enter(ctx, room.CreateRequest{Caller: as(u), RoomID: "old-" + u})
					return err
				},
				"create": func(u string) error {
					_, err := c.Create(ctx, room.CreateRequest{Caller: as(u), RoomID: "new-" + u})
					return err
				},
				"switch": func(u string) error {
					_, err := c.Switch(ctx, room.SwitchRequest{Caller: as(u), FromRoomID: "old-" + u, ToRoomInfo: room.RoomInfo{RoomID: "target"}})
					if !errors.Is(err, room.ErrUserNotInRoom) {
						return fmt.Errorf("a switch from a room it is no longer in: %w", err)
					}
					_, err = c.Join(ctx, room.RoomRequest{Caller: as(u), RoomID: "target"})
					return err
				},
			} {
				user := verb + "er"
				if _, err := c.Enter(ctx, room.CreateRequest{Caller: as(user), RoomID: "old-" + user, Config: keep}); err != nil {
					t.Fatal(err)
				}
				if err := s.sync.Pass(ctx); err != nil {
					t.Fatal(err)
				}
				e := s.mark(t, user)
				if _, err := answers.leases.Still(ctx, nil); err != nil { // it has heard of the mark
					t.Fatal(err)
				}
				if err := again(user); err != nil {
					t.Errorf("%s: %v", verb, err)
				}
				// The leader that marked it goes on, and looks once more.
				s.expired(t, e)
				s.expired(t, e)
				in := map[string]string{"join": "old-" + user, "enter": "old-" + user, "create": "new-" + user, "switch": "target"}[verb]
				typ := "member.joined"
				if verb == "create" {
					typ = "room.created"
				}
				lines, facts := s.story(t)
				want := []string{"room.created " + user + "/default in old-" + user, "member.left " + user + "/default in old-" + user + " expired", typ + " " + user + "/default in " + in}
				rooms[user], stories[user] = in, want
				if got := tellsOf(lines, user); !slices.Equal(got, want) {
					t.Errorf("%s: %q\nwant %q", verb, got, want)
				}
				for _, f := range facts {
					for _, l := range f.Left {
						// The lease was ended early, so the session left now.
						if l.UserID == user && (l.LeftAt > e.At || l.LeftAt > f.Time) {
							t.Errorf("%s left at %v, its lease ended at %v, by a fact of %v", user, l.LeftAt, e.At, f.Time)
						}
					}
				}
				if r, err := c.Renew(ctx, room.RenewRequest{Caller: room.Caller{UserID: user}}); err != nil || len(r.Rooms) != 1 || r.ExpiresAt == 0 {
					t.Errorf("%s: %+v, %v", verb, r, err)
				}
			}
			next := answers
			if !other {
				next = beside(t, nc, Config{Instance: "next"})
			}
			succeeded(t, s, next, c, slices.Sorted(maps.Values(rooms))...)
			lines, _ := next.story(t)
			for user, want := range stories {
				if got := tellsOf(lines, user); !slices.Equal(got, want) {
					t.Errorf("%s, after the next leader's look: %q\nwant %q", user, got, want)
				}
			}
		})
	}
}

// After its end a session sends many commands at once: each is done, the session is in each
// room once, and was removed once.
func TestManyEnterAgainAtOnce(t *testing.T) {
	s, nc := inside(t, Config{Instance: "first"})
	second := beside(t, nc, Config{Instance: "second"})
	c := client.New(nc, client.Config{})
	ctx := t.Context()
	check := func(s *Service, user string) {
		t.Helper()
		lines, _ := s.story(t)
		count := map[string]int{}
		for _, l := range tellsOf(lines, user) {
			_, what, _ := strings.Cut(l, "/")
			count[what]++
		}
		if count["default in lobby"] != 2 || count["default in lobby expired"] != 1 || count["default in side"] != 1 || len(count) != 3 {
			t.Errorf("%s: %v", user, count)
		}
	}
	for i := range 10 {
		user := fmt.Sprintf("u%d", i)
		enter := func(id string) error {
			_, err := c.Enter(ctx, room.CreateRequest{Caller: room.Caller{UserID: user, LeaseSeconds: seconds(60)}, RoomID: id, Config: &room.RoomConfig{RoomDestroyDelayTime: 600}})
			return err
		}
		if err := enter("lobby"); err != nil {
			t.Fatal(err)
		}
		if err := s.sync.Pass(ctx); err != nil {
			t.Fatal(err)
		}
		e := s.mark(t, user)
		if _, err := second.leases.Still(ctx, nil); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		for n := range 8 {
			go func() { errs <- enter([]string{"lobby", "side"}[n%2]) }()
		}
		s.expired(t, e)
		for range 8 {
			if err := <-errs; err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
		check(s, user)
	}
	succeeded(t, s, second, c, "lobby", "side")
	for i := range 10 {
		check(second, fmt.Sprintf("u%d", i))
	}
}

// A lease that was found to be over is not ended if a renewal comes first.
func TestJudgedBeforeARenewal(t *testing.T) {
	s, nc := inside(t, Config{})
	c := client.New(nc, client.Config{})
	ctx := t.Context()
	caller := room.Caller{UserID: "alice", LeaseSeconds: seconds(60)}
	if _, err := c.Enter(ctx, room.CreateRequest{Caller: caller, RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	id := leases.Session{User: "alice", ID: room.DefaultSession}
	known := s.leases.Of(id)
	caller.LeaseSeconds = seconds(90) // another length, so that it is stored
	if _, err := c.Renew(ctx, room.RenewRequest{Caller: caller}); err != nil {
		t.Fatal(err)
	}
	list := []leases.Ending{{Session: id, At: known.EndAt, Seq: known.Seq}, {Session: id}}
	if ended := s.leases.End(ctx, list); len(ended) != 0 {
		t.Errorf("%+v", ended)
	}
	if r, err := c.Renew(ctx, room.RenewRequest{Caller: caller}); err != nil || len(r.Rooms) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A renewal is judged while the lease lives, and stored when another instance has ended the
// lease: one of the two counts, never both.
func TestEndedAfterTheJudgement(t *testing.T) {
	s, nc := inside(t, Config{})
	next := beside(t, nc, Config{})
	rounds := 300
	if os.Getenv("NATSROOMS_LONG") != "" {
		rounds = 4000
	}
	for i := range rounds {
		id := leases.Session{User: "alice", ID: fmt.Sprint("s", i)}
		touch := func(n int) leases.Grant {
			told := make(chan leases.Grant, 1)
			s.leases.Touch(id, leases.Ask{Seconds: seconds(n)}, time.Now().Add(patient), func(g leases.Grant, err error) {
				if err != nil {
					t.Error(err)
				}
				told <- g
			})
			return <-told
		}
		touch(60)
		if _, err := next.leases.Still(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		known := next.leases.Of(id)
		ended := make(chan []leases.Ending, 1)
		go func() {
			ended <- next.leases.End(t.Context(), []leases.Ending{{Session: id, At: known.EndAt, Seq: known.Seq}})
		}()
		for range rand.N(2000) { // about as long as that takes
			runtime.Gosched()
		}
		if g, list := touch(90), <-ended; g.Ended != (len(list) == 1) {
			t.Fatalf("round %d: %+v is granted, %+v is ended", i, g, list)
		}
	}
}

// awaitStory waits until the facts say what is wanted about a user.
func awaitStory(t *testing.T, s *Service, user string, want []string) {
	t.Helper()
	got, ok := s.awaitFacts(t, user, func(got []string) bool { return slices.Equal(got, want) })
	if !ok {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// awaitFacts waits until what the facts say about a user is as it should be.
func (s *Service) awaitFacts(t *testing.T, user string, is func([]string) bool) (got []string, ok bool) {
	t.Helper()
	for end := time.Now().Add(patient); !ok && time.Now().Before(end); {
		lines, _ := s.story(t) // each look passes a sync point
		got = tellsOf(lines, user)
		ok = is(got)
	}
	return got, ok
}

// An instance dies between a marker and the fact, or between the two facts of a device that
// replaces another. The next leader finishes what it began.
func TestLeaderFinishesWhatADeadOneBegan(t *testing.T) {
	s, nc := inside(t, Config{Limits: room.Limits{ReplaceDevices: 1}})
	c := client.New(nc, client.Config{})
	ctx := t.Context()
	keep := &room.RoomConfig{RoomDestroyDelayTime: 600}
	if _, err := c.Enter(ctx, room.CreateRequest{Caller: room.Caller{UserID: "alice"}, RoomID: "lobby", Config: keep}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enter(ctx, room.CreateRequest{Caller: room.Caller{UserID: "bob", LeaseSeconds: seconds(60)}, RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	head := s.rep.Head("lobby")
	now := events.TimeOf(time.Now())
	s.elsewhere(t, &events.Fact{
		ID: "half", Type: events.SessionJoined, Room: "lobby", InstanceID: head.InstanceID, Sequence: head.Sequence + 1, Time: now, MemberCount: 2,
		Joined: []events.Joined{{UserID: "alice", SessionID: "phone", JoinedAt: now, Via: events.ViaJoin}},
	}, head.Revision)
	s.mark(t, "bob")
	if err := s.sync.Pass(ctx); err != nil {
		t.Fatal(err)
	}
	next := beside(t, nc, Config{Limits: room.Limits{ReplaceDevices: 1}})
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	awaitStory(t, next, "alice", []string{"room.created alice/default in lobby", "session.joined alice/phone in lobby", "session.left alice/default in lobby replaced"})
	awaitStory(t, next, "bob", []string{"member.joined bob/default in lobby", "member.left bob/default in lobby expired"})
}

// A service that has ended keeps nobody waiting for a lease.
func TestTouchAfterTheEnd(t *testing.T) {
	s, _ := inside(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	told := make(chan error, 2)
	s.leases.Touch(leases.Session{User: "alice", ID: "a"}, leases.Ask{Default: 60}, begun.Add(patient), func(_ leases.Grant, err error) { told <- err })
	s.leases.Touch(leases.Session{User: "alice", ID: "a"}, leases.Ask{Renewal: true}, begun.Add(patient), func(_ leases.Grant, err error) { told <- err })
	for range 2 {
		select {
		case err := <-told:
			if err == nil {
				t.Error("it was stored")
			}
		case <-time.After(patient / 2):
			t.Fatal("nobody is told")
		}
	}
	if ended := s.leases.End(t.Context(), []leases.Ending{{Session: leases.Session{User: "alice", ID: "a"}}}); len(ended) != 0 {
		t.Errorf("%v", ended)
	}
}
