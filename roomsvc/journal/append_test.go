package journal

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/subjects"
)

// The stream's answers to a series of appends, each of one entry or several, and what it
// holds in the end.
func TestAppend(t *testing.T) {
	w := newWorld(t)
	named := func(id, data string) Entry {
		return Entry{Subject: subjects.Journal("lobby"), Header: nats.Header{jetstream.MsgIDHeader: {id}}, Data: []byte(data)}
	}
	for _, c := range []struct {
		name    string
		entries []Entry
		last    uint64
		err     error
	}{
		{"the first of a room", []Entry{entry("lobby", 0, "a")}, 1, nil},
		{"its second", []Entry{entry("lobby", 1, "b")}, 2, nil},
		{"after a fact that is not the newest", []Entry{entry("lobby", 1, "never")}, 0, ErrConflict},
		{"the first of a room that already has some", []Entry{entry("lobby", 0, "never")}, 0, ErrConflict},
		{"after another room's fact", []Entry{entry("hall", 2, "never")}, 0, ErrConflict},
		{"three rooms at once", []Entry{entry("lobby", 2, "c"), entry("hall", 0, "d"), entry("yard", 0, "e")}, 5, nil},
		{"several, one of them in conflict", []Entry{entry("lobby", 3, "never"), entry("hall", 0, "never"), entry("yard", 5, "never")}, 0, ErrConflict},
		{"several, the last in conflict", []Entry{entry("lobby", 3, "never"), entry("yard", 0, "never")}, 0, ErrConflict},
		{"without a condition", []Entry{{Subject: subjects.Journal("hall"), Data: []byte("f")}}, 6, nil},
		{"under an ID", []Entry{named("1", "g")}, 7, nil},
		{"under that ID again", []Entry{named("1", "never")}, 7, ErrRepeated},
		{"under another", []Entry{named("2", "h")}, 8, nil},
		{"too many at once", slices.Repeat([]Entry{{Subject: subjects.Journal("yard"), Data: []byte("never")}}, MaxBatch+1), 0, ErrRefused},
	} {
		last, err := w.Store(w.ctx, c.entries)
		if last != c.last || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, last, err, c.last, c.err)
		}
	}
	want := []string{
		"1 room.evt.lobby a", "2 room.evt.lobby b", "3 room.evt.lobby c", "4 room.evt.hall d", "5 room.evt.yard e",
		"6 room.evt.hall f", "7 room.evt.lobby g", "8 room.evt.lobby h",
	}
	if got := w.held(); !slices.Equal(got, want) {
		t.Errorf("the stream holds %q, want %q", got, want)
	}
}

// The largest allowed batch is stored as a whole.
func TestLargestBatch(t *testing.T) {
	w := newWorld(t)
	w.store("hall")
	batch := slices.Repeat([]Entry{{Subject: subjects.Journal("lobby"), Data: []byte("x")}}, MaxBatch)
	if last, err := w.Store(w.ctx, batch); last != MaxBatch+1 || err != nil {
		t.Errorf("%d, %v", last, err)
	}
	if extent, err := w.Extent(w.ctx); err != nil || extent.Last != MaxBatch+1 {
		t.Errorf("the stream ends at %d, %v", extent.Last, err)
	}
}

