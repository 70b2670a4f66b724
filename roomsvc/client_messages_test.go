package roomsvc

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

// The first message of a room made anew is missed, and whoever is asked for it has not
// heard of that room yet: it is not lost for that.
func TestMissedBeforeTheRoomIsHeardOf(t *testing.T) {
	s, nc := inside(t, Config{})
	c, ctx := withRooms(t, nc, "lobby", "side")
	if err := s.sync.pass(ctx); err != nil {
		t.Fatal(err)
	}
	heard := make(chan *nats.Msg, 2)
	if _, err := nc.ChanSubscribe(subjects.Messages("lobby"), heard); err != nil {
		t.Fatal(err)
	}
	var given []Heard
	h := &hearing{ear: c.newEar("lobby", time.Hour, notFacts), yield: func(n Heard, _ error) bool { given = append(given, n); return true }}
	defer h.close()

	free := s.behind(t, nc)
	lobby := s.rep.head("lobby")
	now := events.TimeOf(time.Now())
	info := &events.Room{RoomID: "lobby", InstanceID: lobby.InstanceID, CreatedAt: lobby.CreatedAt, Sequence: 2}
	seq := s.elsewhere(t, &events.Fact{ID: "2", Type: events.RoomDestroyed, Room: "lobby", InstanceID: lobby.InstanceID, Sequence: 2, Time: now, Info: info, Reason: events.DestroyedEmpty}, lobby.Revision)
	info = &events.Room{RoomID: "lobby", InstanceID: "anew", CreatedAt: now, Sequence: 1}
	s.elsewhere(t, &events.Fact{ID: "3", Type: events.RoomCreated, Room: "lobby", InstanceID: "anew", Sequence: 1, Time: now, Info: info}, seq)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		m := &events.Message{ID: text, Room: "lobby", InstanceID: "anew", Time: now, Type: events.Text, Data: text}
		data, err := m.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(ctx, subjects.MessageJournal("lobby"), data); err != nil {
			t.Fatal(err)
		}
	}
	<-heard // and is lost
	if err := h.take(ctx, <-heard); err != nil {
		t.Error(err)
	}
	free()
	if len(given) != 2 || given[0].Message == nil || given[1].Message == nil {
		t.Errorf("it gives %+v", given)
	}
}

// Whoever is asked where a new room's messages end may not have heard of it yet: what was
// said before is not heard for that.
func TestFromNowOnInANewRoom(t *testing.T) {
	s, nc := inside(t, Config{})
	c, ctx := withRooms(t, nc, "side")
	if err := s.sync.pass(ctx); err != nil {
		t.Fatal(err)
	}
	h := &hearing{ear: c.newEar("lobby", time.Hour, notFacts)}
	defer h.close()

	free := s.behind(t, nc)
	now := events.TimeOf(time.Now())
	info := &events.Room{RoomID: "lobby", InstanceID: "new", CreatedAt: now, Sequence: 1}
	s.elsewhere(t, &events.Fact{ID: "2", Type: events.RoomCreated, Room: "lobby", InstanceID: "new", Sequence: 1, Time: now, Info: info}, 0)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	m := &events.Message{ID: "before", Room: "lobby", InstanceID: "new", Time: now, Type: events.Text, Data: "before"}
	data, err := m.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	said, err := js.Publish(ctx, subjects.MessageJournal("lobby"), data)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.start(ctx, "new"); err != nil || h.last != said.Sequence {
		t.Errorf("it begins behind %d: %v; want %d", h.last, err, said.Sequence)
	}
	free()
}
