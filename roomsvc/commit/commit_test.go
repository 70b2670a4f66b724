package commit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// A result says where its room is after the call's fact, or as it is where there is no fact,
// and which rooms the session has left by it.
func TestResults(t *testing.T) {
	r := newRig(t, room.Limits{})
	check := func(res settled, changed, created bool, at subjects.Room, left ...subjects.Room) {
		t.Helper()
		if res.Changed != changed || res.Created != created || res.Repeat || res.Late {
			t.Errorf("%s of %q: changed %v, created %v, repeat %v, late %v", res.Cmd.Verb, res.Cmd.User, res.Changed, res.Created, res.Repeat, res.Late)
		}
		want := replica.Place{}
		if at != "" {
			want = r.at(at)
		}
		if res.At != want {
			t.Errorf("%s of %q: it is at %+v, want %+v", res.Cmd.Verb, res.Cmd.User, res.At, want)
		}
		places := make([]replica.Place, 0, len(left))
		for _, id := range left {
			places = append(places, r.at(id))
		}
		if !slices.Equal(res.Left, places) {
			t.Errorf("%s of %q: it left %+v, want %+v", res.Cmd.Verb, res.Cmd.User, res.Left, places)
		}
	}
	check(r.do(enter("alice", "lobby")), true, true, "lobby")
	check(r.do(enter("alice", "lobby")), false, false, "lobby")
	check(r.do(join("bob", "lobby")), true, false, "lobby")
	if at := r.at("lobby"); at.Sequence != 2 {
		t.Errorf("after two facts it is at %+v", at)
	}
	if res := r.refused(join("bob", "lobby"), room.ErrUserAlreadyInRoom); !res.in || res.Changed || res.Left != nil {
		t.Errorf("refused: %+v", res)
	}
	check(r.do(leave("bob", "lobby")), true, false, "lobby", "lobby")
	if res := r.refused(leave("bob", "lobby"), room.ErrUserNotInRoom); res.in || res.Changed || res.Left != nil {
		t.Errorf("refused: %+v", res)
	}

	check(r.do(enter("alice", "hall")), true, true, "hall")
	check(r.do(leaveAll("alice")), true, false, "", "hall", "lobby")
	check(r.do(leaveAll("alice")), false, false, "")

	check(r.do(enter("alice", "lobby")), true, false, "lobby")
	check(r.do(change("alice", "lobby", "studio")), true, true, "studio", "lobby")
	check(r.do(enter("alice", "lobby")), true, false, "lobby")
	check(r.do(change("alice", "lobby", "studio")), true, false, "studio", "lobby") // where it already is
	if at := r.at("studio"); at.Sequence != 1 {
		t.Errorf("a switch to the room that its session is already in has moved the room to %+v", at)
	}

	kick := about(room.Kick, "boss", "studio")
	kick.Users = []subjects.User{"alice", "bob"}
	res := r.do(kick)
	check(res, true, false, "studio")
	if !slices.Equal(res.Users, kick.Users[:1]) {
		t.Errorf("%q were kicked", res.Users)
	}
}

// A refusal from memory that may be out of date waits for a sync point.
func TestRefusalIsProved(t *testing.T) {
	for name, c := range map[string]*room.Command{
		"join":     join("alice", "hall"),
		"switch":   {Verb: room.Switch, User: "bob", From: "lobby", Room: "hall"},
		"leaveAll": leaveAll("carol"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, room.Limits{})
			r.do(create("bob", "lobby"))
			r.pass()
			markers := r.listen(subjects.Sync)
			free := r.hold()
			r.createdElsewhere("hall", "carol", "")
			a := r.ask(c)
			r.next(markers)
			free()
			if res := r.accepted(a); !res.Changed {
				t.Errorf("it changed nothing: %+v", res)
			}
		})
	}
}

