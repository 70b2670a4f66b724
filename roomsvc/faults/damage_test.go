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
	"natsrooms/subjects"
)

// messages is all that a stream holds.
func (w *world) messages(name string) (all []*jetstream.RawStreamMsg) {
	w.t.Helper()
	stream, err := w.js.Stream(w.ctx, name)
	if err != nil {
		w.t.Fatal(err)
	}
	info := stream.CachedInfo().State
	for seq := info.FirstSeq; seq <= info.LastSeq; {
		m, err := stream.GetMsg(w.ctx, seq, jetstream.WithGetMsgSubject(">"))
		if err != nil {
			break
		}
		all = append(all, m)
		seq = m.Sequence + 1
	}
	return all
}

// rebuild makes the stream anew, of these messages.
func (w *world) rebuild(name string, all []*jetstream.RawStreamMsg, change func(*jetstream.StreamConfig)) {
	w.t.Helper()
	stream, err := w.js.Stream(w.ctx, name)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if change != nil {
		change(&cfg)
	}
	if err := w.js.DeleteStream(w.ctx, name); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.js.CreateStream(w.ctx, cfg); err != nil {
		w.t.Fatal(err)
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
		if _, err := w.js.PublishMsg(w.ctx, &nats.Msg{Subject: subject, Header: h, Data: m.Data}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// dir is where the server keeps a stream.
func (w *world) dir(stream string) string {
	return filepath.Join(w.store, "jetstream", "$G", "streams", stream)
}

// copyOf keeps what a stream of the stopped server holds.
func (w *world) copyOf(stream string) string {
	w.t.Helper()
	to := filepath.Join(w.t.TempDir(), stream)
	if err := os.CopyFS(to, os.DirFS(w.dir(stream))); err != nil {
		w.t.Fatal(err)
	}
	return to
}

// restore puts a copy in the place of a stream of the stopped server.
func (w *world) restore(stream, from string) {
	w.t.Helper()
	if err := os.RemoveAll(w.dir(stream)); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(w.dir(stream), os.DirFS(from)); err != nil {
		w.t.Fatal(err)
	}
}

// live lets some time go by in the rooms: some stay as they are, some change, some end,
// some begin. n tells one time from another.
func (w *world) live(n int) {
	w.t.Helper()
	if n == 0 {
		w.create("quiet", 3600)
		w.join("quiet", "alice")
		w.create("busy", 3600)
		w.create("ends", 0)
		w.join("ends", "alice")
	}
	if n == 1 {
		w.leave("ends", "alice")
	}
	for i := range 5 {
		w.join("busy", fmt.Sprintf("u%d-%d", n, i))
	}
	w.leave("busy", fmt.Sprintf("u%d-1", n))
	if n > 0 {
		w.leave("busy", fmt.Sprintf("u%d-2", n-1))
	}
	w.create(fmt.Sprintf("new%d", n), 3600)
	w.join(fmt.Sprintf("new%d", n), "bob")
	w.check()
}

// said checks that the instance logged something.
func (i *instance) said(what string) {
	i.t.Helper()
	if !strings.Contains(i.log.String(), what) {
		i.t.Errorf("it does not say %q; it says\n%s", what, i.log)
	}
}

// brief is a service to which a moment ago is long ago: what a start reads of the journal
// over the bucket is its end only, as in a deployment that runs for long.
var brief = roomsvc.Config{Remember: 1, Settle: 1}

// forms are the settings with which damage is tried: in a young deployment a start reads
// the whole journal, in an old one its end.
var forms = map[string]roomsvc.Config{"young": {}, "old": brief}

// safe waits until a start with [brief] would read the journal behind a revision only.
func (w *world) safe(revision uint64) {
	w.t.Helper()
	stream, err := w.js.Stream(w.ctx, subjects.StreamState)
	if err != nil {
		w.t.Fatal(err)
	}
	var v struct {
		Safe struct {
			Revision uint64 `json:"revision"`
		} `json:"safe"`
	}
	m, err := stream.GetLastMsgForSubject(w.ctx, subjects.KV(subjects.BucketState, subjects.KeyProjected))
	if err != nil || json.Unmarshal(m.Data, &v) != nil || v.Safe.Revision < revision {
		w.t.Fatalf("safe is %d, want %d or more: %v", v.Safe.Revision, revision, err)
	}
}

func TestBucketIsMadeAnew(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testBucketIsMadeAnew(t, cfg) })
	}
}

