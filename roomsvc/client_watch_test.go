package roomsvc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
)

// steps takes an iterator's steps one at a time, each within the test's patience.
type steps[T any] struct {
	t    *testing.T
	next func() (T, error, bool)
}

func stepping[T any](t *testing.T, seq iter.Seq2[T, error]) *steps[T] {
	next, stop := iter.Pull2(seq)
	t.Cleanup(stop)
	return &steps[T]{t, next}
}

func (s *steps[T]) step() T {
	s.t.Helper()
	v, err, ok := s.next()
	if err != nil || !ok {
		s.t.Fatalf("it ends with %v", err)
	}
	return v
}

func (s *steps[T]) fails() error {
	s.t.Helper()
	v, err, ok := s.next()
	if err == nil || !ok {
		s.t.Fatalf("it gives %+v, want an error", v)
	}
	if _, _, more := s.next(); more {
		s.t.Error("it goes on after its error")
	}
	return err
}

func as(user string) room.Caller { return room.Caller{UserID: user} }

// shows compares a roster with what the service answers at the same sequence.
func (w *world) shows(c *client.Client, r *client.Roster) {
	w.T.Helper()
	now, members := w.roster(c, r.Room().RoomID)
	mine := r.Room()
	mine.Revision = now.Room.Revision
	if got, want := text(w.T, mine), text(w.T, now.Room); got != want {
		w.T.Errorf("the room is\n%s\nwant\n%s", got, want)
	}
	if got, want := text(w.T, slices.Collect(r.All())), text(w.T, members); got != want {
		w.T.Errorf("the members are\n%s\nwant\n%s", got, want)
	}
	if r.Len() != len(members) {
		w.T.Errorf("%d members, want %d", r.Len(), len(members))
	}
	for _, m := range members {
		if mine, ok := r.Member(m.UserID); !ok || text(w.T, mine) != text(w.T, m) {
			w.T.Errorf("the member %s is %+v", m.UserID, mine)
		}
	}
}

