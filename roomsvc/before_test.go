package roomsvc_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// answered is a question, and what the older roomd answered.
type answered struct {
	Subject string         `json:"subject"`
	Body    jsontext.Value `json:"body"`
	Error   string         `json:"error"`
	Answer  any            `json:"answer"`
}

// The service goes on with what the previous version stored.
// testdata/before/README.md says what that is.
func TestStoreOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	store := unpack(t, "testdata/before/store.tar.gz")
	data, err := os.ReadFile("testdata/before/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	before := *decode[[]answered](t, data)

	const keep = 876000 * time.Hour
	cfg := roomsvc.Config{FactsKeep: keep, MessagesKeep: keep, Feeds: true}
	node := roomtest.Start(t, func(o *server.Options) { o.StoreDir = filepath.Join(store, "store") })
	w, instances := newWorldAt(t, node, 1, cfg)

	w.ends(before)
	w.answersAs(before)
	w.goesOn(before)
	secret := `{"roomID":"secret","instanceID":"` + instanceOf(t, before, "secret") + `","afterSequence":0}`
	was := w.Ask("history", secret)

	instances[0].End()
	cfg.Instance = "another"
	w.Start(cfg)
	w.answersAs(slices.DeleteFunc(before, func(q answered) bool { return changed[named(t, q).RoomID] || q.Subject != "get" }))
	if now := w.Ask("history", secret); string(now.Data) != string(was.Data) {
		t.Errorf("after another start the facts of secret are\n%s\nbefore it they were\n%s", now.Data, was.Data)
	}
}

// over is what ended after the older roomd stopped; changed is what the test changes.
var (
	over    = map[string]bool{"leased": true, "waits": true}
	changed = map[string]bool{"secret": true, "cellar": true, "lobby": true}
)

// named is what a question's body names.
func named(t *testing.T, q answered) *room.HistoryRequest {
	t.Helper()
	return decode[room.HistoryRequest](t, q.Body)
}

// instanceOf is a room's instance, according to the older roomd.
func instanceOf(t *testing.T, before []answered, id string) string {
	t.Helper()
	return answerOf(t, before, "get", id)["room"].(map[string]any)["instanceID"].(string)
}

// answerOf is the older roomd's first answer to a question about a room.
func answerOf(t *testing.T, before []answered, verb, id string) map[string]any {
	t.Helper()
	i := slices.IndexFunc(before, func(q answered) bool { return q.Subject == verb && named(t, q).RoomID == id })
	if i < 0 {
		t.Fatalf("the older roomd was not asked to %s %s", verb, id)
	}
	return before[i].Answer.(map[string]any)
}

// ends waits for what was to end in the meantime: a lease, and a room that nobody was in.
func (w *world) ends(before []answered) {
	w.T.Helper()
	history := `{"roomID":"leased","sync":true,"instanceID":"` + instanceOf(w.T, before, "leased") + `","afterSequence":0}`
	old := answerOf(w.T, before, "history", "leased")["events"].([]any)
	var now []jsontext.Value
	w.Until(patience, "the lease to end", func() bool {
		now = ok[room.HistoryReply](w, "history", history).Events
		return len(now) > len(old)
	})
	for i, e := range old {
		var v any
		if err := json.Unmarshal(now[i], &v); err != nil {
			w.T.Fatal(err)
		}
		if at := differs(e, v); at != "" {
			w.T.Errorf("fact %d of leased differs at %s: %s", i+1, at, now[i])
		}
	}
	last, err := events.DecodeFact(now[len(now)-1])
	if err != nil {
		w.T.Fatal(err)
	}
	if len(now) != len(old)+1 || len(last.Left) != 1 || last.Left[0].UserID != "leo" || last.Left[0].Reason != events.ReasonExpired || last.Left[0].LeftAt < last.Left[0].JoinedAt+4000 {
		w.T.Errorf("leased went on with %d facts, the last one %s", len(now)-len(old), now[len(now)-1])
	}
	if m := ok[room.MembersReply](w, "members", `{"roomID":"leased"}`); len(m.MemberList) != 1 || m.MemberList[0].UserID != "frank" {
		w.T.Errorf("in leased are %+v", m.MemberList)
	}
	w.Until(patience, "the empty room to end", func() bool {
		return w.Ask("get", `{"roomID":"waits","sync":true}`).Header.Get(micro.ErrorHeader) == room.ErrRoomNotExist.Name
	})
}

