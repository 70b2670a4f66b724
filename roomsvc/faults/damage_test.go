package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// messages is all that a stream holds.
func (w *world) messages(name string) (all []*jetstream.RawStreamMsg) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, name)
	if err != nil {
		w.T.Fatal(err)
	}
	info := stream.CachedInfo().State
	for seq := info.FirstSeq; seq <= info.LastSeq; {
		m, err := stream.GetMsg(w.Ctx, seq, jetstream.WithGetMsgSubject(">"))
		if err != nil {
			break
		}
		all = append(all, m)
		seq = m.Sequence + 1
	}
	return all
}

// rebuild makes the stream again, with these messages.
func (w *world) rebuild(name string, all []*jetstream.RawStreamMsg, change func(*jetstream.StreamConfig)) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, name)
	if err != nil {
		w.T.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if change != nil {
		change(&cfg)
	}
	if err := w.JS.DeleteStream(w.Ctx, name); err != nil {
		w.T.Fatal(err)
	}
	if _, err := w.JS.CreateStream(w.Ctx, cfg); err != nil {
		w.T.Fatal(err)
	}
	for _, m := range all {
		h := nats.Header{}
		for k, v := range m.Header {
			if !strings.HasPrefix(k, "Nats-") {
				h[k] = v
			}
		}
		if len(h["KV-Operation"]) > 0 || m.Header.Get(jetstream.MarkerReasonHeader) != "" {
			continue // a deleted key is gone
		}
		subject := m.Subject
		if r, ok := subjects.RoomOfFacts(subject); ok {
			subject = subjects.Journal(r)
		}
		if _, err := w.JS.PublishMsg(w.Ctx, &nats.Msg{Subject: subject, Header: h, Data: m.Data}); err != nil {
			w.T.Fatal(err)
		}
	}
}

// dir is where the server keeps a stream.
func (w *world) dir(stream string) string {
	return filepath.Join(w.Store, "jetstream", "$G", "streams", stream)
}

// copyOf copies what a stream of the stopped server holds.
func (w *world) copyOf(stream string) string {
	w.T.Helper()
	to := filepath.Join(w.T.TempDir(), stream)
	if err := os.CopyFS(to, os.DirFS(w.dir(stream))); err != nil {
		w.T.Fatal(err)
	}
	return to
}

// restore puts a copy in the place of a stream of the stopped server.
func (w *world) restore(stream, from string) {
	w.T.Helper()
	if err := os.RemoveAll(w.dir(stream)); err != nil {
		w.T.Fatal(err)
	}
	if err := os.CopyFS(w.dir(stream), os.DirFS(from)); err != nil {
		w.T.Fatal(err)
	}
}

// live lets some time pass in the rooms: some stay as they are, some change, some end,
// some begin. n tells one time from another.
func (w *world) live(n int) {
	w.T.Helper()
	if n == 0 {
		w.Create("quiet", 3600)
		w.Join("quiet", "alice")
		w.Create("busy", 3600)
		w.Create("ends", 0)
		w.Join("ends", "alice")
	}
	if n == 1 {
		w.Leave("ends", "alice")
	}
	for i := range 5 {
		w.Join("busy", fmt.Sprintf("u%d-%d", n, i))
	}
	w.Leave("busy", fmt.Sprintf("u%d-1", n))
	if n > 0 {
		w.Leave("busy", fmt.Sprintf("u%d-2", n-1))
	}
	w.Create(fmt.Sprintf("new%d", n), 3600)
	w.Join(fmt.Sprintf("new%d", n), "bob")
	w.Check()
}

// brief is a service to which a moment ago is long ago: on top of the bucket, a start reads
// only the end of the journal, as in a deployment that has run for long.
var brief = roomsvc.Config{Remember: 1, Settle: 1}

// forms are the settings with which damage is tried: in a young deployment a start reads
// the whole journal, in an old one only its end.
var forms = map[string]roomsvc.Config{"young": {}, "old": brief}

// safe checks that a start with [brief] would read the journal only after a revision.
func (w *world) safe(revision uint64) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamState)
	if err != nil {
		w.T.Fatal(err)
	}
	var v struct {
		Safe struct {
			Revision uint64 `json:"revision"`
		} `json:"safe"`
	}
	m, err := stream.GetLastMsgForSubject(w.Ctx, subjects.KV(subjects.BucketState, subjects.KeyProjected))
	if err != nil || json.Unmarshal(m.Data, &v) != nil || v.Safe.Revision < revision {
		w.T.Fatalf("safe is %d, want %d or more: %v", v.Safe.Revision, revision, err)
	}
}

