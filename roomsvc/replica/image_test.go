package replica

import (
	"bufio"
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// filled passes facts of some rooms to a replica, and returns them.
func filled(t *testing.T, r *Replica) (facts []applied) {
	t.Helper()
	r.Changed = func(room.Change) {}
	seq, sequences := uint64(0), map[subjects.Room]uint64{}
	pass := func(f events.Fact) {
		seq++
		sequences[f.Room]++
		f.ID, f.InstanceID, f.Sequence, f.Time = fmt.Sprint("fact", seq), "of "+string(f.Room), sequences[f.Room], events.Time(seq)
		data, err := f.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Pass(journal.Message{Seq: seq, Subject: subjects.Facts(f.Room), Data: data, Digests: "d", Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, applied{fact: &f, seq: seq, at: time.Now()})
	}
	for _, id := range []subjects.Room{"a", "b", "c"} {
		pass(events.Fact{
			Type: events.RoomCreated, Room: id, Info: &events.Room{RoomID: string(id), MemberCount: 1, Attributes: map[string]string{"topic": "x"}},
			Joined: []events.Joined{{UserID: "alice", UserName: "Alice", UserInfo: []byte(`{"a":1}`), SessionID: "s", RequestID: "r" + string(id), Via: events.ViaEnter, LeaseSeconds: 60}},
		})
		for i := range 40 {
			pass(events.Fact{Type: events.MemberJoined, Room: id, MemberCount: i + 2, Joined: []events.Joined{{UserID: fmt.Sprint("u", i), SessionID: "s", RequestID: fmt.Sprint("j", id, i), Via: events.ViaJoin}}})
		}
	}
	pass(events.Fact{Type: events.MemberAttributesChanged, Room: "a", User: "alice", Infos: []events.MemberAttributes{{UserID: "u1", Attributes: map[string]string{"hand": "up"}}}, Staying: true, RequestID: "attributes"})
	pass(events.Fact{Type: events.MemberAttributesChanged, Room: "a", User: "alice", Infos: []events.MemberAttributes{{UserID: "u2", Attributes: map[string]string{"seat": "2"}}}, Staying: true})
	pass(events.Fact{Type: events.MemberLeft, Room: "a", MemberCount: 40, Left: []events.Left{{UserID: "u2", SessionID: "s", Reason: events.ReasonLeft, RequestID: "l"}}})
	pass(events.Fact{Type: events.MemberLeft, Room: "a", MemberCount: 39, Left: []events.Left{{UserID: "u3", SessionID: "s", Reason: events.ReasonKicked, Operator: "boss", RequestID: "k"}}})
	r.Outcomes.Content(&room.Command{User: "alice", Verb: room.Enter, RequestID: "content"}, &Place{Room: "a"}, nil)
	return facts
}

// A replica that was saved and restored says the same about everything, and learns what it
// knows a second time without a difference.
func TestImage(t *testing.T) {
	r := New(time.Minute)
	facts := filled(t, r)
	var image bytes.Buffer
	members, err := r.Save(t.Context(), &image)
	if err != nil || members != 39+2*41 {
		t.Fatalf("%d members, %v", members, err)
	}
	restored := New(time.Minute)
	from := bufio.NewReader(&image)
	mark, err := ReadMark(from)
	newest, err2 := restored.Restore(from)
	if err != nil || err2 != nil || mark != r.Mark() || newest != mark {
		t.Fatalf("%+v and %+v, want %+v; %v, %v", mark, newest, r.Mark(), err, err2)
	}
	same := func(when string) {
		t.Helper()
		if restored.Living() != 3 {
			t.Errorf("%s: %d rooms", when, restored.Living())
		}
		for _, known := range r.All() {
			var want, got *room.State
			known.View(func(st *room.State) { want = st })
			restored.View(known.ID, func(st *room.State) { got = st })
			gotPacked, err := got.Pack(nil)
			wantPacked, err2 := want.Pack(nil)
			if !bytes.Equal(gotPacked, wantPacked) || err != nil || err2 != nil || !got.Whole() || !reflect.DeepEqual(restored.Head(known.ID), known.Head()) {
				t.Errorf("%s: %q is\n%q\nwant\n%q; %v, %v", when, known.ID, gotPacked, wantPacked, err, err2)
			}
		}
		for i := range r.Users.shards {
			for u := range r.Users.shards[i].rooms {
				if got, want := len(restored.Users.Of(u)), len(r.Users.Of(u)); got != want {
					t.Errorf("%s: %q is in %d rooms, want %d", when, u, got, want)
				}
			}
		}
		var known []*remembered
		r.Outcomes.each(func(o *remembered) { known = append(known, o) })
		if len(known) < 10 {
			t.Errorf("%d outcomes", len(known))
		}
		for _, o := range known {
			c := &room.Command{User: o.user, Verb: o.verb, RequestID: o.id, Digest: o.digest}
			want, _ := r.Outcomes.Look(c)
			got, refused := restored.Outcomes.Look(c)
			if told(t, got) != told(t, want) || refused != nil {
				t.Errorf("%s: %s of %q came to %s, want %s", when, o.verb, o.user, told(t, got), told(t, want))
			}
		}
	}
	same("restored")
	restored.Outcomes.learn(facts)
	same("learnt again")
}

func told(t *testing.T, o *Outcome) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
