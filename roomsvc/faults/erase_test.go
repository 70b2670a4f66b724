package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// deletions are the events of the room's deletions.
func (w *world) deletions(id subjects.Room) (list []*events.Deletion) {
	w.T.Helper()
	for _, raw := range w.messages(subjects.StreamMessages) {
		if d, err := events.DecodeDeletion(raw.Data); err == nil && raw.Subject == subjects.Messages(id) {
			list = append(list, d)
		}
	}
	return list
}

// kept says whether the stream still has a message.
func (w *world) kept(seq uint64) bool {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamMessages)
	if err == nil {
		_, err = stream.GetMsg(w.Ctx, seq)
	}
	if err != nil && !strings.Contains(err.Error(), jetstream.ErrMsgNotFound.Error()) {
		w.T.Fatal(err)
	}
	return err == nil
}

// An instance dies in the middle of a deletion, wherever that is. It happens all the same: by the
// same request to another instance, and without one by the instance that leads. It happens once.
func TestKilledWhileDeleting(t *testing.T) {
	for _, stops := range []string{"room.msgjournal.lobby", "$JS.API.STREAM.MSG.DELETE."} {
		for _, repeats := range []bool{true, false} {
			t.Run(fmt.Sprintf("before %s, repeated %v", stops, repeats), func(t *testing.T) {
				w := newWorld(t)
				bad := newProxy(t, w.Node.ClientURL())
				far := w.StartAt(bad.url, roomsvc.Config{Instance: "far"}, nats.NoReconnect())
				w.Create("lobby", 3600)
				w.Join("lobby", "alice")
				sent, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as("alice", "said"), RoomID: "lobby", Type: "text", Data: "never mind"})
				if err != nil {
					t.Fatal(err)
				}
				reached := make(chan struct{}, 1024)
				lose := rule(func(f *frame) fate {
					if !strings.HasPrefix(f.subject, stops) {
						return fate{}
					}
					reached <- struct{}{}
					return fate{lose: true}
				})
				bad.toServer.Store(&lose)
				ctx, cancel := context.WithCancel(w.Ctx)
				q := room.DeleteMessagesRequest{Caller: as("alice", "deleted"), RoomID: "lobby", MessageSeqs: []uint64{sent.MessageSeq}}
				answered := make(chan error, 1)
				go func() {
					_, err := w.Client.DeleteMessages(ctx, q)
					answered <- err
				}()
				<-reached
				if !w.kept(sent.MessageSeq) {
					t.Error("it is gone already")
				}
				far.Kill()
				cancel()
				if err := <-answered; err == nil {
					t.Error("it was answered")
				}
				w.Start(roomsvc.Config{Instance: "near"})
				if repeats {
					w.Until(patience, "the repeated request to be answered", w.Try(func(ctx context.Context) bool {
						r, err := w.Client.DeleteMessages(ctx, q)
						return err == nil && slices.Equal(r.MessageSeqs, q.MessageSeqs)
					}))
					if w.kept(sent.MessageSeq) {
						t.Error("after the answer, it is still there")
					}
				}
				w.Until(patience, "the message to be erased", func() bool { return !w.kept(sent.MessageSeq) })
				w.Until(patience, "the leader to have seen to it", func() bool {
					_, err := w.JS.Stream(w.Ctx, subjects.StreamMessages)
					return err == nil && w.lastOn(subjects.Deleted) > 0
				})
				if list := w.deletions("lobby"); len(list) != 1 || list[0].Operator != "alice" || !slices.Equal(list[0].MessageSeqs, q.MessageSeqs) {
					t.Errorf("of the deletion is told %+v", list)
				}
				if r, err := w.Client.DeleteMessages(w.Ctx, q); err != nil || !slices.Equal(r.MessageSeqs, q.MessageSeqs) {
					t.Errorf("repeated after all, it gives %+v, %v", r, err)
				}
			})
		}
	}
}

// lastOn is where the newest message on a subject of the stream of messages is; 0 if there is none.
func (w *world) lastOn(subject string) uint64 {
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamMessages)
	if err != nil {
		return 0
	}
	m, err := stream.GetLastMsgForSubject(w.Ctx, subject)
	if err != nil {
		return 0
	}
	return m.Sequence
}

// On a replicated stream the bytes are gone from the stream's files of every server at once. The
// log by which the servers agree has them until it is compacted, which takes at most 8 MB more.
func TestErasedFromReplicas(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Cluster(t, 3)
	w := callerOf(t, nodes[0].ClientURL())
	w.StartAt(nodes[0].ClientURL(), roomsvc.Config{Instance: "i", Replicas: 3})
	w.Create("lobby", 3600)
	const secret, stays = "the words that nobody is to read", "the words that stay"
	var seqs []uint64
	for n := range 10 {
		text := stays
		if n%2 == 0 {
			text = secret
		}
		r, err := w.Client.Send(w.Ctx, room.SendRequest{RoomID: "lobby", Type: "text", Data: text})
		if err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			seqs = append(seqs, r.MessageSeq)
		}
	}
	files := func(n *roomtest.Node) string {
		return filepath.Join(n.Store(), "jetstream", "$G", "streams", subjects.StreamMessages)
	}
	w.Until(patience, "every server to have it on its disk", func() bool {
		return !slices.ContainsFunc(nodes, func(n *roomtest.Node) bool { return roomtest.Holding(t, files(n), secret) == 0 })
	})
	if _, err := w.Client.DeleteMessages(w.Ctx, room.DeleteMessagesRequest{RoomID: "lobby", MessageSeqs: seqs}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Client.Send(w.Ctx, room.SendRequest{RoomID: "lobby", Type: "text", Data: stays}); err != nil {
		t.Fatal(err)
	}
	w.Until(patience, "every server to have erased it", func() bool {
		return !slices.ContainsFunc(nodes, func(n *roomtest.Node) bool { return roomtest.Holding(t, files(n), secret) > 0 })
	})
	for _, n := range nodes {
		if roomtest.Holding(t, files(n), stays) == 0 {
			t.Errorf("%s has lost what was not erased", n.Name())
		}
	}
	for range 500 {
		more := make([]byte, 12<<10)
		_, _ = rand.Read(more)
		if _, err := w.Client.Send(w.Ctx, room.SendRequest{RoomID: "lobby", Type: "text", Data: hex.EncodeToString(more)}); err != nil {
			t.Fatal(err)
		}
	}
	w.Until(patience, "no file of any server to have it", func() bool {
		return !slices.ContainsFunc(nodes, func(n *roomtest.Node) bool { return roomtest.Holding(t, n.Store(), secret) > 0 })
	})
}