// A repeated request is answered at once, and does not wait for the run that it would have
// been part of.
func TestRepeatIsAnsweredAtOnce(t *testing.T) {
	r := newRig(t, room.Limits{})
	first := r.do(requested(create("alice", "lobby"), "1"))
	r.pass()
	free := r.hold()
	r.Journal.Close() // no acknowledgement arrives any more
	b := r.acquire("lobby")
	fresh, repeat := r.ask(enter("bob", "lobby")), r.ask(requested(create("alice", "lobby"), "1"))
	r.release(b)
	res := r.result(repeat)
	if !res.Repeat || res.Before == nil || res.Before.Joined == nil || *res.Before.Joined != first.At || !res.Before.Created || !res.in {
		t.Errorf("repeated: %+v", res)
	}
	select {
	case res := <-fresh.results:
		t.Errorf("before its fact is known to be stored: %+v", res)
	default:
	}
	free()
	if res := r.accepted(fresh); res.Repeat || !res.Changed || res.At.Sequence != 2 {
		t.Errorf("after its fact is stored: %+v", res)
	}
}

// [Committer.Repeat] answers what was carried out before, and leaves alone what was not.
func TestRepeat(t *testing.T) {
	r := newRig(t, room.Limits{})
	wish := func(digest string) *room.Command {
		c := requested(enter("alice", "lobby"), "1")
		c.Digest = digest
		return c
	}
	fresh := call(wish("d"))
	if r.Repeat(fresh.Call) || len(fresh.results) > 0 {
		t.Error("a new request is taken for a repeated one")
	}
	r.Track(fresh.Call)
	r.Enqueue(fresh.Call)
	first := r.accepted(fresh)
	if first.Repeat || !first.Created {
		t.Errorf("%+v", first)
	}
	again := call(wish("d"))
	if !r.Repeat(again.Call) {
		t.Fatal("a repeated request is taken for a new one")
	}
	if res := r.accepted(again); !res.Repeat || *res.Before.Joined != first.At || !res.in {
		t.Errorf("%+v", res)
	}
	another := call(wish("e"))
	if !r.Repeat(another.Call) {
		t.Fatal("another request under the same ID is taken for a new one")
	}
	if res := r.result(another); !res.Repeat || res.Before != nil || res.Refused == nil || res.Refused.Code != room.ErrParamInvalid {
		t.Errorf("%+v", res)
	}
	if facts := r.facts("lobby"); len(facts) != 1 {
		t.Errorf("%d facts are stored", len(facts))
	}
}

// While a call waits for its turn, another instance carries out its request, or another
// request arrives under the same ID.
func TestRepeatThatWaited(t *testing.T) {
	r := newRig(t, room.Limits{})
	b := r.acquire("repeated")
	a := r.ask(requested(enter("alice", "repeated"), "2"))
	r.createdElsewhere("repeated", "alice", "2")
	r.pass()
	r.release(b)
	if res := r.accepted(a); !res.Repeat || !res.in || res.Before.Joined.Sequence != 1 {
		t.Errorf("carried out elsewhere: %+v", res)
	}

	b = r.acquire("other")
	other := requested(enter("alice", "other"), "3")
	other.Digest = "other"
	a = r.ask(other)
	lobby := requested(enter("alice", "lobby"), "3")
	lobby.Digest = "lobby"
	r.do(lobby)
	r.release(b)
	if res := r.result(a); !res.Repeat || res.in || res.Refused == nil || res.Refused.Code != room.ErrParamInvalid {
		t.Errorf("its ID was in use: %+v", res)
	}
}

// An append takes longer than its call may, and is stored in the end: its caller is told that
// nobody knows the outcome, and the result that comes late says so.
func TestLate(t *testing.T) {
	r := newRig(t, room.Limits{})
	sent := r.listen(subjects.Journal("slow"))
	free := r.hold()
	r.Journal.Close() // no acknowledgement arrives any more
	a := r.ask(enter("alice", "slow"))
	r.next(sent)
	r.timeOut(a.Call)
	res := r.result(a)
	if res.Refused == nil || res.Refused.Code != room.ErrUnavailable || res.Refused.Outcome != room.Unknown || res.in || res.Late {
		t.Errorf("while it is on its way: %+v", res)
	}
	free()
	res = r.result(a)
	if !res.Late || !res.Changed || res.Refused != nil || !res.in || res.At != r.at("slow") {
		t.Errorf("once it is stored: %+v", res)
	}
}