// answersAs asks again what the older roomd was asked. Answers may now say more.
func (w *world) answersAs(before []answered) {
	w.T.Helper()
	for _, q := range before {
		if over[named(w.T, q).RoomID] {
			continue
		}
		m := w.Ask(q.Subject, string(q.Body))
		if name := m.Header.Get(micro.ErrorHeader); name != q.Error {
			w.T.Errorf("%s %s: %q, it was %q", q.Subject, q.Body, name, q.Error)
			continue
		}
		was, now := q.Answer, *decode[any](w.T, m.Data)
		if q.Subject == "list" {
			was, now = withoutEnded(was), withoutEnded(now)
		}
		if at := differs(was, now); at != "" {
			w.T.Errorf("%s %s differs at %s:\n%s\nit was\n%s", q.Subject, q.Body, at, pretty(w.T, now), pretty(w.T, was))
		}
	}
}

// withoutEnded is a list of rooms without those that were due to end.
func withoutEnded(v any) any {
	list := maps.Clone(v.(map[string]any))
	list["roomList"] = slices.DeleteFunc(slices.Clone(list["roomList"].([]any)), func(r any) bool { return over[r.(map[string]any)["roomID"].(string)] })
	return list
}

// differs says where now lacks something that was has, or has something else; it is empty
// if there is no such place.
func differs(was, now any) string {
	switch x := was.(type) {
	case map[string]any:
		y, ok := now.(map[string]any)
		if !ok {
			return "."
		}
		for _, key := range slices.Sorted(maps.Keys(x)) {
			if key == "expiresAt" || key == "message" { // the one is another time, the other is words for people
				continue
			}
			value, ok := y[key]
			if !ok {
				return "." + key
			}
			if at := differs(x[key], value); at != "" {
				return "." + key + at
			}
		}
		return ""
	case []any:
		y, ok := now.([]any)
		if !ok || len(x) != len(y) {
			return "."
		}
		for i := range x {
			if at := differs(x[i], y[i]); at != "" {
				return fmt.Sprintf("[%d]%s", i, at)
			}
		}
		return ""
	}
	if was != now {
		return "."
	}
	return ""
}

