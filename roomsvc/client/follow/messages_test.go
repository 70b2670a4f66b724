package follow

import (
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
		t.Errorf("it begins behind %d: %v; want %d", h.last, err, head)
	}
}