// Calls run out of time in any order, whichever was tracked first.
func TestExpired(t *testing.T) {
	now := time.Now()
	var list tracked
	for _, in := range []time.Duration{8, -1, 3, -2} {
		list.calls = append(list.calls, &Call{Deadline: now.Add(in * time.Second)})
	}
	list.calls[2].Answer()
	if over := list.expired(now); len(over) != 2 || len(list.calls) != 1 {
		t.Errorf("%d calls are over, %d are left", len(over), len(list.calls))
	}
}

// A call that runs out of time before its turn has no effect, and its answer says so.
func TestTurnThatDoesNotCome(t *testing.T) {
	r := newRig(t, room.Limits{})
	b := r.acquire("lobby")
	late := call(enter("alice", "lobby"))
	late.Deadline = time.Now()
	r.Track(late.Call)
	r.Enqueue(late.Call)
	next := r.ask(enter("bob", "lobby"))
	res := r.result(late)
	if res.Refused == nil || res.Refused.Code != room.ErrBusy || res.Refused.Outcome != room.None || res.Refused.RetryAfterMs == 0 {
		t.Errorf("%+v", res)
	}
	r.release(b)
	if res := r.accepted(next); !res.Created {
		t.Errorf("the call after it: %+v", res)
	}
	if facts := r.facts("lobby"); len(facts) != 1 || len(facts[0].Joined) != 1 || facts[0].Joined[0].UserID != "bob" {
		t.Errorf("the facts stored are %+v", facts)
	}
}

// Calls that still wait when the service ends are answered, and so are calls that come after
// that.
func TestEndAnswers(t *testing.T) {
	r := newRig(t, room.Limits{})
	b := r.acquire("lobby")
	one := r.ask(enter("alice", "lobby"))
	r.Life.Cancel()
	r.release(b)
	r.end()
	several := r.ask(leaveAll("alice"))
	for _, a := range []*asked{one, several} {
		if res := r.result(a); res.Refused == nil || res.Refused.Code != room.ErrBusy {
			t.Errorf("%s: %+v", a.Cmd.Verb, res)
		}
	}
}

// Work of the service's own is asked for facts until it has none left, before the commands
// that wait.
func TestTasks(t *testing.T) {
	r := newRig(t, room.Limits{})
	r.do(create("alice", "lobby"))
	done := make(chan struct{}, 3)
	keep := func(times int) Task {
		return func(st *room.State, in room.Input) *events.Fact {
			if times--; times < 0 {
				done <- struct{}{}
				return nil
			}
			return room.Keep(st, in)
		}
	}
	b := r.acquire("lobby")
	bob := r.ask(enter("bob", "lobby"))
	r.AssignOnce("lobby", keep(2))
	r.AssignOnce("lobby", keep(50))
	r.Assign("lobby", keep(1))
	r.release(b)
	if res := r.accepted(bob); res.At.Sequence != 5 {
		t.Errorf("after three facts of the service's own it is at %+v", res.At)
	}
	if len(done) != 2 {
		t.Errorf("%d of two tasks are done", len(done))
	}
}

// Asking for rooms that do not exist leaves nothing in memory, and a room that does exist has
// a mailbox only while there is something to do.
func TestNothingStaysOfRefusedCommands(t *testing.T) {
	r := newRig(t, room.Limits{})
	r.do(create("", "lobby"))
	r.do(enter("alice", "lobby"))
	var calls []*asked
	for n := range 100 {
		calls = append(calls, r.ask(join("alice", subjects.Room(fmt.Sprint("none-", n)))))
	}
	for _, a := range calls {
		if res := r.result(a); res.Refused == nil || res.Refused.Code != room.ErrRoomNotExist {
			t.Errorf("%+v", res)
		}
	}
	r.Life.End() // everything that worked on them has returned
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.boxes) != 0 {
		t.Errorf("%d mailboxes are left", len(r.boxes))
	}
	if rooms := r.Replica.All(); len(rooms) != 1 || rooms[0].ID != "lobby" {
		t.Errorf("%d rooms are left", len(rooms))
	}
}