func testBucketIsMadeAnew(t *testing.T, cfg roomsvc.Config) {
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
	if cfg.Settle == 0 { // by what no fact has touched since, and no member counts, nobody can see it
		damages["an empty room is missing"] = without("empty")
		damages["an old room and all its members"] = without("quiet", "quiet.alice")
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			i := w.start("", cfg)
			w.create("empty", 3600)
			w.live(0)
			yesterday := w.messages(subjects.StreamState)
			w.live(1)
			facts := w.facts()
			newest := []func(){
				func() { w.join("busy", "last") },
				func() { w.create("last", 3600, "bob") },
			}
			if what == ofYesterday {
				slices.Reverse(newest) // a fact that does not follow that record
			}
			for _, change := range newest {
				change()
			}
			before := w.check()
			if cfg.Settle > 0 {
				w.safe(facts[len(facts)-1].revision)
			}
			i.stop()
			w.rebuild(subjects.StreamState, damage(w.messages(subjects.StreamState), yesterday), nil)
			w.start("", cfg)
			w.join("quiet", "late") // so that the bucket's mark tells when it is in order
			if after := w.check(); len(after) != len(before) || after["busy"].instance != before["busy"].instance {
				t.Errorf("before there were %d rooms, now %d; busy was %s, is %s", len(before), len(after), before["busy"].instance, after["busy"].instance)
			}
			w.live(2)
		})
	}
}

// The bucket loses what it holds while an instance writes it.
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
			stream, err := w.js.Stream(w.ctx, subjects.StreamState)
			if err == nil {
				err = stream.Purge(w.ctx)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		},
		"an old copy": func(w *world, yesterday []*jetstream.RawStreamMsg) { w.rebuild(subjects.StreamState, yesterday, nil) },
		"of another deployment": func(w *world, _ []*jetstream.RawStreamMsg) {
			other := anotherWorld(w.t)
			other.start("", roomsvc.Config{}).stopAfter(func() { other.live(0); other.live(1); other.live(2) })
			w.rebuild(subjects.StreamState, other.messages(subjects.StreamState), nil)
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			i := w.start("", cfg)
			standby := w.start("", cfg)
			w.live(0)
			yesterday := w.messages(subjects.StreamState)
			w.live(1)
			damage(w, yesterday)
			w.live(2) // and the bucket is what the facts make
			i.stop()
			w.live(3)
			standby.stop()
			w.start("", cfg)
			w.check()
		})
	}
}

func TestBucketOfYesterday(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) {
			w := newWorld(t)
			i := w.start("", cfg)
			w.live(0)
			yesterday := w.messages(subjects.StreamState)
			w.live(1)
			w.live(2)
			i.stop()
			w.rebuild(subjects.StreamState, yesterday, nil)
			w.start("", cfg)
			w.check()
			w.live(3)
		})
	}
}

// A bucket made anew may not be on the disk yet. A start reads the journal behind what
// surely is, so that a hole in it is mended though nothing counts what is missing.
func TestBucketMadeAnewIsNotSafeAtOnce(t *testing.T) {
	w := newWorld(t)
	cfg := roomsvc.Config{Remember: brief.Remember}
	i := w.start("", cfg)
	w.create("empty", 3600)
	w.live(0)
	for range 2 {
		i.stop()
		all := w.messages(subjects.StreamState)
		w.rebuild(subjects.StreamState, slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
			key := subjects.KeyOfKV(subjects.BucketState, m.Subject)
			return key == "empty" || key == "busy.u0-3" // the second is missed for sure, and all is written anew
		}), nil)
		i = w.start("", cfg)
		w.join("quiet", "late")
		w.leave("quiet", "late") // so that the bucket's mark tells when it is in order
		w.check()
	}
	i.stop()
	all := w.messages(subjects.StreamState)
	w.rebuild(subjects.StreamState, slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool {
		return m.Subject == subjects.KV(subjects.BucketState, "empty")
	}), nil)
	w.start("", cfg)
	w.check()
}

func TestBucketOfAnotherDeployment(t *testing.T) {
	w := newWorld(t)
	other := anotherWorld(t)
	w.start("", roomsvc.Config{}).stopAfter(func() { w.live(0) })
	other.start("", roomsvc.Config{}).stopAfter(func() { other.live(0) })
	w.rebuild(subjects.StreamState, other.messages(subjects.StreamState), nil)
	w.refuses(roomsvc.Config{}, "another deployment", "restore the one that fits, or delete the bucket")
	if err := w.js.DeleteStream(w.ctx, subjects.StreamState); err != nil { // what it advises
		t.Fatal(err)
	}
	w.start("", roomsvc.Config{})
	w.check()
}

func (i *instance) stopAfter(f func()) { f(); i.stop() }

// A journal that no longer reaches back to the beginning of its rooms, over a bucket
// that can't make up for it.
func TestJournalBeginsLater(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testJournalBeginsLater(t, cfg) })
	}
}

