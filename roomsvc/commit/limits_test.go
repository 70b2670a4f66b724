package commit

import (
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// However many users join a room that does not exist yet at the same time, it counts as one
// against the limit on rooms.
func TestRoomOnItsWayCountsOnce(t *testing.T) {
	r := newRig(t, room.Limits{MaxRooms: 2})
	b := r.acquire("a")
	var calls []*asked
	for _, user := range []subjects.User{"alice", "bob", "carol"} {
		calls = append(calls, r.ask(enter(user, "a")))
	}
	run := &round{k: r.Committer, rooms: b.only}
	replica.Decide(run.rooms, func(views []replica.View) []*replica.Append {
		run.views, run.facts = views, make([]*events.Fact, 1)
		run.decideOne(b)
		return nil
	})
	if n := len(run.decided); n != len(calls) || len(run.facts[0].Joined) != len(calls) {
		t.Errorf("%d calls are decided, by fact %+v", n, run.facts[0])
	}
	r.do(enter("dave", "b")) // the second room of two
	run.unreserve()
	b.putBack(run.reopen(), nil)
	r.release(b)
	for _, a := range calls {
		r.accepted(a)
	}
	r.refused(enter("erin", "c"), room.ErrRoomLimit)
	if n := r.making.Load(); n != 0 {
		t.Errorf("%d rooms are still being created", n)
	}
}

// Between the moment when a fact is applied and the moment when its commands are settled, what
// it brings counts twice. Nobody is refused because of that.
func TestLimitsWhileFactsAreSettled(t *testing.T) {
	r := newRig(t, room.Limits{MaxRooms: 2, MaxRoomsPerUser: 2})
	r.do(enter("alice", "a"))
	for what, c := range map[string]struct {
		user       subjects.User
		take, back func()
	}{
		"rooms": {"bob", func() { r.making.Add(1) }, func() { r.making.Add(-1) }},
		"rooms of a user": {"alice",
			func() { r.Replica.Users.Reserve("alice", 2, 0) }, func() { r.Replica.Users.Release("alice") }},
	} {
		c.take()
		again := r.listen(subjects.Sync)
		wish := enter(c.user, "b")
		wish.Config = events.Config{} // it ends with its last member
		a := r.ask(wish)
		for range 4 { // each proves that it is still not refused for good
			r.next(again)
		}
		select {
		case res := <-a.results:
			t.Errorf("%s: %+v", what, res)
		default:
		}
		c.back()
		if res := r.accepted(a); !res.Created {
			t.Errorf("%s: %+v", what, res)
		}
		r.do(leave(c.user, "b"))
		r.until("the end of b", func() bool { return r.Replica.Living() == 1 })
	}
	r.do(enter("alice", "b"))
	r.refused(enter("alice", "c"), room.ErrRoomLimit)
	r.refused(enter("bob", "c"), room.ErrRoomLimit)
}