// roster is the room as the service has it. Nobody may be changing it.
func (w *world) roster(c *client.Client, id string) (now *room.GetReply, members []room.MemberInfo) {
	w.T.Helper()
	now, err := c.Get(w.Ctx, room.ReadRequest{RoomID: id, Freshness: room.Freshness{Sync: true}})
	if err != nil {
		w.T.Fatal(err)
	}
	for next := ""; ; {
		page, err := c.Members(w.Ctx, room.MembersRequest{RoomID: id, Page: room.Page{NextFlag: next}, Freshness: room.Freshness{MinRevision: now.Revision}})
		if err != nil {
			w.T.Fatal(err)
		}
		members = append(members, page.MemberList...)
		if next = page.NextFlag; next == "" {
			return now, members
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestWatch(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	c := client.New(w.NC, client.Config{})
	if err := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"})).fails(); !errors.Is(err, room.ErrRoomNotExist) {
		t.Fatalf("a room that is not there: %v", err)
	}
	waiting := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", MayNotExist: true}))
	if u := waiting.step(); u.Fresh != client.FreshStart || u.Roster != nil || u.Fact != nil {
		t.Fatalf("it begins with %+v", u)
	}
	if _, err := c.Enter(w.Ctx, room.CreateRequest{Caller: as("alice"), RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	if u := waiting.step(); u.Fresh != client.FreshInstance || u.Fact == nil || u.Fact.Type != events.RoomCreated || u.Roster.Len() != 1 {
		t.Fatalf("a room that is made gives %+v", u)
	}
	watching := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}))
	if u := watching.step(); u.Fresh != client.FreshStart || u.Fact != nil || u.Roster.Sequence() != 1 {
		t.Fatalf("it begins with %+v", u)
	}
	if _, err := c.Join(w.Ctx, room.RoomRequest{Caller: as("bob"), RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*steps[client.Update]{waiting, watching} {
		u := s.step()
		if u.Fact == nil || u.Fact.Type != events.MemberJoined || u.Fresh != "" || u.Recovered || u.Revision == 0 || u.Roster.Room().Revision != u.Revision {
			t.Fatalf("a join gives %+v", u)
		}
		w.shows(c, u.Roster)
	}
	// The room ends and is made again: nothing in the new one is taken for the old one's.
	for _, user := range []string{"alice", "bob"} {
		if _, err := c.Leave(w.Ctx, room.RoomRequest{Caller: as(user), RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
	}
	watching.step()
	watching.step()
	if u := watching.step(); u.Fact == nil || u.Fact.Type != events.RoomDestroyed || u.Roster != nil {
		t.Fatalf("the end gives %+v", u)
	}
	if _, err := c.Enter(w.Ctx, room.CreateRequest{Caller: as("carol"), RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	u := watching.step()
	if u.Fresh != client.FreshInstance || u.Roster == nil || u.Roster.Len() != 1 || u.Roster.Sequence() != 1 {
		t.Fatalf("the next room gives %+v", u)
	}
	w.shows(c, u.Roster)
	c.Close()
	if err := watching.fails(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("a closed client ends it with %v", err)
	}
	if err := waiting.fails(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("a closed client ends it with %v", err)
	}
	ctx, cancel := context.WithCancelCause(w.Ctx)
	ended := errors.New("enough")
	watching = stepping(t, client.New(w.NC, client.Config{}).Watch(ctx, client.WatchRequest{RoomID: "lobby"}))
	watching.step()
	cancel(ended)
	if err := watching.fails(); !errors.Is(err, ended) {
		t.Errorf("a context ends it with %v", err)
	}
}

// Whatever happens in a room, the roster of somebody who watches is what the service
// answers at the same sequence.
func TestRosterIsWhatTheServiceAnswers(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	c := client.New(w.NC, client.Config{})
	cfg := &room.RoomConfig{RoomDestroyDelayTime: 3600, RoomAttributes: map[string]string{"a": "1"}}
	if _, err := c.Create(w.Ctx, room.CreateRequest{Caller: as("u0"), RoomID: "lobby", RoomName: "The lobby", Config: cfg}); err != nil {
		t.Fatal(err)
	}
	early := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}))
	u := early.step()
	w.shows(c, u.Roster)
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	for range rounds {
		done, err := something(w.Ctx, c, random)
		if errors.Is(err, room.ErrUserNotInRoom) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !done {
			continue
		}
		now, err := c.Get(w.Ctx, room.ReadRequest{RoomID: "lobby", Freshness: room.Freshness{Sync: true}})
		if err != nil {
			t.Fatal(err)
		}
		for u.Roster.Sequence() < now.Sequence {
			if u = early.step(); u.Fresh != "" {
				t.Fatalf("a fresh snapshot: %s", u.Fresh)
			}
		}
		w.shows(c, u.Roster)
		for late, err := range c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}) {
			if err != nil {
				t.Fatal(err)
			}
			w.shows(c, late.Roster)
			break // otherwise every change would be copied to all of them
		}
		if t.Failed() {
			return
		}
	}
}

// something changes something in the room, or finds nothing to change.
func something(ctx context.Context, c *client.Client, random *rand.Rand) (changed bool, err error) {
	user := fmt.Sprintf("u%d", random.IntN(6))
	who := room.Caller{UserID: user, UserName: "Name of " + user, SessionID: fmt.Sprintf("s%d", random.IntN(2)), UserInfo: []byte(`{"n":1}`)}
	value := fmt.Sprint(random.IntN(100))
	stays := random.IntN(2) == 0
	switch random.IntN(11) {
	case 0, 1:
		r, err := c.Enter(ctx, room.CreateRequest{Caller: who, RoomID: "lobby"})
		return err == nil && r != nil, err
	case 2:
		_, err = c.Leave(ctx, room.RoomRequest{Caller: who, RoomID: "lobby"})
	case 3:
		_, err = c.SetAttributes(ctx, room.SetAttributesRequest{Caller: who, RoomID: "lobby", Set: map[string]string{user: value}, IsDeleteAfterOwnerLeft: &stays})
	case 4:
		_, err = c.SetAttributes(ctx, room.SetAttributesRequest{Caller: who, RoomID: "lobby", Delete: []string{user}, IsForce: true})
	case 5:
		_, err = c.SetMemberAttributes(ctx, room.SetMemberAttributesRequest{Caller: who, RoomID: "lobby", UserIDs: []string{user}, Attributes: map[string]string{"hand": value}, IsDeleteAfterOwnerLeft: &stays})
	case 6:
		_, err = c.SetRole(ctx, room.SetRoleRequest{RoomID: "lobby", UserIDs: []string{user, "u0"}, Role: [...]string{"host", "member"}[random.IntN(2)]})
	case 7:
		who.UserName, who.UserInfo = [...]string{"", "Name " + value}[random.IntN(2)], []byte(`{"n":`+value+`}`)
		_, err = c.UpdateMember(ctx, room.RoomRequest{Caller: who, RoomID: "lobby"})
	case 8:
		hosts := [...]string{room.HostsNone, room.HostsCreator}[random.IntN(2)]
		_, err = c.Update(ctx, room.UpdateRequest{RoomID: "lobby", RoomName: &value, Config: &room.ConfigUpdate{Hosts: &hosts}})
	case 9:
		_, err = c.Ban(ctx, room.RestrictRequest{RoomID: "lobby", UserIDs: []string{user}})
	default:
		_, err = c.Kick(ctx, room.KickRequest{RoomID: "lobby", UserIDs: []string{user}})
	}
	return err == nil, err
}

// End users watch what they may see, on the subjects that the service names.
func TestWatchAsAnEndUser(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	for _, delivery := range []string{room.DeliveryMembers, room.DeliveryOpen} {
		t.Run(delivery, func(t *testing.T) {
			of := func(user string) *client.Client {
				c := client.New(w.NC, client.Config{UserID: user, UserForm: true})
				t.Cleanup(c.Close)
				return c
			}
			alice, bob := of("alice"), of("bob")
			cfg := &room.RoomConfig{Delivery: delivery, RoomDestroyDelayTime: 3600}
			if _, err := alice.Create(w.Ctx, room.CreateRequest{RoomID: delivery, Config: cfg}); err != nil {
				t.Fatal(err)
			}
			stranger := bob.Watch(w.Ctx, client.WatchRequest{RoomID: delivery})
			if delivery == room.DeliveryMembers {
				if err := stepping(t, stranger).fails(); !errors.Is(err, room.ErrNotAllowed) {
					t.Errorf("a stranger's watch: %v", err)
				}
			} else if u := stepping(t, stranger).step(); u.Roster.Len() != 1 {
				t.Errorf("an open room begins with %+v", u)
			}
			watching := stepping(t, alice.Watch(w.Ctx, client.WatchRequest{RoomID: delivery}))
			watching.step()
			hearing := worlds.Hear(t, w.Ctx, alice, client.MessagesRequest{RoomID: delivery})
			if _, err := bob.Join(w.Ctx, room.RoomRequest{RoomID: delivery}); err != nil {
				t.Fatal(err)
			}
			if u := watching.step(); u.Fact == nil || u.Fact.Type != events.MemberJoined || u.Roster.Len() != 2 {
				t.Errorf("a join gives %+v", u)
			}
			if _, err := bob.Send(w.Ctx, room.SendRequest{RoomID: delivery, Type: "text", Data: "hi"}); err != nil {
				t.Fatal(err)
			}
			if h := hearing(); h.Message == nil || h.Message.Data != "hi" || h.Message.Seq == 0 {
				t.Errorf("a message gives %+v", h)
			}
		})
	}
}

// In a room for members a watch ends with its end user's membership: the last fact is
// that it left. If the room ends too, the watch soon says so.
func TestWatchEndsWithTheMembership(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	c := client.New(w.NC, client.Config{UserID: "alice", UserForm: true})
	t.Cleanup(c.Close)
	for id, delay := range map[string]int64{"stays": 3600, "ends": 0} {
		t.Run(id, func(t *testing.T) {
			if _, err := c.Create(w.Ctx, room.CreateRequest{RoomID: id, Config: &room.RoomConfig{RoomDestroyDelayTime: delay}}); err != nil {
				t.Fatal(err)
			}
			watching := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: id, Every: time.Hour}))
			watching.step()
			if _, err := c.Leave(w.Ctx, room.RoomRequest{RoomID: id}); err != nil {
				t.Fatal(err)
			}
			if u := watching.step(); u.Fact == nil || u.Fact.Type != events.MemberLeft {
				t.Errorf("leaving gives %+v", u)
			}
			if delay == 0 {
				if u := watching.step(); u.Fact != nil || u.Roster != nil {
					t.Errorf("the end gives %+v", u)
				}
			} else if err := watching.fails(); !errors.Is(err, room.ErrNotAllowed) {
				t.Errorf("then it ends with %v", err)
			}
		})
	}
}

