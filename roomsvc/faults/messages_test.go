package faults_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// said maps the data of every stored message to where the message is.
func (w *world) said() map[string]uint64 {
	w.T.Helper()
	stored := map[string]uint64{}
	for _, raw := range w.messages(subjects.StreamMessages) {
		m, err := events.DecodeMessage(raw.Data)
		if err != nil {
			w.T.Fatal(err)
		}
		if at, ok := stored[m.Data]; ok {
			w.T.Errorf("%q is stored at %d and at %d", m.Data, at, raw.Sequence)
		}
		stored[m.Data] = raw.Sequence
	}
	return stored
}

// The stream's answers get lost or come late, and so do messages on their way into it.
// Each is stored once, and answered in time with where it is.
func TestLostAcksOfMessages(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	w.StartAt(bad.url, roomsvc.Config{Instance: "far"})
	w.Create("lobby", 3600)
	acks := rule(func(f *frame) fate {
		if !bytes.Contains(f.body, []byte(`"stream":"ROOM_MESSAGES"`)) {
			return fate{}
		}
		return chance(rand.Float64(), 0.3, 0.3, 1500*time.Millisecond)
	})
	appends := rule(func(f *frame) fate {
		if f.subject != "room.msgjournal.lobby" {
			return fate{}
		}
		return chance(rand.Float64(), 0.2, 0.2, 1500*time.Millisecond)
	})
	senders, each := 16, 3
	if long {
		each = 20
	}
	for u := range senders {
		w.Join("lobby", fmt.Sprintf("u%d", u))
	}
	bad.toClient.Store(&acks)
	bad.toServer.Store(&appends)
	var mu sync.Mutex
	answered := map[string]*room.SendReply{}
	var group sync.WaitGroup
	for u := range senders {
		group.Go(func() {
			for n := range each {
				q := room.SendRequest{Caller: as(fmt.Sprintf("u%d", u), fmt.Sprint(n)), RoomID: "lobby", Type: "text", Data: fmt.Sprintf("%d of u%d", n, u)}
				for {
					began := time.Now()
					r, err := w.Client.Send(w.Ctx, q)
					if took := time.Since(began); !w.late.Within(took, answerBy, began) {
						t.Errorf("%s was answered after %v", q.Data, took)
					}
					if err == nil {
						mu.Lock()
						answered[q.Data] = r
						mu.Unlock()
						break
					}
					if !open(err) {
						t.Errorf("%s: %v", q.Data, err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	bad.on(nil, nil)
	roomtest.Figure(t, "%d messages; %d frames lost, %d held up", senders*each, bad.lost.Load(), bad.held.Load())
	if bad.lost.Load() == 0 {
		t.Error("nothing was lost")
	}
	stored := w.said()
	if len(stored) != len(answered) || len(stored) != senders*each {
		t.Errorf("%d messages, %d answered, %d stored", senders*each, len(answered), len(stored))
	}
	for data, r := range answered {
		if stored[data] != r.MessageSeq {
			t.Errorf("%q was answered with %d, and is stored at %d", data, r.MessageSeq, stored[data])
		}
	}
}

// The stream does not answer: a message's fate is unknown, and sending the same request again
// reveals it when the stream is back.
func TestMessagesWithoutAnswer(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	w.StartAt(bad.url, roomsvc.Config{})
	w.Create("lobby", 3600)
	w.Join("lobby", "alice")
	for what, stored := range map[string]bool{"lost on the way": false, "stored unheard": true} {
		mute := rule(func(f *frame) fate {
			return fate{lose: f.subject == "room.msgjournal.lobby" || bytes.Contains(f.body, []byte(`"stream":"ROOM_MESSAGES"`))}
		})
		if stored {
			bad.toClient.Store(&mute)
		} else {
			bad.toServer.Store(&mute)
		}
		q := room.SendRequest{Caller: as("alice", what), RoomID: "lobby", Type: "text", Data: what}
		began := time.Now()
		_, err := w.Client.Send(w.Ctx, q)
		if !errors.Is(err, room.ErrUnavailable) || !w.late.Within(time.Since(began), answerBy, began) {
			t.Errorf("%s: %v after %v; want UNAVAILABLE in time", what, err, time.Since(began))
		}
		// Rooms can still be changed meanwhile.
		w.Join("lobby", "friend of "+what)
		bad.on(nil, nil)
		r, err := w.Client.Send(w.Ctx, q)
		if err != nil {
			t.Fatalf("%s: sent again: %v", what, err)
		}
		if at := w.said()[what]; at != r.MessageSeq {
			t.Errorf("%s: answered with %d, stored at %d", what, r.MessageSeq, at)
		}
	}
	w.Check()
}

// An instance dies when it has removed only some of a room's members: another one that runs,
// or the next to start, finishes the end.
func TestDestructionIsFinished(t *testing.T) {
	for what, running := range map[string]bool{"by one that runs": true, "by the next one": false} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			first := w.Start(roomsvc.Config{})
			w.Create("doomed", 3600)
			var last *room.JoinedReply
			for u := range 30 {
				last = w.Join("doomed", fmt.Sprintf("u%d", u))
			}
			if !running {
				first.End()
			}
			f := &events.Fact{
				ID: "half", Type: events.MemberLeft, Room: "doomed", InstanceID: last.InstanceID, Sequence: last.Sequence + 1, Time: events.TimeOf(time.Now()), MemberCount: 29,
				Left: []events.Left{{
					UserID: "u0", SessionID: room.DefaultSession, JoinedAt: last.Room.CreatedAt, LeftAt: events.TimeOf(time.Now()),
					Reason: events.ReasonDestroyed, ReasonText: "over", Operator: "admin", RequestID: "d",
				}},
				Digests: []string{""},
			}
			entry, err := journal.Fact(f, "", last.Revision)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.JS.PublishMsg(w.Ctx, &nats.Msg{Subject: entry.Subject, Header: entry.Header, Data: entry.Data}, jetstream.WithExpectLastSequencePerSubject(last.Revision)); err != nil {
				t.Fatal(err)
			}
			if !running {
				w.Start(roomsvc.Config{})
			}
			var facts []worlds.Stored
			w.Until(patience, "the room to end", func() bool { facts = w.Facts(); return w.Fold(facts)["doomed"] == nil })
			end := facts[len(facts)-1]
			if end.Type != events.RoomDestroyed || end.Reason != events.DestroyedRequested {
				t.Errorf("the end is %+v", end.Fact)
			}
			out := 0
			for _, f := range facts {
				for _, l := range f.Left {
					if l.Reason != events.ReasonDestroyed || l.Operator != "admin" || l.ReasonText != "over" {
						t.Errorf("%s left by %+v", l.UserID, l)
					}
					out++
				}
			}
			if out != 30 {
				t.Errorf("%d members left", out)
			}
			if r, err := w.Client.Destroy(w.Ctx, room.DestroyRequest{Caller: room.Caller{UserID: "admin", RequestID: "d"}, RoomID: "doomed"}); err != nil || r.RoomID != "doomed" {
				t.Errorf("asked again: %+v, %v", r, err)
			}
			w.Check()
		})
	}
}
