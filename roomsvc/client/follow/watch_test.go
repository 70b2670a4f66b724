package follow

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// A renewal says that a fact was missed, and the instance that is asked for it has not seen
// it yet: the fact does not have to wait for the next renewal.
func TestMissedIsReadWhereItIsNotYetKnown(t *testing.T) {
	source := alone(t)
	ctx := bounded(t)
	at := room.Position{InstanceID: "1", Sequence: 1, Revision: 1}
	source.Get = says(func(room.ReadRequest) *room.GetReply {
		return &room.GetReply{Room: events.Room{RoomID: "lobby"}, Position: at}
	})
	source.Members = says(func(room.MembersRequest) *room.MembersReply { return &room.MembersReply{Position: at} })
	source.History = says(func(q room.HistoryRequest) *room.HistoryReply {
		if !q.Sync {
			return &room.HistoryReply{InstanceID: at.InstanceID, Complete: true, Sequence: at.Sequence}
		}
		f := &events.Fact{ID: "2", Type: events.RoomKept, Room: "lobby", InstanceID: at.InstanceID, Sequence: 2, Time: events.TimeOf(time.Now())}
		data, err := f.Encode("")
		if err != nil {
			t.Error(err)
		}
		return &room.HistoryReply{InstanceID: at.InstanceID, Events: []jsontext.Value{data}, Complete: true, Sequence: 2}
	})
	w := &watch{ear: source.newEar("lobby", time.Hour, notMessages), yield: func(Update, error) bool { return true }}
	defer w.close()
	if err := w.refresh(ctx, FreshStart); err != nil {
		t.Fatal(err)
	}
	if err := w.fill(ctx, 0); err != nil || w.roster.Sequence() != 2 {
		t.Errorf("it is at %d: %v", w.roster.Sequence(), err)
	}
}