// A snapshot of a room of several pages, taken while it changes, is of one moment: what
// somebody who watches all the time has at the same sequence.
func TestSnapshotOfAMovingRoom(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	c := client.New(w.NC, client.Config{})
	if _, err := c.Create(w.Ctx, room.CreateRequest{RoomID: "lobby", Config: &room.RoomConfig{RoomDestroyDelayTime: 3600}}); err != nil {
		t.Fatal(err)
	}
	together(1100, func(i int) {
		if _, err := c.Join(w.Ctx, room.RoomRequest{Caller: as(fmt.Sprint("member-", i)), RoomID: "lobby"}); err != nil {
			t.Error(err)
		}
	})
	text := func(r *client.Roster) string {
		info := r.Room()
		info.Revision = 0
		return text(t, info) + text(t, slices.Collect(r.All()))
	}
	steady := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}))
	u := steady.step()
	snapshots := 20
	if testing.Short() {
		snapshots = 5
	}
	over := make(chan struct{})
	var changes sync.WaitGroup
	for g := range 2 {
		changes.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				user := as(fmt.Sprint("member-", (g+2*n*97)%1100))
				_, err := c.Leave(w.Ctx, room.RoomRequest{Caller: user, RoomID: "lobby"})
				if err == nil {
					_, err = c.Enter(w.Ctx, room.CreateRequest{Caller: user, RoomID: "lobby"})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[uint64]string{}
	for range snapshots {
		r := stepping(t, c.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"})).step().Roster
		seen[r.Sequence()] = text(r)
	}
	close(over)
	changes.Wait()
	for len(seen) > 0 {
		if got, ok := seen[u.Roster.Sequence()]; ok {
			delete(seen, u.Roster.Sequence())
			if got != text(u.Roster) {
				t.Errorf("the snapshot at %d differs from what was folded", u.Roster.Sequence())
			}
		}
		if len(seen) > 0 {
			u = steady.step()
		}
	}
}

// A reader is told once that some messages are gone, however often it looks, even if it may
// not read those that are left.
func TestLossIsReportedOnce(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true, MessagesPerRoom: 2})
	ok[position](w, "enter.alice", `{"roomID":"lobby","config":{"historyForJoiners":false}}`)
	last := &room.SendReply{}
	for range 4 {
		last = ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"before"}`)
	}
	for joined := time.Now(); joined.UnixMilli() <= last.Timestamp; joined = time.Now() { // the clock decides here
	}
	ok[position](w, "join.bob", `{"roomID":"lobby"}`)
	bob := client.New(w.NC, client.Config{UserID: "bob", UserForm: true})
	t.Cleanup(bob.Close)
	looks := hear(t, w.NC, "room.cmd.get.bob")
	hearing := worlds.Hear(t, w.Ctx, bob, client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: new(uint64), Every: 50 * time.Millisecond})
	if h := hearing(); h.Note != client.NoteLost {
		t.Errorf("it begins with %+v", h)
	}
	said := make(chan error, 1)
	go func() {
		for range 6 {
			if _, err := looks.NextMsg(patience); err != nil {
				said <- err
				return
			}
		}
		_, err := once[room.SendReply](w, "send.alice", map[string]any{"roomID": "lobby", "type": "text", "data": "now"})
		said <- err
	}()
	if h := hearing(); h.Message == nil || h.Message.Data != "now" || !h.Lost {
		t.Errorf("then comes %+v", h)
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
}
