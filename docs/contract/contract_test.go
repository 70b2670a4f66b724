package contract

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

const position = `"instanceID":"I1","sequence":2,"revision":9`

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		verb, body string
		ok         bool
	}{
		{"join", `{"roomID":"lobby","userID":"alice"}`, true},
		{"join", `{"roomID":"Zimmer <1>","later":[1]}`, true},
		{"join", `{"userID":"alice"}`, false},
		{"join", `{"roomID":""}`, false},
		{"join", `{"roomID":"a\u0007"}`, false},
		{"join", `{"roomID":"` + strings.Repeat("a", 129) + `"}`, false},
		{"join", `{"roomID":7}`, false},
		{"join", `[]`, false},
		{"leaveAll", ``, true},
		{"create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":10800,"maxMembers":2,"roomAttributes":{"a":"b"}}}`, true},
		{"create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":10801}}`, false},
		{"create", `{"roomID":"lobby","config":{"maxMember":2}}`, false},
		{"switch", `{"fromRoomID":"a","toRoomInfo":{"roomID":"b"}}`, true},
		{"switch", `{"fromRoomID":"a","toRoomInfo":{"roomID":"b","name":"B"}}`, false},
		{"members", `{"roomID":"lobby","count":501}`, false},
		{"setAttributes", `{"roomID":"lobby","set":{"a":""}}`, true},
		{"setAttributes", `{"roomID":"lobby","set":{"":"a"}}`, false},
		{"setAttributes", `{"roomID":"lobby"}`, false},
		{"kick", `{"roomID":"lobby","userIDs":[]}`, false},
		{"send", `{"roomID":"lobby","type":"text","data":"hello"}`, true},
		{"send", `{"roomID":"lobby","type":"shout","data":"hello"}`, false},
		{"history", `{"roomID":"lobby","instanceID":"I1","afterSequence":0}`, true},
		{"history", `{"roomID":"lobby","instanceID":"I1","afterSequence":0,"beforeMessageSeq":0}`, false},
		{"dance", `{}`, false},
	} {
		if err := Command(c.verb, []byte(c.body)); (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.verb, c.body, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	refused := nats.Header{"Nats-Service-Error": {"ROOM_FULL"}, "Nats-Service-Error-Code": {"7000002"}}
	for _, c := range []struct {
		verb, body, answer string
		header             nats.Header
		ok                 bool
	}{
		{"leave", `{"roomID":"lobby"}`, `{"roomID":"lobby",` + position + `}`, nil, true},
		{"leave", `{"roomID":"lobby"}`, `{"roomID":"lobby",` + position + `,"undocumented":1}`, nil, false},
		{"leave", `{"roomID":"lobby"}`, `{"roomID":"lobby"}`, nil, false},
		{"leave", `{"roomID":7}`, `{"roomID":"lobby",` + position + `}`, nil, false},
		{"history", `{"roomID":"a","instanceID":"I1","afterSequence":0}`, `{"instanceID":"I1","events":[{"specversion":"1.0","id":"E","source":"/rooms/a/I1","type":"io.natsrooms.room.kept.v1"}],"nextFlag":"","complete":true}`, nil, false},
		{"join", `{"roomID":7}`, `{"error":{"code":"ROOM_FULL","number":7000002,"message":"full","outcome":"none"}}`, refused, true},
		{"join", ``, `{"error":{"code":"ROOM_FULL","number":7000003,"message":"full","outcome":"none"}}`, refused, false},
		{"join", ``, `{"error":{"code":"ROOM_LIMIT","number":6000324,"message":"full","outcome":"none"}}`, refused, false},
		{"join", ``, `{"error":{"code":"ROOM_FULL","number":7000002,"message":"full"}}`, refused, false},
	} {
		err := Answer(c.verb, []byte(c.body), &nats.Msg{Data: []byte(c.answer), Header: c.header})
		if (err == nil) != c.ok {
			t.Errorf("%s %s: %s: %v", c.verb, c.body, c.answer, err)
		}
	}
}

// TestEvents checks the golden files of the encoders, also those of facts from before anything
// was left out, and spoils each in several ways.
func TestEvents(t *testing.T) {
	names, err := filepath.Glob("../../events/testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no events: %v", err)
	}
	before, err := filepath.Glob("../../events/testdata/before/*.json")
	if err != nil || len(before) == 0 {
		t.Fatalf("no facts from before: %v", err)
	}
	names = append(names, before...)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := Event(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, spoil := range [][2]string{
			{`"specversion": "1.0"`, `"specversion": "0.3"`},
			{`"source": "/rooms/a=2Eb=3Ec`, `"source": "/rooms/a.b>c`},
			{`.007Z"`, `.007+01:00"`},
			{`"subject": "`, `"undocumented": 1, "subject": "`},
			{`"data": {`, `"data": {"undocumented": 1, `},
			{`"subject"`, `"about"`},
			{`.v1"`, `.v9"`},
		} {
			spoilt := strings.Replace(string(data), spoil[0], spoil[1], 1)
			if spoilt == string(data) || Event([]byte(spoilt)) == nil {
				t.Errorf("%s with %s for %s is accepted", name, spoil[1], spoil[0])
			}
		}
	}
}

// failures is a test that only counts its failures.
type failures struct {
	testing.TB
	count atomic.Int64
}

func (f *failures) Errorf(string, ...any) { f.count.Add(1) }

func TestWatch(t *testing.T) {
	good, err := os.ReadFile("../../events/testdata/room.kept.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		events []*nats.Msg
		fails  int64
	}{
		"good":    {[]*nats.Msg{event(good), event(good)}, 0},
		"bad":     {[]*nats.Msg{event(good), event([]byte("{}")), event([]byte("no JSON"))}, 1},
		"no type": {[]*nats.Msg{{Data: good}}, 1},
	} {
		var f failures
		t.Run(name, func(t *testing.T) {
			s := roomtest.Server(t)
			f.TB = t
			Watch(&f, roomtest.Conn(t, s))
			nc := roomtest.Conn(t, s)
			for _, m := range c.events {
				m.Subject = subjects.Facts("lobby")
				if err := nc.PublishMsg(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
		})
		if got := f.count.Load(); got != c.fails {
			t.Errorf("%s: failed %d times, want %d", name, got, c.fails)
		}
	}
}

func event(data []byte) *nats.Msg {
	return &nats.Msg{Data: data, Header: nats.Header{"Content-Type": {events.ContentType}}}
}
