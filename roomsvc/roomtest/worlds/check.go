package worlds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Check compares the folded facts with what the service answers and with the bucket.
// Nothing may change meanwhile.
func (w *World) Check() map[string]*Roster {
	w.T.Helper()
	w.Until(Patience, "empty rooms to end", func() bool {
		for _, r := range w.Fold(w.Facts()) {
			if len(r.Users) == 0 && r.Delay == 0 {
				return false
			}
		}
		return true
	})
	facts := w.Facts()
	rooms := w.Fold(facts)
	for id, r := range rooms {
		users, at, ok := w.Members(id)
		if !ok || at.InstanceID != r.Instance || at.Sequence != r.Sequence || !slices.Equal(users, r.List()) {
			w.T.Errorf("members of %s says %s %d %v; the facts make %s %d %v", id, at.InstanceID, at.Sequence, users, r.Instance, r.Sequence, r.List())
		}
	}
	listed := 0
	for next, more := "", true; more; more = next != "" {
		list, err := w.Client.List(w.Ctx, room.ListRequest{Freshness: room.Freshness{Sync: true}, Page: room.Page{NextFlag: next}})
		if err != nil {
			w.T.Fatalf("list: %v", err)
		}
		listed, next = listed+len(list.RoomList), list.NextFlag
	}
	if listed != len(rooms) {
		w.T.Errorf("list names %d rooms, the facts make %d", listed, len(rooms))
	}
	if len(facts) > 0 {
		w.Projected(facts[len(facts)-1])
	}
	w.checkBucket(rooms)
	return rooms
}

// Projected waits until the bucket has reached a fact, the newest one. The fact's revision is
// not enough: a bucket that was ahead of a journal that lost its tail has seen higher ones.
func (w *World) Projected(newest Stored) {
	w.T.Helper()
	w.Until(Patience, fmt.Sprintf("the bucket to reach %d", newest.Revision), w.Try(func(ctx context.Context) bool {
		var v struct {
			FactID string `json:"factID"`
			Torn   bool   `json:"torn"`
		}
		stream, err := w.JS.Stream(ctx, subjects.StreamState)
		if err != nil {
			return false
		}
		m, err := stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketState, subjects.KeyProjected))
		return err == nil && json.Unmarshal(m.Data, &v) == nil && v.FactID == newest.ID && !v.Torn
	}))
}

// checkBucket compares the bucket with the folded facts. In a cluster a reading may be by a server
// that is behind, so it is read again for a while.
func (w *World) checkBucket(rooms map[string]*Roster) {
	w.T.Helper()
	for began := time.Now(); ; {
		wrong := w.bucketDiffers(rooms)
		if len(wrong) == 0 {
			return
		}
		if time.Since(began) > Patience {
			w.T.Errorf("%s", strings.Join(wrong, "\n"))
			return
		}
	}
}

// bucketDiffers says where the bucket is not as the folded facts are.
func (w *World) bucketDiffers(rooms map[string]*Roster) (wrong []string) {
	w.T.Helper()
	differs := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	heads, users := map[string]room.Head{}, map[string][]string{}
	for _, e := range w.bucket() {
		r, u, member, ok := subjects.ParseKey(e.Key())
		if !ok {
			continue
		}
		if !member {
			var err error
			if heads[string(r)], err = room.DecodeHead(e.Value()); err != nil {
				differs("the bucket's %s: %v", e.Key(), err)
			}
			continue
		}
		m, instance, err := room.DecodeMember(e.Value())
		if err != nil || rooms[string(r)] == nil || instance != rooms[string(r)].Instance {
			differs("the bucket's %s is of instance %q: %v", e.Key(), instance, err)
			continue
		}
		for _, s := range m.Sessions {
			users[string(r)] = append(users[string(r)], string(u)+"/"+s.SessionID)
		}
	}
	for id, r := range rooms {
		h := heads[id]
		slices.Sort(users[id])
		if h.InstanceID != r.Instance || h.Sequence != r.Sequence || !slices.Equal(users[id], r.List()) {
			differs("the bucket's %s: %s %d %v; the facts make %s %d %v", id, h.InstanceID, h.Sequence, users[id], r.Instance, r.Sequence, r.List())
		}
	}
	if len(heads) != len(rooms) {
		differs("the bucket has %d rooms, the facts make %d", len(heads), len(rooms))
	}
	return wrong
}

// bucket returns the bucket's living keys.
func (w *World) bucket() (entries []jetstream.KeyValueEntry) {
	w.T.Helper()
	var kv jetstream.KeyValue
	w.Until(Patience, "the bucket to be bound", w.Try(func(ctx context.Context) (bound bool) {
		var err error
		kv, err = w.JS.KeyValue(ctx, subjects.BucketState)
		return err == nil
	}))
	watch, err := kv.WatchAll(w.Ctx, jetstream.IgnoreDeletes())
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	for e := range watch.Updates() {
		if e == nil {
			break
		}
		entries = append(entries, e)
	}
	return entries
}
