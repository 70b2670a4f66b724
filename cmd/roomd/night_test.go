package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/health"
)

// section is a part of the manual, up to the next heading.
func section(t *testing.T, title string) string {
	t.Helper()
	_, text, ok := strings.Cut(content(t, "../../docs/operations.md"), "\n"+title+"\n")
	if !ok {
		t.Fatalf("the manual has no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An operator who is called at night finds each problem of a running instance at /readyz, with a
// sentence that says what to do, in one line of the log, in the metrics, and in the manual. When it
// is over it is nowhere any more but in the log, which says so.
func TestAtNight(t *testing.T) {
	t.Parallel()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--http", "127.0.0.1:0")
	address := pagesOf(t, r)
	nc := connected(t, r.url)
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(verb, body string) {
		if _, err := nc.Request("room.cmd."+verb, []byte(body), within); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	ask("create", `{"roomID":"lobby","userID":"alice"}`)
	edit := func(name string, change func(*jetstream.StreamInfo)) {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		info := s.CachedInfo()
		change(info)
		if _, err := js.UpdateStream(t.Context(), info.Config); err != nil {
			t.Fatal(err)
		}
	}
	limit := func(name string) func() {
		return func() { edit(name, func(i *jetstream.StreamInfo) { i.Config.MaxMsgs = max(int64(i.State.Msgs), 1) }) }
	}
	free := func(name string) func() {
		return func() { edit(name, func(i *jetstream.StreamInfo) { i.Config.MaxMsgs = -1 }) }
	}
	user := 0
	for _, c := range []struct {
		problem  string
		unfit    bool
		says     []string
		begin    func()
		meets    func() // what meets it, as long as it is not told
		end      func()
		lasts    time.Duration // after its end
		forWhich string        // the row of the manual, if that is not the problem's name
	}{
		{problem: "full:ROOMS", unfit: true, says: []string{"the stream ROOMS takes nothing more", "max_msgs", "--facts-bytes"}, begin: limit("ROOMS"), end: free("ROOMS"),
			meets: func() { user++; ask("join", fmt.Sprintf(`{"roomID":"lobby","userID":"u%d"}`, user)) }},
		{problem: "full:ROOM_MESSAGES", unfit: true, says: []string{"the stream ROOM_MESSAGES takes nothing more", "--messages-bytes"}, begin: limit("ROOM_MESSAGES"), end: free("ROOM_MESSAGES"),
			meets: func() { ask("send", `{"roomID":"lobby","userID":"alice","type":"text","data":"hello"}`) }},
		{problem: "full:KV_room_blocks", unfit: true, says: []string{"the stream KV_room_blocks takes nothing more", "block and unblock are refused"}, begin: limit("KV_room_blocks"), end: free("KV_room_blocks"),
			meets: func() { user++; ask("block", fmt.Sprintf(`{"userID":"u%d"}`, user)) }},
		{problem: "subjects", unfit: true, says: []string{"OURS", "delete it"},
			begin: func() {
				if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OURS", Subjects: []string{"room.evt.>"}, NoAck: true}); err != nil {
					t.Fatal(err)
				}
			},
			end: func() {
				if err := js.DeleteStream(t.Context(), "OURS"); err != nil {
					t.Fatal(err)
				}
			}},
		{problem: "edited:ROOMS", says: []string{"somebody edited the stream ROOMS", "discard is DiscardOld", "put right at once"}, lasts: time.Minute, forWhich: "edited:NAME",
			begin: func() {
				edit("ROOMS", func(i *jetstream.StreamInfo) { i.Config.Discard = jetstream.DiscardOld })
			}},
	} {
		if c.begin(); c.meets == nil {
			c.meets = func() {}
		}
		wait(t, c.lasts+within, c.problem+" to be told", func() bool { c.meets(); return problemOf(t, address, c.problem) != nil })
		p := problemOf(t, address, c.problem)
		for _, says := range c.says {
			if !strings.Contains(p.Text, says) {
				t.Errorf("%s: /readyz says %q; want %q in it", c.problem, p.Text, says)
			}
		}
		code, ok, reasons := standing(t, address, "/readyz")
		if fit := code == http.StatusOK && ok; p.Unfit != c.unfit || fit == c.unfit || c.unfit && !strings.Contains(strings.Join(reasons, "\n"), c.says[0]) {
			t.Errorf("%s: /readyz says %d, %v, %q of %+v", c.problem, code, ok, reasons, p)
		}
		if m := fmt.Sprintf("natsrooms_problem{problem=%q,unfit=\"%v\"}", c.problem, c.unfit); scrape(t, address)[m] != 1 {
			t.Errorf("%s is not in the metrics", m)
		}
		if log := r.stderr.String(); strings.Count(log, "problem="+c.problem+" error=") != 1 || !strings.Contains(log, `level=WARN msg="a problem"`) {
			t.Errorf("%s is in the log as\n%s", c.problem, log)
		}
		if c.forWhich == "" {
			c.forWhich = c.problem
		}
		if !strings.Contains(section(t, "### What problems are called"), "`"+c.forWhich+"`") {
			t.Errorf("the manual does not know %s", c.forWhich)
		}
		if c.end != nil {
			c.end()
		}
		wait(t, c.lasts+within, c.problem+" to be over", func() bool { return problemOf(t, address, c.problem) == nil })
		says(t, r.stderr, "problem="+c.problem+" after=")
	}
	if code, ok, reasons := standing(t, address, "/readyz"); code != http.StatusOK || !ok {
		t.Errorf("at last: %d, %v", code, reasons)
	}
	r.end(t)
}

// problemOf is what /readyz says of a problem; nil if nothing.
func problemOf(t *testing.T, address, name string) *health.Problem {
	t.Helper()
	_, body := page(t, address, "/readyz")
	var said struct {
		Problems []health.Problem `json:"problems"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for i := range said.Problems {
		if said.Problems[i].Name == name {
			return &said.Problems[i]
		}
	}
	return nil
}

// wait waits until something is so.
func wait(t *testing.T, limit time.Duration, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for begun := time.Now(); !so(); <-ticker.C {
		if time.Since(begun) > limit {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// refusal is why a start, or a service that runs, may end on its own.
type refusal struct {
	row  string // how its row in the manual begins
	code string // what the code says, "" if the words are the NATS server's
	test string // which provokes it
}

var refusals = []refusal{
	{"the server is older than", "natsrooms needs %s or newer", "TestOpenRefuses"},
	{"JetStream is off", "JetStream is off at", "TestOpenRefuses"},
	{"no JetStream with a domain answers", "no JetStream with the domain", "TestLeafNodesRefuse"},
	{"the rooms within reach are stored elsewhere", "the rooms within reach are stored elsewhere", "TestLeafNodesRefuse"},
	{"max_payload is too small", "has max_payload %d; natsrooms needs", "TestOpenRefuses"},
	{"two streams store what it appends", "two streams store what this instance appends", "TestSecondJournalWhileRunning"},
	{"another stream takes its subjects", "which belongs to natsrooms: it would silently miss", "TestOpenRefuses"},
	{"the bucket belongs to another journal", "belongs to journal %s, but the stream", "TestBucketOfAnotherDeployment"},
	{"a later version has opened this store", "has opened this store, and stores in form", "TestStoreIsMarkedByALaterVersion"},
	{"the stream has a fact that a later version stored", "has a fact that a later version", "TestStoreOfALaterVersion"},
	{"the bucket can't be used and the stream does not reach back", "does not reach back to the beginning", "TestJournalBeginsLater"},
	{"the bucket room_sessions was deleted", "was deleted, or has lost its newest leases", "TestStreamsDeleted"},
	{"the bucket room_blocks was deleted", "was deleted, or has lost its newest entries", "TestStreamsDeleted"},
	{"`--system-creds` is no user of the system account", "--system-creds is no user of the system account", "TestDialSystem"},
	{"listening to the system account failed", "listening to the system account", ""}, // only a connection that is lost at that moment does it
	{"the stream can't be set up: replicas > 1", "", "TestReplicasWithoutACluster"},
	{"a stream can't be made, because the account requires", "the account requires that each stream says", "TestBytesRequired"},
	{"the account may have no more streams", "the account may have no more streams", "TestAccountCounts"},
	{"it waits for a NATS server that answers", "waiting for a NATS server that answers", "TestDialWaits"},
	{"it waits for the NATS server, and then that this could not answer", "waiting for the NATS server, which may be electing", "TestStartBesideAnElection"},
	{"a start has to store something", "a start has to store something, and the stream", "TestStartOnAFullStream"},
	{"the disk is full", "is full (%w)", "TestStartOnAFullDisk"},
	{"there is a stream `ROOMS` that natsrooms did not make", "that natsrooms did not make", "TestEditedWhileNobodyLooked"},
	{"the stream of messages is being replaced", "is being replaced, and that was interrupted", "TestInterrupted"},
	{"the store directory is in use", "is in use by another roomd", "TestStoreInUse"},
}

// The manual's list of what roomd says when it does not start has what the code says, each with a
// test that provokes it, and nothing else.
func TestManualKnowsRefusals(t *testing.T) {
	t.Parallel()
	var code, tests strings.Builder
	for _, root := range []string{"..", "../../roomsvc"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.Name() == "node_modules":
				return filepath.SkipDir
			case strings.HasSuffix(path, "_test.go"):
				tests.WriteString(content(t, path))
			case strings.HasSuffix(path, ".go"):
				code.WriteString(content(t, path))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| (.*?) \| (.*?) \|$`).FindAllStringSubmatch(section(t, "## What it says when it does not start"), -1)
	known := map[string]bool{}
	for _, c := range refusals {
		found := 0
		for _, row := range rows {
			if strings.HasPrefix(row[1], c.row) {
				known[row[1]] = true
				found++
			}
		}
		if found != 1 {
			t.Errorf("the manual has %d rows about %q", found, c.row)
		}
		if !strings.Contains(code.String(), c.code) {
			t.Errorf("nothing says %q, of which the manual tells as %q", c.code, c.row)
		}
		if c.test != "" && !strings.Contains(tests.String(), "\nfunc "+c.test+"(t *testing.T) {") {
			t.Errorf("there is no %s, which provokes %q", c.test, c.row)
		}
	}
	for _, row := range rows[1:] {
		if !known[row[1]] {
			t.Errorf("nobody looks whether roomd says that %s", row[1])
		}
	}
}