func TestBucketIsMadeAgain(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testBucketIsMadeAgain(t, cfg) })
	}
}

func testBucketIsMadeAgain(t *testing.T, cfg roomsvc.Config) {
	t.Parallel()
	const ofYesterday = "a room's record is of yesterday"
	type messages = []*jetstream.RawStreamMsg
	key := func(k string) string { return subjects.KV(subjects.BucketState, k) }
	without := func(keys ...string) func(all, yesterday messages) messages {
		return func(all, _ messages) messages {
			n := len(all)
			all = slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
				return slices.ContainsFunc(keys, func(k string) bool { return m.Subject == key(k) })
			})
			if n-len(all) != len(keys) {
				t.Errorf("%d of %q were in the bucket", n-len(all), keys)
			}
			return all
		}
	}
	damages := map[string]func(all, yesterday messages) messages{
		"emptied":                        func(_, _ messages) messages { return nil },
		"a member is missing":            without("busy.u1-3"),
		"a room is missing":              without("busy"),
		"a new room and all its members": without("last", "last.bob"),
		"the mark is missing":            without(subjects.KeyProjected),
		"half of it is missing": func(all, _ messages) messages {
			var half messages
			for i, m := range all {
				if i%2 == 0 || m.Subject == key(subjects.KeyProjected) {
					half = append(half, m)
				}
			}
			return half
		},
		ofYesterday: func(all, yesterday messages) messages {
			old := slices.IndexFunc(yesterday, func(m *jetstream.RawStreamMsg) bool { return m.Subject == key("busy") })
			for i, m := range all {
				if m.Subject == key("busy") {
					all[i] = yesterday[old]
				}
			}
			return all
		},
		"a member too many": func(all, _ messages) messages {
			for _, m := range all {
				if m.Subject == key("busy.u1-3") {
					ghost := *m
					ghost.Subject, ghost.Data = key("busy.ghost"), []byte(strings.ReplaceAll(string(m.Data), "u1-3", "ghost"))
					return append(all, &ghost)
				}
			}
			return all
		},
	}
	if cfg.Settle == 0 { // otherwise nobody could see these: no later fact touches them, and no count covers them
		damages["an empty room is missing"] = without("empty")
		damages["an old room and all its members"] = without("quiet", "quiet.alice")
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			i := w.Start(cfg)
			w.Create("empty", 3600)
			w.live(0)
			yesterday := w.messages(subjects.StreamState)
			w.live(1)
			facts := w.Facts()
			newest := []func(){
				func() { w.Join("busy", "last") },
				func() { w.Create("last", 3600, "bob") },
			}
			if what == ofYesterday {
				slices.Reverse(newest) // so that the newest fact is of busy, and does not follow that record
			}
			for _, change := range newest {
				change()
			}
			before := w.Check()
			if cfg.Settle > 0 {
				w.safe(facts[len(facts)-1].Revision)
			}
			i.End()
			w.rebuild(subjects.StreamState, damage(w.messages(subjects.StreamState), yesterday), nil)
			w.Start(cfg)
			w.Join("quiet", "late") // so that the bucket's mark shows when the bucket is in order
			if after := w.Check(); len(after) != len(before) || after["busy"].Instance != before["busy"].Instance {
				t.Errorf("before there were %d rooms, now %d; busy was %s, is %s", len(before), len(after), before["busy"].Instance, after["busy"].Instance)
			}
			w.live(2)
		})
	}
}

// The bucket loses what it holds while an instance writes to it.
func TestBucketIsDamagedUnderItsLeader(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testBucketIsDamagedUnderItsLeader(t, cfg) })
	}
}

func testBucketIsDamagedUnderItsLeader(t *testing.T, cfg roomsvc.Config) {
	t.Parallel()
	for what, damage := range map[string]func(w *world, yesterday []*jetstream.RawStreamMsg){
		"emptied": func(w *world, _ []*jetstream.RawStreamMsg) {
			stream, err := w.JS.Stream(w.Ctx, subjects.StreamState)
			if err == nil {
				err = stream.Purge(w.Ctx)
			}
			if err != nil {
				w.T.Fatal(err)
			}
		},
		"an old copy": func(w *world, yesterday []*jetstream.RawStreamMsg) { w.rebuild(subjects.StreamState, yesterday, nil) },
		"of another deployment": func(w *world, _ []*jetstream.RawStreamMsg) {
			other := anotherWorld(w.T)
			other.Start(roomsvc.Config{}).EndAfter(func() { other.live(0); other.live(1); other.live(2) })
			w.rebuild(subjects.StreamState, other.messages(subjects.StreamState), nil)
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			i := w.Start(cfg)
			standby := w.Start(cfg)
			w.live(0)
			yesterday := w.messages(subjects.StreamState)
			w.live(1)
			damage(w, yesterday)
			w.live(2) // after this the bucket is what the facts make
			i.End()
			w.live(3)
			standby.End()
			w.Start(cfg)
			w.Check()
		})
	}
}

