package worlds

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Stored is a fact and its place in the journal.
type Stored struct {
	*events.Fact
	Revision uint64
}

// Facts reads the journal from its beginning.
func (w *World) Facts() (facts []Stored) {
	w.T.Helper()
	cons, last := w.journal()
	defer func() {
		ctx, cancel := w.Brief()
		defer cancel()
		_ = w.JS.DeleteConsumer(ctx, subjects.StreamRooms, cons.CachedInfo().Name)
	}()
	if last == 0 {
		return nil
	}
	it, err := cons.Messages()
	if err != nil {
		w.T.Fatal(err)
	}
	defer it.Stop()
	for at := uint64(0); at < last; {
		m, err := it.Next(jetstream.NextContext(w.Ctx))
		if err != nil {
			w.T.Fatalf("reading the journal: %v", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.T.Fatal(err)
		}
		at = meta.Sequence.Stream
		f, err := events.DecodeFact(m.Data())
		if err != nil {
			w.T.Fatalf("fact %d: %v", at, err)
		}
		facts = append(facts, Stored{f, at})
	}
	return facts
}

// journal returns a consumer of all facts, and where the last fact is according to the stream's
// leader: a consumer's leader may lag behind, and think that it has reached the end.
func (w *World) journal() (cons jetstream.Consumer, last uint64) {
	w.T.Helper()
	w.Until(Patience, "a consumer of the journal", w.Try(func(ctx context.Context) bool {
		stream, err := w.JS.Stream(ctx, subjects.StreamRooms)
		if err != nil {
			return false
		}
		m, err := stream.GetLastMsgForSubject(ctx, subjects.FactsPattern)
		if err == nil {
			last = m.Sequence
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false
		}
		cons, err = w.JS.OrderedConsumer(ctx, subjects.StreamRooms, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subjects.FactsPattern}})
		return err == nil
	}))
	return cons, last
}

// Roster is a room as its facts describe it.
type Roster struct {
	Instance string
	Sequence uint64
	Users    map[string]bool // user/session
	Delay    int64
}

// List returns the users in order.
func (r *Roster) List() []string { return slices.Sorted(maps.Keys(r.Users)) }

// Fold makes rooms from facts, each of which must fit the one before it.
func (w *World) Fold(facts []Stored) map[string]*Roster {
	w.T.Helper()
	rooms := map[string]*Roster{}
	ids := map[string]bool{}
	for _, f := range facts {
		id := string(f.Room)
		r := rooms[id]
		if ids[f.ID] {
			w.T.Errorf("%d: the fact %s is stored twice", f.Revision, f.ID)
		}
		ids[f.ID] = true
		if f.Type == events.RoomCreated && r == nil {
			r = &Roster{Instance: f.InstanceID, Users: map[string]bool{}, Delay: f.Info.Config.RoomDestroyDelayTime}
			rooms[id] = r
		}
		if r == nil || r.Instance != f.InstanceID || r.Sequence+1 != f.Sequence {
			w.T.Fatalf("%d: %s %d of %s, instance %s, does not follow %+v", f.Revision, f.Type, f.Sequence, id, f.InstanceID, r)
		}
		r.Sequence = f.Sequence
		for _, j := range f.Joined {
			if key := j.UserID + "/" + j.SessionID; r.Users[key] {
				w.T.Errorf("%d: %s joins %s twice", f.Revision, key, id)
			} else {
				r.Users[key] = true
			}
		}
		for _, l := range f.Left {
			key := l.UserID + "/" + l.SessionID
			if !r.Users[key] {
				w.T.Errorf("%d: %s leaves %s and is not in it", f.Revision, key, id)
			}
			delete(r.Users, key)
		}
		if f.Type == events.RoomDestroyed {
			if len(r.Users) > 0 {
				w.T.Errorf("%d: %s ends with %v in it", f.Revision, id, r.List())
			}
			delete(rooms, id)
		}
	}
	return rooms
}