// A full stream refuses a single entry as well as a batch, and drops nothing to make room.
func TestFullStream(t *testing.T) {
	w := newWorld(t)
	w.store("lobby", "lobby")
	before := w.held()
	w.update(func(cfg *jetstream.StreamConfig) { cfg.MaxMsgs = 3 })
	if _, err := w.Store(w.ctx, []Entry{entry("hall", 0, "a"), entry("yard", 0, "b")}); !errors.Is(err, ErrRefused) {
		t.Errorf("two entries with room for one: %v", err)
	}
	if got := w.held(); !slices.Equal(got, before) {
		t.Errorf("it holds %q, and held %q", got, before)
	}
	info, err := w.stream.Info(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.update(func(cfg *jetstream.StreamConfig) { cfg.MaxMsgs, cfg.MaxBytes = -1, int64(info.State.Bytes)+200 })
	for name, c := range map[string]struct {
		refusal Refusal
		bytes   int
		err     error
	}{"too long": {RefusalFirst, 500, ErrRefused}, "too long at any try": {RefusalAlways, 500, ErrRefused}, "one that fits": {RefusalFirst, 10, nil}} {
		r := Resend{First: patience, Next: patience, Refusal: c.refusal}
		_, err := w.Commit(w.ctx, []Entry{{Subject: subjects.Journal("lobby"), Data: make([]byte, c.bytes)}}, r)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// A fact is stored as its event, follows the room's previous fact, and carries the digests
// that tell a repeated request from another one.
func TestFact(t *testing.T) {
	w := newWorld(t)
	heard, err := w.conn.SubscribeSync(subjects.FactsPattern)
	if err != nil || w.conn.Flush() != nil {
		t.Fatal(err)
	}
	f := created("lobby", "The Lobby")
	f.Digests = []string{"", "one", "two"}
	e, err := Fact(f, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := w.Store(w.ctx, []Entry{e}); last != 1 || err != nil {
		t.Fatalf("%d, %v", last, err)
	}
	m, err := heard.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	got, err := events.DecodeFact(m.Data)
	if err != nil || got.Room != "lobby" || got.ID != f.ID || got.Info.RoomName != "The Lobby" {
		t.Errorf("%+v, %v", got, err)
	}
	if m.Header.Get(DigestHeader) != ",one,two" || m.Header.Get("Content-Type") != events.ContentType {
		t.Errorf("its headers are %v", m.Header)
	}
	if last, err := w.LastOf(w.ctx, "lobby"); err != nil || last.Seq != 1 || last.Subject != "room.evt.lobby" || string(last.Data) != string(e.Data) || last.Time.IsZero() {
		t.Errorf("the room's newest fact is %+v, %v", last, err)
	}
	if last, err := w.LastOf(w.ctx, "hall"); err != nil || last.Seq != 0 {
		t.Errorf("the newest fact of a room without any is %+v, %v", last, err)
	}
	if e, err := Fact(created("hall", "without digests"), "", 5); err != nil || e.Expect != 5 || !e.Guarded || e.Header.Get(DigestHeader) != "" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := Fact(created("lobby", strings.Repeat("x", events.MaxFactBytes)), "", 0); err == nil || !strings.Contains(err.Error(), `"lobby"`) {
		t.Errorf("one that is too long: %v", err)
	}
}

// What an answer means. An unlisted code proves nothing.
func TestReadAck(t *testing.T) {
	for _, c := range []struct {
		answer string
		seq    uint64
		err    error
	}{
		{`{"stream":"ROOMS","seq":5}`, 5, nil},
		{`{"stream":"ROOMS","seq":5,"duplicate":true}`, 5, ErrRepeated},
		{`{"stream":"ROOMS"}`, 0, ErrUnknown},
		{``, 0, ErrUnknown},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}`, 0, ErrConflict},
		{`{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}`, 0, ErrConflict},
		{`{"error":{"code":400,"err_code":10077,"description":"maximum messages exceeded"}}`, 0, ErrRefused},
		{`{"error":{"code":500,"err_code":10023,"description":"insufficient resources"}}`, 0, ErrRefused},
		{`{"error":{"code":400,"err_code":10176,"description":"batch publish is incomplete"}}`, 0, ErrRefused},
		{`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`, 0, ErrUnknown},
		{`{"error":{"code":500,"err_code":99999,"description":"something new"}}`, 0, ErrUnknown},
	} {
		seq, err := readAck(&nats.Msg{Data: []byte(c.answer)})
		if seq != c.seq || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %d, %v; want %d, %v", c.answer, seq, err, c.seq, c.err)
		}
	}
	if _, err := readAck(&nats.Msg{Header: nats.Header{"Status": {"503"}}}); !errors.Is(err, ErrUnknown) {
		t.Errorf("no responders: %v", err)
	}
}

// Which messages of a bucket end their key.
func TestIsMarker(t *testing.T) {
	for _, c := range []struct {
		header nats.Header
		want   bool
	}{
		{nil, false},
		{nats.Header{"Content-Type": {"x"}}, false},
		{nats.Header{OperationHeader: {"DEL"}}, true},
		{nats.Header{OperationHeader: {"PURGE"}}, true},
		{nats.Header{jetstream.MarkerReasonHeader: {"MaxAge"}}, true},
	} {
		if got := IsMarker(c.header); got != c.want {
			t.Errorf("%v: %v", c.header, got)
		}
	}
}

func readAck(m *nats.Msg) (uint64, error) {
	ack, err := parseAck(m)
	if err != nil {
		return 0, err
	}
	return ack.means()
}
