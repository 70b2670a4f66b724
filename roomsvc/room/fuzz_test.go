package room_test

import (
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// FuzzRequests reads anything as the bodies of commands: a command that comes of it has
// a user and a room that subjects can carry.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"roomID":"lobby","userID":"alice","userInfo":{"a":1},"requestID":"r","config":{"roomDestroyDelayTime":5}}`))
	f.Add([]byte(`{"fromRoomID":"a","toRoomInfo":{"roomID":"b"},"userID":"x","isCreateWhenRoomNotExisted":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var create room.CreateRequest
		if json.Unmarshal(raw, &create) == nil {
			c, err := create.Caller.Command(room.Create, false, defaults)
			if err != nil {
				return
			}
			if u, err := subjects.UserOfToken(c.User.Token()); err != nil || u != c.User {
				t.Fatalf("%q: %v", c.User, err)
			}
			_ = c.Making("roomName", create.RoomName, create.Config, defaults)
		}
		var swtch room.SwitchRequest
		_ = json.Unmarshal(raw, &swtch)
	})
}

// FuzzRecords reads anything as records of the bucket; what is read is written the same.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"roomID":"r","instanceID":"i","sequence":3,"factAt":"2026-01-02T03:04:05.678Z"}`))
	f.Add([]byte(`{"userID":"u","joinedAt":"2026-01-02T03:04:05.678Z","sessions":[{"sessionID":"s","joinedAt":"2026-01-02T03:04:05.678Z"}],"revision":5,"order":1,"instanceID":"i"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if h, err := room.DecodeHead(raw); err == nil {
			again, err := h.Record("r")
			if err != nil {
				t.Fatal(err)
			}
			if back, err := room.DecodeHead(again); err != nil || back.Sequence != h.Sequence || back.InstanceID != h.InstanceID {
				t.Fatalf("%+v came back as %+v, %v", h, back, err)
			}
		}
		if m, instance, err := room.DecodeMember(raw); err == nil {
			again, err := m.Record(instance)
			if err != nil {
				t.Fatal(err)
			}
			if back, _, err := room.DecodeMember(again); err != nil || back.User != m.User || len(back.Sessions) != len(m.Sessions) {
				t.Fatalf("%+v came back as %+v, %v", m, back, err)
			}
		}
	})
}