// An instance whose clock is an hour ahead created and ended a room. The room's next instance
// goes on from that time, even where that end has been forgotten.
func TestTimeGoesOnFromInstanceToInstance(t *testing.T) {
	r := newRig(t, room.Limits{})
	ahead := events.TimeOf(time.Now().Add(time.Hour))
	for _, id := range []subjects.Room{"known", "forgotten", "switched"} {
		info := &events.Room{RoomID: string(id), InstanceID: "1", CreatedAt: ahead, Sequence: 1}
		seq := r.elsewhere(&events.Fact{Type: events.RoomCreated, Room: id, InstanceID: "1", Sequence: 1, Time: ahead, Info: info}, 0)
		r.elsewhere(&events.Fact{Type: events.RoomDestroyed, Room: id, InstanceID: "1", Sequence: 2, Time: ahead, Info: info, Reason: events.DestroyedEmpty}, seq)
	}
	r.pass()
	check := func(id subjects.Room, res settled) {
		t.Helper()
		if h := r.Replica.Head(id); !res.Created || h.CreatedAt < ahead || res.At.Sequence != 1 {
			t.Errorf("%s: it was created at %v, ended at %v; %+v", id, h.CreatedAt.Time(), ahead.Time(), res)
		}
	}
	check("known", r.do(create("alice", "known")))
	check("switched", r.do(change("alice", "known", "switched")))
	r.Replica.Forget()
	if r.Replica.Find("forgotten") != nil {
		t.Fatal("it is not forgotten")
	}
	check("forgotten", r.do(create("", "forgotten")))
}

// Users who are put out are told once the fact is stored, and not about a fact that was not.
func TestPutOutIsToldOnce(t *testing.T) {
	var made, told []uint64 // each under the room's lock
	r := newRig(t, room.Limits{}, func(c *Config) {
		c.PutOut = func(st *room.State, f *events.Fact) func() {
			if len(f.Left) == 0 {
				return nil
			}
			if st.Member("alice") == nil {
				t.Error("it is asked about a room that she has already left")
			}
			made = append(made, f.Sequence)
			return func() { told = append(told, f.Sequence) }
		}
	})
	r.do(create("alice", "lobby"))
	r.pass()
	sent := r.listen(subjects.Journal("lobby"))
	free := r.hold()
	r.joinedElsewhere("lobby", "carol")
	r.next(sent)
	kick := about(room.Kick, "boss", "lobby")
	kick.Users = []subjects.User{"alice"}
	a := r.ask(kick)
	r.next(sent)
	free()
	r.accepted(a)
	if !slices.Equal(made, []uint64{2, 3}) || !slices.Equal(told, []uint64{3}) {
		t.Errorf("notices were made for facts %v, and sent for %v", made, told)
	}
}

// A leaveAll takes the rooms of its own session, no matter how many rooms the user's other
// sessions are in.
func TestLeaveAllBesideManyRooms(t *testing.T) {
	k := &Committer{Config: Config{Replica: replica.New(time.Minute)}}
	k.Replica.Changed = func(room.Change) {}
	seq := uint64(0)
	enter := func(id string, sessions ...string) {
		t.Helper()
		for i, session := range sessions {
			joined := []events.Joined{{UserID: "alice", SessionID: session}}
			f := &events.Fact{ID: id, Type: events.RoomCreated, Room: subjects.Room(id), InstanceID: id, Sequence: uint64(i) + 1, Joined: joined, MemberCount: 1}
			if i == 0 {
				f.Info = &events.Room{RoomID: id, MemberCount: 1}
			} else {
				f.Type = events.SessionJoined
			}
			seq++
			passed(t, k.Replica, f, seq)
		}
	}
	for n := range journal.MaxBatch + 1 {
		enter(fmt.Sprintf("r%04d", n), "desk")
	}
	enter("x", "desk", "phone")
	enter("y", "phone")
	of := func(session string) *Call {
		return &Call{Cmd: &room.Command{Verb: room.LeaveAll, User: "alice", Session: session}}
	}
	chosen, ids, rest := k.choose([]*Call{of("phone"), of("desk")}, journal.MaxBatch)
	if len(chosen) != 1 || len(rest) != 1 || !slices.Equal(ids, []subjects.Room{"x", "y"}) {
		t.Errorf("%d of the phone's rooms are taken, %.40q, with %d more calls left for later", len(ids), ids, len(rest))
	}
	if _, ids, _ := k.choose(rest, journal.MaxBatch); len(ids) != journal.MaxBatch || ids[0] != "r0000" {
		t.Errorf("%d of the desk's rooms are taken", len(ids))
	}
}