func testJournalBeginsLater(t *testing.T, cfg roomsvc.Config) {
	t.Parallel()
	for what, c := range map[string]struct {
		bucket func(*world) // what becomes of it
		starts bool
	}{
		"whole bucket": {func(*world) {}, true},
		"no bucket": {func(w *world) {
			if err := w.js.DeleteStream(w.ctx, subjects.StreamState); err != nil {
				w.t.Fatal(err)
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
			w.start("", cfg).stopAfter(func() { w.live(0); w.live(1); w.join("busy", "last") })
			facts := w.facts()
			users := w.fold(facts)["busy"].list()
			w.age(facts[len(facts)-4].revision)
			c.bucket(w)
			if !c.starts {
				w.refuses(cfg, "does not reach back", "restore a bucket")
				w.refuses(cfg, "does not reach back") // the first try has made nothing worse
				return
			}
			w.start("", cfg)
			in, _, _ := w.members("busy")
			if !slices.Equal(in, users) {
				t.Errorf("%v are in, %v were", in, users)
			}
			w.join("busy", "late") // its condition is a fact that may have aged out
			w.join("quiet", "late")
			if _, err := w.client.Create(w.ctx, room.CreateRequest{RoomID: "quiet"}); err == nil {
				t.Error("a room that exists is created")
			}
		})
	}
}

// age takes everything before a sequence out of the journal, as time does.
func (w *world) age(first uint64) {
	w.t.Helper()
	all := w.messages(subjects.StreamRooms)
	at := uint64(0)
	for _, m := range all {
		if at++; m.Sequence != at {
			w.t.Fatalf("the journal has a hole before %d; the copy would have other sequences", m.Sequence)
		}
	}
	deny := false
	w.rebuild(subjects.StreamRooms, all, func(c *jetstream.StreamConfig) { deny, c.DenyPurge = c.DenyPurge, false })
	stream, err := w.js.Stream(w.ctx, subjects.StreamRooms)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := stream.Purge(w.ctx, jetstream.WithPurgeSequence(first)); err != nil {
		w.t.Fatal(err)
	}
	if !deny {
		w.t.Error("the journal can be purged")
	}
}

// renewed waits until rooms that lost facts go on as new instances, with everybody who
// was in them.
func (w *world) renewed(before map[string]*roster, rooms ...string) {
	w.t.Helper()
	for _, id := range rooms {
		w.until(patience, id+" to be another instance", func() bool {
			r := w.fold(w.facts())[id]
			return r != nil && r.instance != before[id].instance && len(r.users) == len(before[id].users)
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
	w.start("", cfg).stopAfter(func() { w.live(0) })
	before := w.fold(w.facts())
	w.node.Stop()
	old := w.copyOf(subjects.StreamRooms)
	w.node.Start()
	w.start("", cfg).stopAfter(func() { w.live(1) })
	w.node.Stop()
	w.restore(subjects.StreamRooms, old)
	w.node.Start()

	i := w.start("", cfg)
	i.said("the journal lost its newest facts")
	w.renewed(before, "busy", "ends")
	after := w.check()
	if after["quiet"].instance != before["quiet"].instance || after["new0"].instance != before["new0"].instance {
		t.Error("a room that lost nothing is a new one")
	}
	if !slices.Equal(after["busy"].list(), before["busy"].list()) {
		t.Errorf("in busy are %v, want %v", after["busy"].list(), before["busy"].list())
	}
	if after["new1"] != nil {
		t.Error("a room whose every fact was lost is there")
	}
	if e := after["ends"]; e == nil || !slices.Equal(e.list(), []string{"alice/default"}) {
		t.Errorf("the room whose end was lost: %+v", e)
	}
	i.said("a room lost facts and goes on as a new instance")
	i.stop()
	w.start("", cfg) // and it is over
	if again := w.check(); again["busy"].instance != after["busy"].instance {
		t.Error("the next start makes another instance")
	}
}

// Whoever watches through that begins anew, and hears the next facts as they come, though
// their places are those of facts that it has heard before. Where the bucket lost as much
// the room is the same one.
func TestWatchOverALostTail(t *testing.T) {
	t.Parallel()
	for what, lost := range map[string][]string{"journal": {subjects.StreamRooms}, "journal and bucket": {subjects.StreamRooms, subjects.StreamState}} {
		t.Run(what, func(t *testing.T) { testWatchOverALostTail(t, lost) })
	}
}

func testWatchOverALostTail(t *testing.T, lost []string) {
	w := newWorld(t)
	w.start("", roomsvc.Config{}).stopAfter(func() { w.create("lobby", 3600, "alice"); w.check() })
	w.node.Stop()
	old := map[string]string{}
	for _, stream := range lost {
		old[stream] = w.copyOf(stream)
	}
	w.node.Start()
	i := w.start("", roomsvc.Config{})
	step := stepping(t, w.client.Watch(w.ctx, client.WatchRequest{RoomID: "lobby", Every: time.Second}))
	step()
	for range 10 {
		w.join("lobby", "bob")
		w.leave("lobby", "bob")
		step()
		step()
	}
	w.check()
	i.stop()
	w.node.Stop()
	for stream, from := range old {
		w.restore(stream, from)
	}
	w.node.Start()
	w.start("", roomsvc.Config{})
	fresh := client.FreshInstance
	if len(lost) > 1 {
		fresh = client.FreshGap
	}
	if u := step(); u.Fresh != fresh || u.Roster == nil || u.Roster.Len() != 1 {
		t.Fatalf("it goes on with %+v", u)
	}
	w.join("lobby", "carol")
	if u := step(); u.Fact == nil || u.Recovered || u.Roster.Len() != 2 {
		t.Errorf("then comes %+v", u)
	}
}

// The same, and the lost places were filled by new facts before the bucket came back.
func TestJournalLostItsTailAndGrewAgain(t *testing.T) {
	t.Parallel()
	for form, cfg := range forms {
		t.Run(form, func(t *testing.T) { testJournalLostItsTailAndGrewAgain(t, cfg) })
	}
}

func testJournalLostItsTailAndGrewAgain(t *testing.T, cfg roomsvc.Config) {
	w := newWorld(t)
	w.start("", cfg).stopAfter(func() { w.live(0) })
	w.node.Stop()
	old, oldBucket := w.copyOf(subjects.StreamRooms), w.copyOf(subjects.StreamState)
	w.node.Start()
	w.start("", cfg).stopAfter(func() { w.live(1) })
	w.node.Stop()
	newBucket := w.copyOf(subjects.StreamState)
	w.restore(subjects.StreamRooms, old)
	w.restore(subjects.StreamState, oldBucket)
	w.node.Start()
	w.start("", cfg).stopAfter(func() {
		for n := range 60 {
			w.join("busy", fmt.Sprintf("refill%d", n))
		}
		w.create("other", 3600)
		w.check()
	})
	before := w.fold(w.facts())
	w.node.Stop()
	w.restore(subjects.StreamState, newBucket)
	w.node.Start()

	i := w.start("", cfg)
	i.said("the journal lost its newest facts")
	w.renewed(before, "busy")
	after := w.check()
	if after["quiet"].instance != before["quiet"].instance {
		t.Error("a room that lost nothing is a new one")
	}
	if !slices.Equal(after["busy"].list(), before["busy"].list()) || after["other"] == nil || after["new1"] != nil {
		t.Errorf("in busy are %v, want %v; the rooms are %v", after["busy"].list(), before["busy"].list(), after)
	}
}

// A running instance that sees its journal go back ends, and says why.
func TestJournalGoesBackUnderAnInstance(t *testing.T) {
	t.Parallel()
	for what, poke := range map[string]func(*world){
		"and it is asked for a room": func(w *world) {
			_, _ = w.client.Get(w.ctx, room.ReadRequest{RoomID: "busy", Freshness: room.Freshness{Sync: true}})
		},
		"and it is asked to change one": func(w *world) {
			_, _ = w.client.Join(w.ctx, room.RoomRequest{Caller: as("late", ""), RoomID: "busy"})
		},
		"and it is asked for a new one": func(w *world) {
			_, _ = w.client.Create(w.ctx, room.CreateRequest{RoomID: "late", Config: &room.RoomConfig{RoomDestroyDelayTime: 3600}})
		},
		"and it is asked for a switch": func(w *world) {
			c := &command{verb: room.Switch, caller: as("alice", "switch"), room: "quiet", to: "new0"} // both lost nothing
			before := len(w.facts())
			_, err := c.send(w.ctx, w.client)
			if stored := len(w.facts()) > before; stored && errors.Is(err, room.ErrBusy) {
				w.t.Errorf("a switch that is stored: %v", err)
			}
		},
		"and nobody asks": func(*world) {},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.start("", roomsvc.Config{}).stopAfter(func() { w.live(0) })
			before := w.fold(w.facts())
			w.node.Stop()
			old := w.copyOf(subjects.StreamRooms)
			w.node.Start()
			i := w.start("", roomsvc.Config{})
			w.live(1)
			w.node.Stop()
			w.restore(subjects.StreamRooms, old)
			w.node.Start()
			w.until(patience, "the instance to be back", func() bool {
				ctx, cancel := context.WithTimeout(w.ctx, time.Second)
				defer cancel()
				_, err := w.client.Get(ctx, room.ReadRequest{RoomID: "quiet"})
				return err == nil
			})
			poke(w)
			select {
			case <-i.Done():
			case <-time.After(patience):
				t.Fatalf("it goes on\n%s", i.log)
			}
			if err := i.Err(); err == nil || !strings.Contains(err.Error(), "came back without its newest data") {
				t.Errorf("it ended with %v", err)
			}
			w.start("", roomsvc.Config{})
			w.renewed(before, "busy", "ends")
			w.check()
		})
	}
}