func TestBucketOfYesterday(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) {
			w := newWorld(t)
			i := w.Start(cfg)
			w.live(0)
			yesterday := w.messages(subjects.StreamState)
			w.live(1)
			w.live(2)
			i.End()
			w.rebuild(subjects.StreamState, yesterday, nil)
			w.Start(cfg)
			w.Check()
			w.live(3)
		})
	}
}

// A bucket that was made again may not be on disk yet. A start reads the journal from after
// what surely is, so a hole in the bucket is mended even if no count shows that something is
// missing.
func TestBucketMadeAgainIsNotSafeAtOnce(t *testing.T) {
	w := newWorld(t)
	cfg := roomsvc.Config{Remember: brief.Remember}
	i := w.Start(cfg)
	w.Create("empty", 3600)
	w.live(0)
	for range 2 {
		i.End()
		all := w.messages(subjects.StreamState)
		w.rebuild(subjects.StreamState, slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
			key := subjects.KeyOfKV(subjects.BucketState, m.Subject)
			return key == "empty" || key == "busy.u0-3" // the second is sure to be missed, and then everything is written again
		}), nil)
		i = w.Start(cfg)
		w.Join("quiet", "late")
		w.Leave("quiet", "late") // so that the bucket's mark shows when the bucket is in order
		w.Check()
	}
	i.End()
	all := w.messages(subjects.StreamState)
	w.rebuild(subjects.StreamState, slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
		return m.Subject == subjects.KV(subjects.BucketState, "empty")
	}), nil)
	w.Start(cfg)
	w.Check()
}

func TestBucketOfAnotherDeployment(t *testing.T) {
	w := newWorld(t)
	other := anotherWorld(t)
	w.Start(roomsvc.Config{}).EndAfter(func() { w.live(0) })
	other.Start(roomsvc.Config{}).EndAfter(func() { other.live(0) })
	w.rebuild(subjects.StreamState, other.messages(subjects.StreamState), nil)
	w.Refuses(roomsvc.Config{}, "another deployment", "restore the one that fits, or delete the bucket")
	if err := w.JS.DeleteStream(w.Ctx, subjects.StreamState); err != nil { // as the error advises
		t.Fatal(err)
	}
	w.Start(roomsvc.Config{})
	w.Check()
}

// The journal no longer reaches back to the beginning of its rooms. With a damaged bucket,
// which can't make up for that, the service does not start.
func TestJournalBeginsLater(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testJournalBeginsLater(t, cfg) })
	}
}

func testJournalBeginsLater(t *testing.T, cfg roomsvc.Config) {
	t.Parallel()
	for what, c := range map[string]struct {
		bucket func(*world) // what happens to the bucket
		starts bool
	}{
		"whole bucket": {func(*world) {}, true},
		"no bucket": {func(w *world) {
			if err := w.JS.DeleteStream(w.Ctx, subjects.StreamState); err != nil {
				w.T.Fatal(err)
			}
		}, false},
		"a hole in the bucket": {func(w *world) {
			all := w.messages(subjects.StreamState)
			w.rebuild(subjects.StreamState, slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
				return m.Subject == subjects.KV(subjects.BucketState, "busy.u0-3")
			}), nil)
		}, false},
		"a room lost from the bucket": {func(w *world) {
			all := w.messages(subjects.StreamState)
			w.rebuild(subjects.StreamState, slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
				key := subjects.KeyOfKV(subjects.BucketState, m.Subject)
				return key == "busy" || strings.HasPrefix(key, "busy.")
			}), nil)
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.Start(cfg).EndAfter(func() { w.live(0); w.live(1); w.Join("busy", "last") })
			facts := w.Facts()
			users := w.Fold(facts)["busy"].List()
			w.age(facts[len(facts)-4].Revision)
			c.bucket(w)
			if !c.starts {
				w.Refuses(cfg, "does not reach back", "restore a bucket")
				w.Refuses(cfg, "does not reach back") // the first attempt made nothing worse
				return
			}
			w.Start(cfg)
			in, _, _ := w.Members("busy")
			if !slices.Equal(in, users) {
				t.Errorf("%v are in, want %v", in, users)
			}
			w.Join("busy", "late") // the fact on which this append is conditional may have aged out
			w.Join("quiet", "late")
			if _, err := w.Client.Create(w.Ctx, room.CreateRequest{RoomID: "quiet"}); err == nil {
				t.Error("a room that exists is created again")
			}
		})
	}
}

