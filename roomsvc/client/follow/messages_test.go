package follow

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// The first message of a room that was made again is missed, and the instance that is asked
// for it has not heard of that room yet: the message is not lost.
func TestMissedBeforeTheRoomIsHeardOf(t *testing.T) {
	source := alone(t)
	ctx := bounded(t)
	said := func(text string, seq uint64) jsontext.Value {
		m := &events.Message{ID: text, Room: "lobby", InstanceID: "anew", Time: events.TimeOf(time.Now()), Type: events.Text, Data: text, Seq: seq}
		data, err := m.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	head := uint64(2)
	source.History = behind(&room.HistoryReply{InstanceID: "anew", Events: []jsontext.Value{said("first", 1), said("second", 2)}, Complete: true, MessageSeq: &head})
	var given []string
	h := &hearing{ear: source.newEar("lobby", time.Hour, notFacts), yield: func(n Heard, _ error) bool {
		given = append(given, n.Message.Data)
		return true
	}, tell: func(n Note) { given = append(given, string(n.Kind)) }}
	defer h.close()
	second := nats.NewMsg("lobby")
	second.Data = said("second", 0)
	second.Header.Set(nats.JSSequence, "2")
	second.Header.Set(nats.JSLastSequence, "1")
	if err := h.take(ctx, second); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(given) != "[first second]" {
		t.Errorf("it gives %q", given)
	}
}

// The instance that is asked where a new room's messages end may not have heard of the room
// yet: messages from before the call are still not yielded.
func TestFromNowOnInANewRoom(t *testing.T) {
	source := alone(t)
	ctx := bounded(t)
	head := uint64(7)
	source.History = behind(&room.HistoryReply{InstanceID: "new", Complete: true, MessageSeq: &head})
	h := &hearing{ear: source.newEar("lobby", time.Hour, notFacts)}
	defer h.close()
	if err := h.start(ctx, "new"); err != nil || h.last != head {
		t.Errorf("it begins after %d: %v; want %d", h.last, err, head)
	}
}

// A loop that looks at what it is given before it looks at the error does not end the program.
func TestMessageBesideAnError(t *testing.T) {
	source := alone(t)
	source.First = func(context.Context, room.ReadRequest) (*room.GetReply, error) { return nil, room.ErrNotAllowed }
	n := 0
	for h, err := range source.Messages(bounded(t), MessagesRequest{RoomID: "lobby"}) {
		if n++; h.Message == nil || h.Message.Data != "" || !errors.Is(err, room.ErrNotAllowed) {
			t.Errorf("it gives %+v, %v", h, err)
		}
	}
	if n != 1 {
		t.Errorf("%d steps", n)
	}
}

// No roster is one without members: an update has none when there is no room.
func TestNoRoster(t *testing.T) {
	source := alone(t)
	source.First = func(context.Context, room.ReadRequest) (*room.GetReply, error) { return nil, room.ErrRoomNotExist }
	source.Get = source.First
	for u, err := range source.Watch(bounded(t), WatchRequest{RoomID: "lobby", MayNotExist: true}) {
		if err != nil || u.Roster != nil {
			t.Fatalf("it gives %+v, %v", u, err)
		}
		for m := range u.Roster.All() {
			t.Errorf("%+v is in no room", m)
		}
		if _, in := u.Roster.Member("alice"); in || u.Roster.Len() != 0 || u.Roster.InstanceID() != "" || u.Roster.Sequence() != 0 || u.Roster.Room().RoomID != "" {
			t.Errorf("no room has %d members", u.Roster.Len())
		}
		break
	}
}
