package room_test

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// asked reads a verb's body as the service does; nil: it is refused.
func asked(t *testing.T, verb room.Verb, raw []byte) *room.Command {
	var q struct {
		room.Caller `json:",embed"`
		RoomID      string `json:"roomID"`
	}
	if json.Unmarshal(raw, &q) != nil {
		return nil
	}
	c, refused := q.Caller.Command(verb, true, defaults)
	if refused != nil || room.ParseID("roomID", q.RoomID) != nil {
		return nil
	}
	c.Room = subjects.Room(q.RoomID)
	switch verb {
	case room.Create, room.Enter:
		var q room.CreateRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.Making("roomName", q.RoomName, q.Config, defaults)
	case room.SetAttributes:
		var q room.SetAttributesRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.SetAttributes(&q, defaults)
	case room.SetMemberAttributes:
		var q room.SetMemberAttributesRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.SetMemberAttributes(&q, defaults)
	case room.Kick:
		var q room.KickRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.Kick(&q)
	case room.Update:
		var q room.UpdateRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.Update(&q, defaults)
	case room.UpdateMember:
		refused = c.UpdateMember()
	case room.SetRole:
		var q room.SetRoleRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.SetRole(&q)
	case room.Ban, room.Mute:
		var q room.RestrictRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.Restrict(&q)
	case room.Unban, room.Unmute:
		var q room.LiftRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.Lift(&q)
	case room.DestroyRoom:
		var q room.DestroyRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		refused = c.Destroy(&q)
	case room.Send:
		var q room.SendRequest
		if json.Unmarshal(raw, &q) != nil {
			return nil
		}
		m, refused := c.Say(&q, defaults)
		if refused != nil {
			return nil
		}
		m.ID, m.InstanceID, m.Time = "M1", "I1", 1
		said, err := m.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		if back, err := events.DecodeMessage(said); err != nil || *back != *m {
			t.Fatalf("%+v came back as %+v, %v", m, back, err)
		}
	}
	if refused != nil {
		if refused.Message == "" || refused.Outcome != room.None {
			t.Fatalf("%+v", refused)
		}
		return nil
	}
	if u, err := subjects.UserOfToken(c.User.Token()); c.User != "" && (err != nil || u != c.User) {
		t.Fatalf("%q: %v", c.User, err)
	}
	return c
}