// age takes everything before a sequence out of the journal, as time does.
func (w *world) age(first uint64) {
	w.T.Helper()
	all := w.messages(subjects.StreamRooms)
	at := uint64(0)
	for _, m := range all {
		if at++; m.Sequence != at {
			w.T.Fatalf("the journal has a hole before %d; the copy would have other sequences", m.Sequence)
		}
	}
	deny := false
	w.rebuild(subjects.StreamRooms, all, func(c *jetstream.StreamConfig) { deny, c.DenyPurge = c.DenyPurge, false })
	stream, err := w.JS.Stream(w.Ctx, subjects.StreamRooms)
	if err != nil {
		w.T.Fatal(err)
	}
	if err := stream.Purge(w.Ctx, jetstream.WithPurgeSequence(first)); err != nil {
		w.T.Fatal(err)
	}
	if !deny {
		w.T.Error("the journal can be purged")
	}
}

// renewed waits until rooms that lost facts go on as new instances, with everybody who
// was in them.
func (w *world) renewed(before map[string]*worlds.Roster, rooms ...string) {
	w.T.Helper()
	for _, id := range rooms {
		w.Until(patience, id+" to be another instance", func() bool {
			r := w.Fold(w.Facts())[id]
			return r != nil && r.Instance != before[id].Instance && len(r.Users) == len(before[id].Users)
		})
	}
}

// The server comes back without the journal's newest facts.
func TestJournalLostItsTail(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testJournalLostItsTail(t, cfg) })
	}
}

func testJournalLostItsTail(t *testing.T, cfg roomsvc.Config) {
	w := newWorld(t)
	w.Start(cfg).EndAfter(func() { w.live(0) })
	before := w.Fold(w.Facts())
	w.Node.Stop()
	old := w.copyOf(subjects.StreamRooms)
	w.Node.Start()
	w.Start(cfg).EndAfter(func() { w.live(1) })
	w.Node.Stop()
	w.restore(subjects.StreamRooms, old)
	w.Node.Start()

	i := w.Start(cfg)
	i.Said("the journal lost its newest facts")
	w.renewed(before, "busy", "ends")
	after := w.Check()
	if after["quiet"].Instance != before["quiet"].Instance || after["new0"].Instance != before["new0"].Instance {
		t.Error("a room that lost nothing is a new one")
	}
	if !slices.Equal(after["busy"].List(), before["busy"].List()) {
		t.Errorf("in busy are %v, want %v", after["busy"].List(), before["busy"].List())
	}
	if after["new1"] != nil {
		t.Error("a room whose every fact was lost is there")
	}
	if e := after["ends"]; e == nil || !slices.Equal(e.List(), []string{"alice/default"}) {
		t.Errorf("the room whose end was lost: %+v", e)
	}
	i.Said("a room lost facts and goes on as a new instance")
	i.End()
	w.Start(cfg) // this start finds nothing to renew
	if again := w.Check(); again["busy"].Instance != after["busy"].Instance {
		t.Error("the next start makes another instance")
	}
}

// A client that watches through such a loss begins again, and hears the next facts as they
// come, though they have the places of facts that it heard before. If the bucket lost as
// much, the room is still the same instance.
func TestWatchOverALostTail(t *testing.T) {
	t.Parallel()
	for what, lost := range map[string][]string{"journal": {subjects.StreamRooms}, "journal and bucket": {subjects.StreamRooms, subjects.StreamState}} {
		t.Run(what, func(t *testing.T) { testWatchOverALostTail(t, lost) })
	}
}

func testWatchOverALostTail(t *testing.T, lost []string) {
	w := newWorld(t)
	w.Start(roomsvc.Config{}).EndAfter(func() { w.Create("lobby", 3600, "alice"); w.Check() })
	w.Node.Stop()
	old := map[string]string{}
	for _, stream := range lost {
		old[stream] = w.copyOf(stream)
	}
	w.Node.Start()
	i := w.Start(roomsvc.Config{})
	step := stepping(t, w.Client.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby", Every: time.Second}))
	step()
	for range 10 {
		w.Join("lobby", "bob")
		w.Leave("lobby", "bob")
		step()
		step()
	}
	w.Check()
	i.End()
	w.Node.Stop()
	for stream, from := range old {
		w.restore(stream, from)
	}
	w.Node.Start()
	w.Start(roomsvc.Config{})
	fresh := client.FreshInstance
	if len(lost) > 1 {
		fresh = client.FreshGap
	} else if u := step(); u.Fact != nil || u.Roster != nil {
		t.Fatalf("the end of the old instance is %+v", u)
	}
	if u := step(); u.Fresh != fresh || u.Roster == nil || u.Roster.Len() != 1 {
		t.Fatalf("it goes on with %+v", u)
	}
	w.Join("lobby", "carol")
	if u := step(); u.Fact == nil || u.Recovered || u.Roster.Len() != 2 {
		t.Errorf("the next step is %+v", u)
	}
}

// The journal lost its tail, and new facts filled the lost places before the bucket came back.
func TestJournalLostItsTailAndGrewAgain(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testJournalLostItsTailAndGrewAgain(t, cfg) })
	}
}

