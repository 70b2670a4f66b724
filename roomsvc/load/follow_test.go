package load

import (
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// The age of a fact from before the start goes by the server's clock: outcomes are known as
// long as they should be, however far apart that clock and this machine's are.
func TestReplayOnOddClocks(t *testing.T) {
	const remember = 3 * time.Minute
	for _, off := range []time.Duration{-time.Hour, 0, time.Hour} {
		for age, known := range map[time.Duration]bool{0: true, 2 * remember: false} {
			f := &events.Fact{
				ID: "1", Type: events.RoomCreated, Room: "lobby", InstanceID: "1", Sequence: 1, Info: &events.Room{RoomID: "lobby", MemberCount: 1},
				Joined: []events.Joined{{UserID: "alice", SessionID: "default", Via: events.ViaEnter, RequestID: "r"}},
			}
			data, err := f.Encode("")
			if err != nil {
				t.Fatal(err)
			}
			rep := &Replica{Replica: replica.New(remember)}
			replay := &following{loading: &loading{rep: rep, ahead: -off}, bucket: nothing, orphans: map[subjects.Room]string{}}
			if err := replay.replay(journal.Message{Seq: 1, Subject: subjects.Facts("lobby"), Data: data, Time: time.Now().Add(off - age)}); err != nil {
				t.Fatal(err)
			}
			if o, _ := rep.Outcomes.Look(&room.Command{Verb: room.Enter, User: "alice", RequestID: "r"}); (o != nil && o.Joined != nil) != known {
				t.Errorf("the server's clock is off by %v: the outcome of a request %v ago is %+v", off, age, o)
			}
		}
	}
}
