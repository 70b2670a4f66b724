package past

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// world is a server with the streams, and a reader of them. Time passes by tick.
type world struct {
	*Reader
	t   *testing.T
	ctx context.Context
	now events.Time
	seq map[string]uint64 // of instances
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	j, err := journal.Open(ctx, roomtest.Conn(t, roomtest.Server(t)), journal.Settings{Keep: journal.MinKeep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	m, err := messages.Open(ctx, j, messages.Settings{Keep: time.Hour, PerRoom: 1000})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reader{Journal: j, Messages: m, Recent: &replica.Recent{}}
	r.Moments.View = func(_ subjects.Room, use func(*room.State)) { use(nil) }
	return &world{r, t, ctx, events.TimeOf(time.Now()), map[string]uint64{}}
}

func (w *world) tick() { w.now += 10 }

func (w *world) append(e journal.Entry) uint64 {
	w.t.Helper()
	at, err := w.Journal.Store(w.ctx, []journal.Entry{e})
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// fact stores the next fact of an instance of a room.
func (w *world) fact(r subjects.Room, id, typ string, fill func(*events.Fact)) {
	w.t.Helper()
	w.seq[id]++
	f := &events.Fact{ID: fmt.Sprint(id, w.seq[id]), Type: typ, Room: r, InstanceID: id, Sequence: w.seq[id], Time: w.now}
	if fill != nil {
		fill(f)
	}
	data, err := f.Encode("")
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(journal.Entry{Subject: subjects.Journal(r), Data: data})
}

// made stores that a room is made.
func (w *world) made(r subjects.Room, config events.Config, users ...string) (id string) {
	w.t.Helper()
	id = room.InstanceID(w.now, strings.Repeat("0", 13-len(fmt.Sprint(len(w.seq))))+fmt.Sprint(len(w.seq)))
	w.fact(r, id, events.RoomCreated, func(f *events.Fact) {
		f.Info = &events.Room{RoomID: string(r), InstanceID: id, CreatedAt: w.now, Config: config, Sequence: 1, MemberCount: len(users), Attributes: map[string]string{}}
		f.Joined = w.joined(users)
	})
	return id
}

func (w *world) joined(users []string) (list []events.Joined) {
	for _, u := range users {
		list = append(list, events.Joined{UserID: u, SessionID: "default", JoinedAt: w.now, Via: events.ViaEnter})
	}
	return list
}

func (w *world) join(r subjects.Room, id string, users ...string) {
	w.t.Helper()
	w.fact(r, id, events.MemberJoined, func(f *events.Fact) { f.Joined, f.MemberCount = w.joined(users), 9 })
}

func (w *world) leave(r subjects.Room, id string, reason events.LeftReason, users ...string) {
	w.t.Helper()
	w.fact(r, id, events.MemberLeft, func(f *events.Fact) {
		for _, u := range users {
			f.Left = append(f.Left, events.Left{UserID: u, SessionID: "default", JoinedAt: w.now, LeftAt: w.now, Reason: reason})
		}
	})
}

func (w *world) end(r subjects.Room, id string, config events.Config) {
	w.t.Helper()
	w.fact(r, id, events.RoomDestroyed, func(f *events.Fact) {
		f.Reason = events.DestroyedRequested
		f.Info = &events.Room{RoomID: string(r), InstanceID: id, CreatedAt: w.now, Config: config, Sequence: f.Sequence, Attributes: map[string]string{}}
	})
}

func (w *world) say(r subjects.Room, id, text string) uint64 {
	w.t.Helper()
	m := &events.Message{ID: id + text, Time: w.now, Room: r, InstanceID: id, Sender: "alice", Type: events.Text, Data: text, Priority: events.Low}
	e, err := w.Messages.Entry(m, "", m.ID, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.append(e)
}

// ask reads all pages of an instance's facts or messages after a position, and writes them in
// short: sequences or texts.
func (w *world) ask(user subjects.User, q room.HistoryRequest, count int) string {
	w.t.Helper()
	var list []string
	for complete := true; ; {
		asked := q
		if err := asked.Start(); err != nil {
			w.t.Fatal(err)
		}
		reply, err := w.Ended(w.ctx, &Query{Room: "lobby", Ask: &asked, Count: count, Bytes: 1 << 20}, func(*events.Config) subjects.User { return user })
		if err != nil {
			w.t.Fatal(err)
		}
		if reply == nil {
			return "nothing"
		}
		if len(reply.Events) > count {
			w.t.Errorf("%d events on a page of %d", len(reply.Events), count)
		}
		var page []string
		for _, raw := range reply.Events {
			page = append(page, w.short(raw))
		}
		if complete = complete && reply.Complete; q.BeforeMessageSeq != nil {
			list = append(page, list...)
		} else {
			list = append(list, page...)
		}
		if q.NextFlag = reply.NextFlag; q.NextFlag == "" {
			line := strings.Join(list, " ")
			if reply.Sequence != 0 {
				line += fmt.Sprintf(" of %d", reply.Sequence)
			}
			if !complete {
				line += " incomplete"
			}
			return line
		}
	}
}

func (w *world) short(raw jsontext.Value) string {
	w.t.Helper()
	if m, err := events.DecodeMessage(raw); err == nil {
		return m.Data
	}
	f, err := events.DecodeFact(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(f.Sequence)
}

func facts(id string, after uint64) room.HistoryRequest {
	return room.HistoryRequest{InstanceID: id, AfterSequence: &after}
}

func said(id string, after uint64) room.HistoryRequest {
	return room.HistoryRequest{InstanceID: id, AfterMessageSeq: &after}
}

func saidBefore(id string) room.HistoryRequest {
	return room.HistoryRequest{InstanceID: id, BeforeMessageSeq: new(uint64)}
}

// story is three instances of the lobby with other rooms' facts in between. In the middle one
// alice is all along, bob twice, carol until she is kicked.
func story(w *world) (before, middle, after string) {
	before = w.made("lobby", events.Config{}, "alice", "dora")
	w.say("lobby", before, "a")
	w.tick()
	w.leave("lobby", before, events.ReasonLeft, "alice", "dora")
	w.end("lobby", before, events.Config{})
	middle = w.made("lobby", events.Config{}, "alice") // in the millisecond in which the other ended
	hall := w.made("hall", events.Config{}, "alice", "bob")
	w.tick()
	w.say("lobby", middle, "b")
	w.tick()
	w.join("lobby", middle, "bob", "carol") // 2
	w.tick()
	w.say("lobby", middle, "c")
	w.say("hall", hall, "x")
	w.tick()
	w.leave("lobby", middle, events.ReasonKicked, "carol") // 3
	w.tick()
	w.leave("lobby", middle, events.ReasonLeft, "bob") // 4
	w.tick()
	w.say("lobby", middle, "d")
	w.tick()
	w.fact("lobby", middle, events.RoomKept, nil) // 5
	w.join("lobby", middle, "bob")                // 6
	w.tick()
	w.say("lobby", middle, "e")
	w.leave("lobby", middle, events.ReasonDestroyed, "alice") // 7
	w.leave("lobby", middle, events.ReasonDestroyed, "bob")   // 8
	w.end("lobby", middle, events.Config{})                   // 9
	w.tick()
	after = w.made("lobby", events.Config{}, "alice")
	w.say("lobby", after, "f")
	return before, middle, after
}

func TestEnded(t *testing.T) {
	w := newWorld(t)
	before, middle, after := story(w)
	never := room.InstanceID(w.now-15, "0000000000099")
	for _, c := range []struct {
		user subjects.User
		ask  room.HistoryRequest
		want string
	}{
		{"", facts(middle, 0), "1 2 3 4 5 6 7 8 9 of 9"},
		{"", facts(middle, 6), "7 8 9 of 9"},
		{"", facts(middle, 9), " of 9"},
		{"", facts(before, 0), "1 2 3 of 3"},
		{"", facts(never, 0), "nothing"},
		{"", facts("no instance", 0), "nothing"},
		{"alice", facts(middle, 0), "1 2 3 4 5 6 7 8 9 of 9"},
		{"bob", facts(middle, 0), "2 3 4 6 7 8 9 of 9"},
		{"bob", facts(middle, 3), "4 6 7 8 9 of 9"},
		{"bob", facts(middle, 4), "6 7 8 9 of 9"},
		{"carol", facts(middle, 0), "2 3 of 3"},
		{"dora", facts(middle, 0), "nothing"},
		{"dora", facts(before, 0), "1 2 of 2"},
		{"", said(middle, 0), "b c d e"},
		{"", said(before, 0), "a"},
		{"", said(never, 0), "nothing"},
		{"alice", said(middle, 0), "b c d e"},
		{"bob", said(middle, 0), "c e"},
		{"carol", said(middle, 0), "c"},
		{"dora", said(middle, 0), "nothing"},
		{"", saidBefore(middle), "b c d e"},
		{"bob", saidBefore(middle), "c e"},
		{"dora", saidBefore(before), "a"},
	} {
		for _, count := range []int{1, 2, 3, 500} {
			if got := w.ask(c.user, c.ask, count); got != c.want {
				t.Errorf("%q asks for %q by %d: %q, want %q", c.user, c.ask.InstanceID, count, got, c.want)
			}
		}
	}
	if got := w.ask("", facts(after, 0), 500); got != "1 of 1" { // it has not ended, and is not remembered
		t.Errorf("the newest instance: %q", got)
	}
	w.join("lobby", after, "bob")
	if got := w.ask("bob", facts(after, 0), 500); got != "2 of 2" {
		t.Errorf("the newest instance, later: %q", got)
	}
}

// The last page of an instance names the one after it of which the caller may read something.
func TestNextInstance(t *testing.T) {
	w := newWorld(t)
	before, middle, after := story(w)
	names := map[string]string{before: "before", middle: "middle", after: "after", "": "none"}
	open := w.made("lounge", events.Config{}, "alice")
	w.end("lounge", open, events.Config{})
	w.tick()
	foreign := w.made("lounge", events.Config{}, "bob")
	w.end("lounge", foreign, events.Config{})
	w.tick()
	public := w.made("lounge", events.Config{Delivery: room.DeliveryOpen}, "bob")
	w.end("lounge", public, events.Config{Delivery: room.DeliveryOpen})
	names[open], names[foreign], names[public] = "open", "foreign", "public"

	next := func(user subjects.User, r subjects.Room, q room.HistoryRequest) string {
		t.Helper()
		if err := q.Start(); err != nil {
			t.Fatal(err)
		}
		reply, err := w.Ended(w.ctx, &Query{Room: r, Ask: &q, Count: 3, Bytes: 1 << 20}, func(c *events.Config) subjects.User {
			if c != nil && c.Delivery == room.DeliveryOpen {
				return ""
			}
			return user
		})
		if err != nil || reply == nil || !reply.Complete {
			t.Fatalf("%+v, %v", reply, err)
		}
		return names[reply.NextInstanceID]
	}
	for _, c := range []struct {
		user subjects.User
		room subjects.Room
		ask  room.HistoryRequest
		want string
	}{
		{"", "lobby", facts(before, 0), "middle"},
		{"", "lobby", facts(before, 1<<60), "middle"},
		{"", "lobby", said(before, 0), "middle"},
		{"", "lobby", saidBefore(before), "none"},
		{"", "lobby", facts(middle, 0), "none"}, // not its last page
		{"", "lobby", facts(middle, 6), "after"},
		{"", "lobby", said(after, 0), "none"},
		{"alice", "lobby", facts(before, 0), "middle"},
		{"alice", "lobby", said(middle, 1<<60), "after"},
		{"dora", "lobby", facts(before, 0), "none"},
		{"carol", "lobby", facts(middle, 0), "none"},
		{"", "lounge", facts(open, 0), "foreign"},
		{"alice", "lounge", facts(open, 0), "public"},
		{"bob", "lounge", facts(foreign, 0), "public"},
	} {
		if got := next(c.user, c.room, c.ask); got != c.want {
			t.Errorf("%q asks %s for %s: the next one is %s, want %s", c.user, c.room, names[c.ask.InstanceID], got, c.want)
		}
	}

	for member, want := range map[string]string{"alice": "after", "zoe": "none"} {
		w.Moments.View = func(r subjects.Room, use func(*room.State)) {
			use(room.NewState(r, room.Head{InstanceID: after}, []*room.Member{{User: subjects.User(member)}}, nil))
		}
		if got := next("alice", "lobby", facts(middle, 6)); got != want {
			t.Errorf("while %s is in the room that exists, the next one is %s, want %s", member, got, want)
		}
	}

	w.Moments.View = func(_ subjects.Room, use func(*room.State)) { use(nil) }
	var many []journal.Entry
	for range mostPassed {
		w.seq[after]++
		f := &events.Fact{ID: fmt.Sprint(after, w.seq[after]), Type: events.RoomKept, Room: "lobby", InstanceID: after, Sequence: w.seq[after], Time: w.now}
		data, err := f.Encode("")
		if err != nil {
			t.Fatal(err)
		}
		many = append(many, journal.Entry{Subject: subjects.Journal("lobby"), Data: data})
	}
	for part := range slices.Chunk(many, 500) {
		if _, err := w.Journal.Store(w.ctx, part); err != nil {
			t.Fatal(err)
		}
	}
	asked := facts(before, 0)
	_ = asked.Start()
	reply, err := w.Ended(w.ctx, &Query{Room: "lobby", Ask: &asked, Count: 3, Bytes: 1 << 20}, func(*events.Config) subjects.User { return "dora" })
	if err != nil || reply.Complete || reply.NextInstanceID != "" {
		t.Errorf("after too many facts: %+v, %v", reply, err)
	}
}

// What is said in the millisecond of a leaving may have been said after it; in the
// millisecond of a room's end it was not.
func TestSaidInTheMillisecondOfTheEnd(t *testing.T) {
	w := newWorld(t)
	id := w.made("lobby", events.Config{}, "alice", "bob")
	w.tick()
	w.leave("lobby", id, events.ReasonLeft, "bob")
	w.say("lobby", id, "bob may not hear this")
	w.tick()
	w.say("lobby", id, "last")
	w.leave("lobby", id, events.ReasonDestroyed, "alice")
	w.end("lobby", id, events.Config{})
	if got := w.ask("bob", said(id, 0), 500); got != "" {
		t.Errorf("bob hears %q", got)
	}
	if got := w.ask("alice", said(id, 0), 500); got != "bob may not hear this last" {
		t.Errorf("alice hears %q", got)
	}
}

// An instance whose first facts are no longer kept is found, and is not complete.
func TestCutOff(t *testing.T) {
	w := newWorld(t)
	w.made("lobby", events.Config{}, "zoe")
	w.tick()
	id := room.InstanceID(w.now, "0000000000007")
	w.tick()
	w.seq[id] = 4 // these are gone
	w.fact("lobby", id, events.RoomKept, nil)
	w.tick()
	w.say("lobby", id, "hello")
	w.leave("lobby", id, events.ReasonKicked, "bob")
	w.join("lobby", id, "carol")
	w.leave("lobby", id, events.ReasonDestroyed, "carol")
	w.end("lobby", id, events.Config{})
	for user, want := range map[subjects.User]string{"": "5 6 7 8 9 of 9 incomplete", "bob": "5 6 of 6 incomplete", "carol": "7 8 9 of 9"} {
		if got := w.ask(user, facts(id, 0), 500); got != want {
			t.Errorf("%q: %q, want %q", user, got, want)
		}
	}
	if got := w.ask("", facts(id, 5), 500); got != "6 7 8 9 of 9" {
		t.Errorf("after the first that is kept: %q", got)
	}
	// Only messages are kept of this one.
	w.say("lobby", "an instance of a version before", "old")
	if got := w.ask("", said("an instance of a version before", 0), 500); got != "old incomplete" {
		t.Errorf("without facts: %q", got)
	}
	if got := w.ask("bob", said("an instance of a version before", 0), 500); got != "nothing" {
		t.Errorf("without facts, to a user: %q", got)
	}
}

// A whole audience asks for its last words: the stays are read once.
func TestCache(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for range mostInstances + 3 {
		id := w.made("lobby", events.Config{}, "alice")
		w.leave("lobby", id, events.ReasonDestroyed, "alice")
		w.end("lobby", id, events.Config{})
		w.tick()
		ids = append(ids, id)
	}
	for range 2 {
		for _, id := range ids {
			if got := w.ask("alice", facts(id, 0), 500); got != "1 2 3 of 3" {
				t.Errorf("%s: %q", id, got)
			}
		}
	}
	if n := len(w.known.list); n > mostInstances || n < mostInstances/2 {
		t.Errorf("%d instances are remembered", n)
	}
	last := w.known.get("lobby", ids[len(ids)-1])
	if last == nil || last.kept.Load() != 1 || last != w.known.put(&instance{remembered: remembered{room: "lobby", id: last.id}}) {
		t.Errorf("the last one is remembered as %+v", last)
	}
	last.kept.Store(mostStays + 1)
	w.known.put(&instance{remembered: remembered{room: "hall"}})
	if n := len(w.known.list); n != 1 {
		t.Errorf("%d instances are remembered beside one with too many stays", n)
	}
	w.known.drop(w.known.list[0])
	if !slices.Equal(w.known.list, nil) {
		t.Error("a dropped instance is remembered")
	}
}