// goesOn changes what the older roomd stored, and reads it back.
func (w *world) goesOn(before []answered) {
	w.T.Helper()
	t := w.T

	// A room's numbering goes on, and a late joiner reads what was said since it joined.
	at := answerOf(t, before, "get", "secret")
	if r := ok[room.JoinedReply](w, "join", `{"roomID":"secret","userID":"carol"}`); float64(r.Sequence) != at["sequence"].(float64)+1 || r.InstanceID != at["instanceID"] {
		t.Errorf("carol is in secret at %d of %s, which was at %v of %v", r.Sequence, r.InstanceID, at["sequence"], at["instanceID"])
	}
	said := ok[room.SendReply](w, "send", `{"roomID":"secret","userID":"carol","type":"text","data":"after carol"}`)
	instance := instanceOf(t, before, "secret")
	for user, want := range map[string][]string{"alice": {"before bob", "after bob", "after carol"}, "bob": {"after bob", "after carol"}, "carol": {"after carol"}} {
		r := ok[room.HistoryReply](w, "history", `{"roomID":"secret","instanceID":"`+instance+`","userID":"`+user+`","afterMessageSeq":0}`)
		var heard []string
		for _, e := range r.Events {
			heard = append(heard, readMessage(t, e).Data)
		}
		if !slices.Equal(heard, want) || *r.MessageSeq != said.MessageSeq {
			t.Errorf("%s reads %q up to %d, want %q up to %d", user, heard, *r.MessageSeq, want, said.MessageSeq)
		}
	}
	r := ok[room.HistoryReply](w, "history", `{"roomID":"secret","instanceID":"`+instance+`","afterSequence":0}`)
	if !r.Complete || float64(len(r.Events)) != at["sequence"].(float64)+1 {
		t.Errorf("secret has %d facts, complete %t; it had %v and one more has happened", len(r.Events), r.Complete, at["sequence"])
	}

	// A token that was shown to the older roomd still counts, and nobody else's does.
	ok[room.JoinedReply](w, "join.dave", `{"roomID":"cellar"}`)
	w.Refused(room.ErrNotAllowed, "join.erin", `{"roomID":"cellar"}`)

	// Attributes still belong to their owners, and go when they go.
	lobby := answerOf(t, before, "get", "lobby")["room"].(map[string]any)["attributes"].(map[string]any)
	set := ok[room.SetAttributesReply](w, "setAttributes", `{"roomID":"lobby","userID":"alice","sessionID":"phone","set":{"bob.kept":"hers","topic":"coffee"}}`)
	if len(set.ErrorKeys) != 1 || set.Attributes["bob.kept"] != lobby["bob.kept"] || set.Attributes["topic"] != "coffee" {
		t.Errorf("what alice set came to %+v", set)
	}
	ok[room.LeftReply](w, "leave", `{"roomID":"lobby","userID":"dave","sessionID":"again"}`)
	left := ok[room.JoinedReply](w, "join", `{"roomID":"lobby","userID":"dave"}`)
	m := ok[room.MemberOfReply](w, "memberOf", `{"roomID":"lobby","userIDs":["dave"]}`)
	if len(m.MemberList) != 1 || m.MemberList[0].Attributes["colour"] != "red" || left.Room.Attributes["topic"] != "coffee" {
		t.Errorf("dave, who came back, has %+v; the room has %v", m.MemberList, left.Room.Attributes)
	}
}