// passed passes a fact to a replica.
func passed(t *testing.T, rep *replica.Replica, f *events.Fact, seq uint64) {
	t.Helper()
	data, err := f.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.Pass(journal.Message{Seq: seq, Subject: subjects.Facts(f.Room), Data: data}); err != nil {
		t.Fatal(err)
	}
}

// For leaveAll, a room that is being destroyed is gone, although not all its members are out
// yet.
func TestLeaveAllBesideADestruction(t *testing.T) {
	k := &Committer{Config: Config{Replica: replica.New(time.Minute), Limits: func() *room.Limits { return &room.Limits{} }}}
	k.Replica.Changed = func(room.Change) {}
	joined := []events.Joined{{UserID: "alice", SessionID: "default"}, {UserID: "bob", SessionID: "default"}}
	for i, f := range []*events.Fact{
		{ID: "1", Type: events.RoomCreated, Sequence: 1, Info: &events.Room{RoomID: "lobby", MemberCount: 2}, Joined: joined},
		{ID: "2", Type: events.MemberLeft, Sequence: 2, MemberCount: 1, Left: []events.Left{{UserID: "bob", SessionID: "default", Reason: events.ReasonDestroyed}}},
	} {
		f.Room, f.InstanceID = "lobby", "1"
		passed(t, k.Replica, f, uint64(i)+1)
	}
	a := call(leaveAll("alice"))
	if _, ids, _ := k.choose([]*Call{a.Call}, journal.MaxBatch); len(ids) != 0 {
		t.Errorf("she is to leave %q", ids)
	}
	a.synced = true
	lobby := k.Replica.Find("lobby")
	d := &batch{round: &round{k: k, rooms: []*replica.Room{lobby}}, boxes: []*mailbox{{room: lobby}}}
	replica.Decide(d.rooms, func(views []replica.View) []*replica.Append {
		d.views, d.facts = views, make([]*events.Fact, len(views))
		d.decide([]*Call{a.Call})
		return nil
	})
	if len(d.later) != 0 || len(d.open) != 0 || len(d.decided) != 1 || d.decided[0].Changed || d.decided[0].leaves != nil || d.changes() {
		t.Errorf("she leaves: %+v", d.decided)
	}
}

// A leaveAll does not rely on what was known before it came, not even when the commands before
// it have run out of time.
func TestLeaveAllAfterOneThatIsTooLate(t *testing.T) {
	r := newRig(t, room.Limits{})
	r.do(enter("alice", "known"))
	late, fresh := call(leaveAll("bob")), call(leaveAll("alice"))
	late.Deadline = time.Now().Add(-time.Second)
	r.timeOut(late.Call)
	r.result(late)
	again, _ := r.batch([]*Call{late.Call, fresh.Call}, journal.MaxBatch)
	if len(again) > 0 || !fresh.Answered() || !fresh.synced {
		t.Errorf("answered %v, a sync point passed %v, to be decided again %d", fresh.Answered(), fresh.synced, len(again))
	}
	if res := r.accepted(fresh); len(res.Left) != 1 || res.Left[0] != r.at("known") {
		t.Errorf("%+v", res)
	}
}
