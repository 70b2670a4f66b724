package journal

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// older forwards one connection to a server and makes it appear to have an older version.
func older(t *testing.T, s *server.Server) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		upstream, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(upstream, client)
			_ = upstream.Close()
		}()
		for from := bufio.NewReader(upstream); ; { // it may tell its version more than once
			line, err := from.ReadString('\n')
			if _, failed := io.WriteString(client, strings.Replace(line, `"version":"`+server.VERSION, `"version":"2.15.1`, 1)); err != nil || failed != nil {
				return
			}
		}
	}()
	return "nats://" + l.Addr().String()
}

// If the journal can't be opened, the error is a sentence that says what to do.
func TestOpenRefuses(t *testing.T) {
	stream := func(name, subject string) func(*testing.T, jetstream.JetStream) {
		return func(t *testing.T, js jetstream.JetStream) {
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		option roomtest.Option
		before func(*testing.T, jetstream.JetStream)
		url    func(*testing.T, *server.Server) string
		says   []string
	}{
		"JetStream is off":                {option: func(o *server.Options) { o.JetStream = false }, says: []string{"JetStream is off", "switch it on"}},
		"small messages only":             {option: func(o *server.Options) { o.MaxPayload = MinMaxPayload - 1 }, says: []string{"max_payload 524287", "at least 524288"}},
		"an old server":                   {url: older, says: []string{"version 2.15.1", "needs 2.15.2 or newer"}},
		"a stream of that name":           {before: stream(subjects.StreamRooms, "theirs"), says: []string{"a stream ROOMS that natsrooms did not make", "an account of its own"}},
		"another stream of facts":         {before: stream("TAP", "room.evt.*"), says: []string{`the stream "TAP" takes room.evt.*`, "delete it"}},
		"another stream of one room":      {before: stream("TAP", "room.evt.lobby"), says: []string{`the stream "TAP" takes room.evt.*`}},
		"another stream of commands":      {before: stream("TAP", "room.cmd.join"), says: []string{`the stream "TAP" takes room.cmd.>`}},
		"another stream of appends":       {before: stream("TAP", "room.journal.>"), says: []string{`the stream "TAP" takes room.journal.*`}},
		"another stream of messages":      {before: stream("TAP", "room.msg.>"), says: []string{`the stream "TAP" takes room.msg.>`}},
		"another stream of their appends": {before: stream("TAP", "room.msgjournal.x"), says: []string{`the stream "TAP" takes room.msgjournal.>`}},
		"another stream of markers":       {before: stream("TAP", subjects.Sync), says: []string{`the stream "TAP" takes room.sync`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []roomtest.Option
			if c.option != nil {
				options = append(options, c.option)
			}
			s := roomtest.Server(t, options...)
			nc := roomtest.Conn(t, s)
			if c.before != nil {
				js, err := jetstream.New(nc)
				if err != nil {
					t.Fatal(err)
				}
				c.before(t, js)
			}
			if c.url != nil {
				var err error
				if nc, err = nats.Connect(c.url(t, s)); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(nc.Close)
			}
			j, err := Open(t.Context(), nc, Settings{Keep: MinKeep})
			if err == nil {
				t.Fatalf("it opens: %+v", j)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version string
		want    bool
	}{
		{"2.15.2", true}, {"2.15.3", true}, {"2.15.10", true}, {"2.16.0", true}, {"3.0.0", true}, {"10.0.0", true}, {"2.15.2-RC.1", true}, {"2.16", true},
		{"2.15.1", false}, {"2.14.9", false}, {"1.99.99", false}, {"2.15", false}, {"2.9.20", false}, {"", false}, {"2.15.1-RC.9", false},
	} {
		if got := atLeast(c.version, "2.15.2"); got != c.want {
			t.Errorf("%q: %v", c.version, got)
		}
	}
}

// The stream is set up as natsrooms needs it, and keeps its identity and its content when it
// is opened again.
func TestOpenAgain(t *testing.T) {
	w := newWorld(t)
	w.store("lobby")
	first := w.stream.CachedInfo().Config
	if !first.DenyDelete || !first.DenyPurge || !first.AllowAtomicPublish || !first.AllowMsgTTL || first.Discard != jetstream.DiscardNew || first.MaxAge != MinKeep || first.Replicas != 1 {
		t.Errorf("the stream is %+v", first)
	}
	if w.ID == "" || first.Metadata[metaID] != w.ID {
		t.Errorf("the journal is %q, its stream says %q", w.ID, first.Metadata[metaID])
	}
	again := w.open(Settings{Keep: 2 * MinKeep, Shared: map[string]int{"limit": 3}})
	if again.ID != w.ID {
		t.Errorf("the journal was %q and is %q", w.ID, again.ID)
	}
	if cfg := again.stream.CachedInfo().Config; cfg.MaxAge != 2*MinKeep || cfg.Duplicates != 2*time.Minute {
		t.Errorf("it keeps facts for %v, IDs for %v", cfg.MaxAge, cfg.Duplicates)
	}
	if extent, err := again.Extent(w.ctx); err != nil || extent.First != 1 || extent.Last != 1 || time.Since(extent.At).Abs() > patience {
		t.Errorf("it holds %+v, %v", extent, err)
	}
}

// Each shared setting has the value that was written last.
func TestShared(t *testing.T) {
	w := newWorld(t)
	w.open(Settings{Keep: MinKeep, Shared: map[string]int{"limit": 3, "rate": 10}})
	w.open(Settings{Keep: MinKeep, Shared: map[string]int{"limit": 4, "zero": 0}})
	for _, j := range []*Journal{w.Journal, w.open(Settings{Keep: MinKeep})} {
		got, err := j.Shared(w.ctx)
		if want := map[string]int{"limit": 4, "rate": 10, "zero": 0}; err != nil || !maps.Equal(got, want) {
			t.Errorf("shared are %v, %v; want %v", got, err, want)
		}
	}
	w.update(func(cfg *jetstream.StreamConfig) { cfg.Metadata["natsrooms-limit"] = "many" })
	if _, err := w.Shared(w.ctx); err == nil || !strings.Contains(err.Error(), `"many"`) {
		t.Errorf("not a number: %v", err)
	}
}

// A recreated stream is another one, even with the same name and as many messages.
func TestExtentOfAnotherStream(t *testing.T) {
	w := newWorld(t)
	w.store("lobby")
	if err := w.js.DeleteStream(w.ctx, subjects.StreamRooms); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Extent(w.ctx); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("of none: %v", err)
	}
	next := w.open(Settings{Keep: MinKeep})
	w.store("lobby")
	if _, err := w.Extent(w.ctx); !errors.Is(err, ErrAnother) || !strings.Contains(err.Error(), next.ID) {
		t.Errorf("of another one: %v", err)
	}
	if extent, err := next.Extent(w.ctx); err != nil || extent.Last != 1 {
		t.Errorf("of the new one: %+v, %v", extent, err)
	}
}