// FuzzRequests reads arbitrary input as the bodies of all commands, and decides them one
// after another, on a room with members and in an empty world; [world.store] checks the
// facts.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"roomID":"lobby","userID":"alice","userInfo":{"a":1},"requestID":"r","config":{"roomDestroyDelayTime":5,"roomAttributes":{"k":"v"}}}`))
	f.Add([]byte(`{"fromRoomID":"a","toRoomInfo":{"roomID":"b"},"userID":"x","isCreateWhenRoomNotExisted":true}`))
	f.Add([]byte(`{"roomID":"lobby","userID":"alice","set":{"seat":"1","topic":"\u0000"},"delete":["old"],"isForce":true,"isUpdateOwner":true,"isDeleteAfterOwnerLeft":true,"ifRevision":4}`))
	f.Add([]byte(`{"roomID":"lobby","userID":"bob","userIDs":["alice","bob","eve"],"attributes":{"hand":"up"},"isDeleteAfterOwnerLeft":false,"reason":"spam"}`))
	f.Add([]byte(`{"roomID":"lobby","userID":"bob","type":"custom","subType":7,"data":"\u2028<","priority":"high","extendedData":"{}"}`))
	f.Add([]byte(`{"roomID":"lobby","userID":"alice","userName":"Al","userIDs":["bob","eve"],"role":"host","seconds":9,"reason":"\u2028","roomName":"Hall","config":{"hosts":"creator","speakers":"hosts","attributes":"owned","maxMembers":3}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 64<<10 {
			return // a request is never longer
		}
		var swtch room.SwitchRequest
		_ = json.Unmarshal(raw, &swtch)
		var history room.HistoryRequest
		_ = json.Unmarshal(raw, &history)
		for _, lines := range [][]string{nil, {"create alice lobby delay=60 +topic=tea", "join bob lobby", "setAttributes bob lobby +seat=bob go"}} {
			w := newWorld(t)
			for _, line := range lines {
				w.run(line)
			}
			for _, verb := range []room.Verb{room.Enter, room.SetAttributes, room.SetMemberAttributes, room.Send, room.Leave, room.Create, room.SetAttributes, room.Update, room.SetRole, room.UpdateMember, room.Mute, room.Ban, room.Ban, room.Unban, room.Unmute, room.Kick, room.Enter, room.DestroyRoom} {
				c := asked(t, verb, raw)
				if c == nil || verb == room.Send || c.User == "" && verb != room.Create && verb != room.SetAttributes && !verb.Info().Hosts {
					continue
				}
				for w.rooms[c.Room] != nil && w.rooms[c.Room].Ending() {
					w.store(room.EndNext(w.rooms[c.Room], w.input(c.Room)))
				}
				verdicts, facts := w.decide(c)
				if v := verdicts[0]; v.Begun && len(facts) == 1 {
					w.store(facts[0])
					continue
				}
				if verdicts[0].Later || verdicts[0].Changed != (len(facts) == 1) {
					t.Fatalf("%+v: %+v, %d facts", c, verdicts[0], len(facts))
				}
				for _, f := range facts {
					w.store(f)
				}
			}
			for r := range w.rooms {
				renew(t, w, r)
			}
		}
	})
}

// FuzzFacts folds anything that the decoder accepts: it either fits or is refused.
func FuzzFacts(f *testing.F) {
	w := newWorld(f)
	for _, line := range []string{
		"create alice lobby delay=60 +topic=tea", "join bob lobby", "join bob/tab lobby", "setAttributes bob lobby +seat=bob go", "setMemberAttributes alice lobby bob +badge=1 stay",
		"leave bob lobby", "kick ops lobby bob", "join bob lobby", "update ops lobby title=Hall hosts=creator", "updateMember bob lobby name=Bob", "setRole ops lobby bob role=host",
		"ban ops lobby eve seconds=60", "mute ops lobby bob", "unban ops lobby eve", "destroy ops lobby",
	} {
		w.run(line)
	}
	for w.rooms["lobby"] != nil {
		w.store(room.EndNext(w.rooms["lobby"], w.input("lobby")))
	}
	stored := w.journal
	for _, r := range stored {
		raw, err := r.Encode("")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint8(r.Sequence-1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, after uint8) {
		fact, err := events.DecodeFact(raw)
		if err != nil {
			return
		}
		for _, merging := range []bool{false, true} {
			var s *room.State
			for _, r := range stored[:min(int(after), len(stored)-1)] {
				if s, _, err = room.Apply(s, r.Fact, r.revision); err != nil {
					t.Fatal(err)
				}
			}
			if merging {
				s, _, _, err = room.Merge(s, fact, uint64(after)+1)
			} else {
				s, _, err = room.Apply(s, fact, uint64(after)+1)
			}
			if err != nil && !errors.Is(err, room.ErrDamaged) {
				t.Fatal(err)
			}
			if err == nil && s != nil {
				_ = dump(t, "lobby", s)
			}
		}
	})
}

// FuzzRecords reads arbitrary input as records of the bucket; what is read is written back the same.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"roomID":"r","instanceID":"i","sequence":3,"factAt":"2026-01-02T03:04:05.678Z"}`))
	f.Add([]byte(`{"roomID":"r","instanceID":"i","createdBy":"a","attributes":{"k":"v","x":""},"owners":{"k":"a","x":null},"deleteAfterOwnerLeft":["k"],"attributesAt":7,"end":{"operator":"o","reasonText":"t","requestID":"q"}}`))
	f.Add([]byte(`{"userID":"u","joinedAt":"2026-01-02T03:04:05.678Z","attributes":{"k":"v"},"staying":["k"],"sessions":[{"sessionID":"s","joinedAt":"2026-01-02T03:04:05.678Z"}],"revision":5,"order":1,"instanceID":"i"}`))
	f.Add([]byte(`{"instanceID":"i","revision":9,"attributes":{"k":"v"},"role":"host","ban":{"userID":"u","until":"2026-01-02T03:04:05.678Z","reason":"spam"},"mute":{"userID":"u"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		again := func(b []byte, err error) string {
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if h, err := room.DecodeHead(raw); err == nil {
			first := again(h.Record("r"))
			back, err := room.DecodeHead([]byte(first))
			if err != nil || again(back.Record("r")) != first || back.Sequence != h.Sequence || back.InstanceID != h.InstanceID {
				t.Fatalf("%+v came back as %+v, %v", h, back, err)
			}
		}
		if m, instance, err := room.DecodeMember(raw); err == nil {
			first := again(m.Record(instance))
			back, _, err := room.DecodeMember([]byte(first))
			if err != nil || again(back.Record(instance)) != first || back.User != m.User || len(back.Sessions) != len(m.Sessions) {
				t.Fatalf("%+v came back as %+v, %v", m, back, err)
			}
		}
		if k, instance, err := room.DecodeKept("u", raw); err == nil {
			first := again(k.Record(instance))
			if back, _, err := room.DecodeKept("u", []byte(first)); err != nil || again(back.Record(instance)) != first || back.Revision != k.Revision {
				t.Fatalf("%+v came back as %+v, %v", k, back, err)
			}
		}
	})
}
