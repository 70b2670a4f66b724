package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/subjects"
)

// The archive of docs/pipelines.md has the facts and the messages of a day, all of them, each
// once and in order, and none of the markers between them, of which there are many more.
func TestArchive(t *testing.T) {
	w := newWorld(t)
	w.Start(roomsvc.Config{})
	archive := w.archive("../../deploy/archive.json")
	const hours, perHour = 24, 200
	for hour := range hours {
		id := fmt.Sprintf("room%d", hour%3)
		if hour < 3 {
			w.Create(id, 3600, "host")
		}
		for n := range 3 {
			user := fmt.Sprintf("u%d-%d", hour, n)
			w.Join(id, user)
			w.Ask("send", fmt.Sprintf(`{"roomID":%q,"userID":%q,"type":"text","data":"hello"}`, id, user))
			w.Leave(id, user)
		}
		w.markers(perHour)
	}
	kept, total := map[string][]*jetstream.RawStreamMsg{}, 0
	for _, stream := range []string{subjects.StreamRooms, subjects.StreamMessages} {
		all := w.messages(stream)
		kept[stream] = slices.DeleteFunc(slices.Clone(all), func(m *jetstream.RawStreamMsg) bool {
			return m.Subject == subjects.Sync || m.Subject == subjects.MessagesPoint
		})
		if n := len(all) - len(kept[stream]); n < 1000 {
			t.Errorf("%s has only %d markers", stream, n)
		}
		total += len(kept[stream])
	}
	if facts, said := len(kept[subjects.StreamRooms]), len(kept[subjects.StreamMessages]); facts != 3+hours*6 || said != hours*3 {
		t.Errorf("%d facts and %d messages are stored", facts, said)
	}
	w.Until(patience, "everything to be in the archive", w.Try(func(ctx context.Context) bool {
		info, err := archive.Info(ctx)
		return err == nil && info.State.Msgs >= uint64(total)
	}))
	for stream, all := range kept {
		if err := sameMessages(all, w.archived(archive, stream)); err != nil {
			t.Errorf("the archive of %s: %v", stream, err)
		}
	}
	if info, err := archive.Info(w.Ctx); err != nil || info.State.Msgs != uint64(total) {
		t.Errorf("the archive holds %d messages, want %d: %v", info.State.Msgs, total, err)
	}

	// What `nats sub room.evt.room1 --stream ROOMS_ARCHIVE --all` does.
	for subject, want := range map[string]int{subjects.Facts("room1"): 1 + hours*2, subjects.Messages("room1"): hours} {
		cons, err := archive.OrderedConsumer(w.Ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
		if err != nil {
			t.Fatal(err)
		}
		if n := cons.CachedInfo().NumPending; n != uint64(want) {
			t.Errorf("%s has %d messages in the archive, want %d", subject, n, want)
		}
	}
	w.Start(roomsvc.Config{Instance: "beside the archive"}) // it does not mistake the archive for a second journal
}

// archive makes the stream that a file describes.
func (w *world) archive(file string) jetstream.Stream {
	w.T.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		w.T.Fatal(err)
	}
	var cfg jetstream.StreamConfig
	known := json.NewDecoder(bytes.NewReader(data))
	known.DisallowUnknownFields()
	if err := known.Decode(&cfg); err != nil {
		w.T.Fatal(err)
	}
	stream, err := w.JS.CreateStream(w.Ctx, cfg)
	if err != nil {
		w.T.Fatal(err)
	}
	return stream
}

// markers stores as many markers in the journal as among the messages.
func (w *world) markers(n int) {
	w.T.Helper()
	var acks []jetstream.PubAckFuture
	for range n {
		for _, subject := range []string{subjects.Sync, subjects.MessagesMarker} {
			ack, err := w.JS.PublishMsgAsync(&nats.Msg{Subject: subject})
			if err != nil {
				w.T.Fatal(err)
			}
			acks = append(acks, ack)
		}
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			w.T.Fatal(err)
		}
	}
}

// archived is what an archive has of a stream.
func (w *world) archived(archive jetstream.Stream, of string) (all []*jetstream.RawStreamMsg) {
	w.T.Helper()
	for _, m := range w.messages(archive.CachedInfo().Config.Name) {
		if strings.HasPrefix(m.Header.Get("Nats-Stream-Source"), of+" ") {
			all = append(all, m)
		}
	}
	return all
}

// sameMessages compares what was stored with what was kept elsewhere.
func sameMessages(stored, kept []*jetstream.RawStreamMsg) error {
	for i, m := range kept {
		if i >= len(stored) {
			return fmt.Errorf("it has %d, and %d were stored; the first that is too many is on %s", len(kept), len(stored), m.Subject)
		}
		source := strings.Fields(m.Header.Get("Nats-Stream-Source"))
		if m.Subject != stored[i].Subject || string(m.Data) != string(stored[i].Data) || source[1] != fmt.Sprint(stored[i].Sequence) {
			return fmt.Errorf("message %d is on %s, from %s; it was stored on %s at %d", i+1, m.Subject, source, stored[i].Subject, stored[i].Sequence)
		}
	}
	if len(kept) != len(stored) {
		return fmt.Errorf("it has %d, and %d were stored", len(kept), len(stored))
	}
	return nil
}