func testJournalLostItsTailAndGrewAgain(t *testing.T, cfg roomsvc.Config) {
	w := newWorld(t)
	w.Start(cfg).EndAfter(func() { w.live(0) })
	w.Node.Stop()
	old, oldBucket := w.copyOf(subjects.StreamRooms), w.copyOf(subjects.StreamState)
	w.Node.Start()
	w.Start(cfg).EndAfter(func() { w.live(1) })
	w.Node.Stop()
	newBucket := w.copyOf(subjects.StreamState)
	w.restore(subjects.StreamRooms, old)
	w.restore(subjects.StreamState, oldBucket)
	w.Node.Start()
	w.Start(cfg).EndAfter(func() {
		for n := range 60 {
			w.Join("busy", fmt.Sprintf("refill%d", n))
		}
		w.Create("other", 3600)
		w.Check()
	})
	before := w.Fold(w.Facts())
	w.Node.Stop()
	w.restore(subjects.StreamState, newBucket)
	w.Node.Start()

	i := w.Start(cfg)
	i.Said("the journal lost its newest facts")
	w.renewed(before, "busy")
	after := w.Check()
	if after["quiet"].Instance != before["quiet"].Instance {
		t.Error("a room that lost nothing is a new one")
	}
	if !slices.Equal(after["busy"].List(), before["busy"].List()) || after["other"] == nil || after["new1"] != nil {
		t.Errorf("in busy are %v, want %v; the rooms are %v", after["busy"].List(), before["busy"].List(), after)
	}
}

// A running instance that sees its journal go back in time ends, and says why.
func TestJournalGoesBackUnderAnInstance(t *testing.T) {
	t.Parallel()
	for what, poke := range map[string]func(*world){
		"and it is asked for a room": func(w *world) {
			_, _ = w.Client.Get(w.Ctx, room.ReadRequest{RoomID: "busy", Freshness: room.Freshness{Sync: true}})
		},
		"and it is asked to change one": func(w *world) {
			_, _ = w.Client.Join(w.Ctx, room.RoomRequest{Caller: as("late", ""), RoomID: "busy"})
		},
		"and it is asked for a new one": func(w *world) {
			_, _ = w.Client.Create(w.Ctx, room.CreateRequest{RoomID: "late", Config: &room.RoomConfig{RoomDestroyDelayTime: 3600}})
		},
		"and it is asked for a switch": func(w *world) {
			c := &command{verb: room.Switch, caller: as("alice", "switch"), room: "quiet", to: "new0"} // neither room lost anything
			before := len(w.Facts())
			_, err := c.send(w.Ctx, w.Client)
			if stored := len(w.Facts()) > before; stored && errors.Is(err, room.ErrBusy) {
				w.T.Errorf("a switch that is stored: %v", err)
			}
		},
		"and nobody asks": func(*world) {},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.Start(roomsvc.Config{}).EndAfter(func() { w.live(0) })
			before := w.Fold(w.Facts())
			w.Node.Stop()
			old := w.copyOf(subjects.StreamRooms)
			w.Node.Start()
			i := w.Start(roomsvc.Config{})
			w.live(1)
			w.Node.Stop()
			w.restore(subjects.StreamRooms, old)
			w.Node.Start()
			w.Until(patience, "the instance to be back", func() bool {
				ctx, cancel := context.WithTimeout(w.Ctx, time.Second)
				defer cancel()
				_, err := w.Client.Get(ctx, room.ReadRequest{RoomID: "quiet"})
				return err == nil
			})
			poke(w)
			select {
			case <-i.Done():
			case <-time.After(patience):
				t.Fatalf("it goes on\n%s", i.Log)
			}
			if err := i.Err(); err == nil || !strings.Contains(err.Error(), "came back without its newest data") {
				t.Errorf("it ended with %v", err)
			}
			w.Start(roomsvc.Config{})
			w.renewed(before, "busy", "ends")
			w.Check()
		})
	}
}
