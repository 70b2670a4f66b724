package commit

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// While no acknowledgement comes, the same bytes are sent again on the same condition, and the
// follower tells what became of them.
func TestAppendWithoutAnswer(t *testing.T) {
	r := newRig(t, room.Limits{})
	sent := r.listen(subjects.Journal("lobby"))
	free := r.hold()
	r.Journal.Close() // no acknowledgement arrives any more
	a := r.ask(enter("alice", "lobby"))
	first, again := r.next(sent), r.next(sent)
	if !bytes.Equal(first.Data, again.Data) || first.Header.Get(jetstream.ExpectedLastSubjSeqHeader) != "0" || again.Header.Get(jetstream.ExpectedLastSubjSeqHeader) != "0" {
		t.Errorf("what was sent is\n%s %v\nand\n%s %v", first.Data, first.Header, again.Data, again.Header)
	}
	select {
	case res := <-a.results:
		t.Errorf("before its fact is known to be stored: %+v", res)
	default:
	}
	free()
	if res := r.accepted(a); !res.Created || !res.in || res.At != r.at("lobby") || res.At.Sequence != 1 {
		t.Errorf("%+v", res)
	}
	if facts := r.facts("lobby"); len(facts) != 1 {
		t.Errorf("%d facts are stored", len(facts))
	}
}

// Another instance stores a fact first. The run is decided again on the room as that fact made
// it, whichever tells of it: the answer to the append, or the follower alone.
func TestDecidedAgain(t *testing.T) {
	for name, answered := range map[string]bool{"the answer tells": true, "the follower tells": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, room.Limits{})
			c := create("bob", "lobby")
			c.Config.MaxMembers = 3
			r.do(c)
			r.pass()
			free := r.hold()
			r.joinedElsewhere("lobby", "carol")
			if !answered {
				r.Journal.Close()
			}
			sent := r.listen(subjects.Journal("lobby"))
			b := r.acquire("lobby")
			alice, dave := r.ask(join("alice", "lobby")), r.ask(join("dave", "lobby"))
			r.release(b)
			r.next(sent)
			free()
			if res := r.accepted(alice); !res.Changed || res.At != r.at("lobby") || res.At.Sequence != 3 {
				t.Errorf("%+v", res)
			}
			if res := r.result(dave); res.Refused == nil || res.Refused.Code != room.ErrRoomFull {
				t.Errorf("there was room for one more before: %+v", res)
			}
			facts := r.facts("lobby")
			if len(facts) != 3 || len(facts[1].Joined) != 1 || facts[1].Joined[0].UserID != "carol" || len(facts[2].Joined) != 1 || facts[2].Joined[0].UserID != "alice" {
				t.Errorf("the facts stored are %+v", facts)
			}
		})
	}
}

// Calls that lost to another instance's fact keep their places, before the calls that came in
// the meantime.
func TestOrderAfterAConflict(t *testing.T) {
	r := newRig(t, room.Limits{})
	r.do(create("", "lobby"))
	r.pass()
	free := r.hold()
	r.joinedElsewhere("lobby", "carol")
	sent := r.listen(subjects.Journal("lobby"))
	var calls []*asked
	var users []string
	asks := func(n int) {
		for range n {
			user := fmt.Sprint("u", len(users))
			users, calls = append(users, user), append(calls, r.ask(join(subjects.User(user), "lobby")))
		}
	}
	b := r.acquire("lobby")
	asks(5)
	r.release(b)
	r.next(sent)
	asks(5)
	free()
	for _, a := range calls {
		if res := r.accepted(a); res.At.Sequence != 3 {
			t.Errorf("%s joined at %+v", a.Cmd.User, res.At)
		}
	}
	var joined []string
	for _, j := range r.facts("lobby")[2].Joined {
		joined = append(joined, j.UserID)
	}
	if !slices.Equal(joined, users) {
		t.Errorf("they join in the order %q", joined)
	}
}

// The same holds for what changes several rooms: a fact in one of them makes all of it be
// decided again, in the same order, and all of it is stored together.
func TestBatchIsDecidedAgain(t *testing.T) {
	r := newRig(t, room.Limits{})
	r.do(create("alice", "from"))
	for _, user := range []subjects.User{"dave", "erin"} {
		r.do(join(user, "from"))
	}
	small := create("bob", "to")
	small.Config.MaxMembers = 4
	r.do(small)
	r.pass()
	free := r.hold()
	r.joinedElsewhere("to", "carol")
	sent := r.listen(subjects.Journal("to"))
	alice := r.ask(change("alice", "from", "to"))
	r.next(sent)
	dave, erin := r.ask(change("dave", "from", "to")), r.ask(change("erin", "from", "to"))
	free()
	for _, a := range []*asked{alice, dave} {
		res := r.accepted(a)
		if len(res.Left) != 1 || res.Left[0].Room != "from" || res.At.Room != "to" || res.At.Sequence != 3 || res.At.Revision != res.Left[0].Revision+1 {
			t.Errorf("%s: %+v", a.Cmd.User, res)
		}
	}
	if res := r.result(erin); res.Refused == nil || res.Refused.Code != room.ErrRoomFull {
		t.Errorf("erin: %+v", res)
	}
	from, to := r.facts("from"), r.facts("to")
	if len(from) != 4 || len(from[3].Left) != 2 || from[3].Left[0].UserID != "alice" || from[3].Left[1].UserID != "dave" {
		t.Errorf("the facts stored in the one are %+v", from)
	}
	if len(to) != 3 || to[1].Joined[0].UserID != "carol" || len(to[2].Joined) != 2 || to[2].Joined[0].UserID != "alice" || to[2].Joined[1].UserID != "dave" {
		t.Errorf("the facts stored in the other are %+v", to)
	}
}