// unpack returns a directory with the contents of an archive.
func unpack(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			err = files.MkdirAll(h.Name, 0o750)
		} else {
			var data []byte
			if data, err = io.ReadAll(archive); err == nil {
				err = files.WriteFile(h.Name, data, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The stream of messages of that store denies deletion for ever. It is replaced only if an
// instance is told to; then everything in it is where it was, and can be deleted.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	store := unpack(t, "testdata/before/store.tar.gz")
	data, err := os.ReadFile("testdata/before/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	before := *decode[[]answered](t, data)
	const keep = 876000 * time.Hour
	cfg := roomsvc.Config{FactsKeep: keep, MessagesKeep: keep, Feeds: true}
	node := roomtest.Start(t, func(o *server.Options) { o.StoreDir = filepath.Join(store, "store") })
	w, instances := newWorldAt(t, node, 1, cfg)
	w.ends(before)
	secret := instanceOf(t, before, "secret")
	body := `{"roomID":"secret","ofUserID":"alice"}`
	w.Refused(room.ErrNotAllowed, "deleteMessages", body)
	w.Refused(room.ErrNotAllowed, "eraseUser", `{"userID":"alice"}`)
	instances[0].Said("--take-over")
	instances[0].End()

	cfg.Instance, cfg.TakeOver = "takes over", true
	taking := w.Start(cfg)
	w.answersAs(before)
	texts, _ := w.pastOf("secret", secret, "")
	if r := ok[room.DeleteMessagesReply](w, "deleteMessages", body); len(texts) == 0 || len(r.MessageSeqs) == 0 {
		t.Fatalf("of %q it deletes %+v", texts, r)
	}
	if now, deleted := w.pastOf("secret", secret, ""); len(now)+len(deleted) != len(texts) {
		t.Errorf("of %q is left %q", texts, now)
	}
	said := w.tell("secret", "", "goes on")
	taking.End()

	cfg.Instance, cfg.TakeOver = "later", false
	w.Start(cfg)
	if next := w.tell("secret", "", "and on"); next <= said {
		t.Errorf("after %d comes %d", said, next)
	}
}

// The service goes on with a store that has what came later: users who are blocked, roles, bans,
// mutes, deleted messages, and an image; over that, and without it.
// testdata/blocks/README.md says what is in it.
func TestStoreWithBlocksAndAnImage(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/blocks/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	before := *decode[[]answered](t, data)
	for _, image := range []bool{true, false} {
		t.Run(fmt.Sprintf("image %t", image), func(t *testing.T) {
			store := filepath.Join(unpack(t, "testdata/blocks/store.tar.gz"), "store")
			const keep = 876000 * time.Hour
			cfg := roomsvc.Config{FactsKeep: keep, MessagesKeep: keep, Feeds: true}
			if image {
				cfg.Image = roomsvc.ReadImage(filepath.Join(store, "image"))
			}
			w, instances := newWorldAt(t, roomtest.Start(t, func(o *server.Options) { o.StoreDir = store }), 1, cfg)
			if image {
				instances[0].Said("starting over an image")
			}
			w.answersAs(before)

			// It goes on: numbers, what hosts may do, a request that is repeated, blocks, deletions.
			at := answerOf(t, before, "get", "stage")
			if r := ok[room.JoinedReply](w, "join", `{"roomID":"stage","userID":"frank"}`); float64(r.Sequence) != at["sequence"].(float64)+1 || r.InstanceID != at["instanceID"] {
				t.Errorf("frank is in stage at %d of %s, which was at %v of %v", r.Sequence, r.InstanceID, at["sequence"], at["instanceID"])
			}
			ok[room.RestrictedReply](w, "unban.bob", `{"roomID":"stage","userIDs":["dave"]}`)
			w.Refused(room.ErrNotAllowed, "ban.erin", `{"roomID":"stage","userIDs":["frank"]}`)
			ok[room.JoinedReply](w, "join.dave", `{"roomID":"stage"}`)
			ok[room.JoinedReply](w, "join.carol", `{"roomID":"stage"}`)
			w.Refused(room.ErrMuted, "send.carol", `{"roomID":"stage","type":"text","data":"hello"}`)
			w.Refused(room.ErrBlocked, "enter.eve", `{"roomID":"stage"}`)
			w.Ask("unblock", `{"userID":"eve"}`)
			ok[room.JoinedReply](w, "enter.eve", `{"roomID":"stage"}`)
			talk := instanceOf(t, before, "talk")
			texts, deleted := w.pastOf("talk", talk, "")
			if !slices.Equal(texts, []string{"third", "fourth"}) || len(deleted) != 2 {
				t.Errorf("talk has %q, and %d deleted", texts, len(deleted))
			}
			if r := ok[room.DeleteMessagesReply](w, "deleteMessages", `{"roomID":"talk","ofUserID":"alice"}`); len(r.MessageSeqs) != 1 {
				t.Errorf("of alice's messages it deletes %v", r.MessageSeqs)
			}
		})
	}
}

// A store that a later version has written to, with facts that this one does not know: it does
// not start, says so, and changes nothing.
func TestStoreOfALaterVersion(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, roomtest.Start(t)) // nobody compares that fact with the contract
	i := w.Start(roomsvc.Config{})
	at := ok[room.JoinedReply](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	i.End()
	later := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/rooms/lobby/%s","type":"io.natsrooms.room.painted.v1","subject":"lobby","time":"2026-01-01T00:00:00Z",`+
		`"datacontenttype":"application/json","sequence":"00000000000000000002","roominstance":"%[1]s","partitionkey":"lobby","data":{"roomID":"lobby","instanceID":"%[1]s","sequence":2,"colour":"red"}}`, at.InstanceID)
	if _, err := w.JS.Publish(w.Ctx, subjects.Journal("lobby"), []byte(later)); err != nil {
		t.Fatal(err)
	}
	facts := func() (n uint64) {
		s, err := w.JS.Stream(w.Ctx, subjects.StreamRooms)
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(w.Ctx, jetstream.WithSubjectFilter(subjects.FactsPattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range info.State.Subjects {
			n += k
		}
		return n
	}
	before := facts()
	w.Refuses(roomsvc.Config{}, "room.painted.v1", "a later version", "start that version")
	if now := facts(); now != before || now != 2 {
		t.Errorf("there are %d facts, there were %d", now, before)
	}
}
