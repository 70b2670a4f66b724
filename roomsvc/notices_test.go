package roomsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
)

// notice is what a user's devices hear.
type notice struct {
	RoomID     string `json:"roomID"`
	InstanceID string `json:"instanceID"`
	Sequence   uint64 `json:"sequence"`
	UserID     string `json:"userID"`
	SessionID  string `json:"sessionID"`
	State      string `json:"state"`
	StateCode  int    `json:"stateCode"`
	Event      string `json:"event"`
	EventCode  int    `json:"eventCode"`
	RequestID  string `json:"requestID"`
	ReasonText string `json:"reasonText"`
	Error      *struct {
		Code   string `json:"code"`
		Number int    `json:"number"`
	} `json:"error"`
}

var (
	stateCodes = map[string]int{"disconnected": 0, "connecting": 1, "connected": 2}
	eventCodes = map[string]int{"success": 0, "roomNotExist": 3, "activeCreate": 4, "createFailed": 5, "activeEnter": 6, "enterFailed": 7, "kickedOut": 8, "connectTimeout": 9, "kickedOutByOtherDevice": 10, "activeSwitch": 11, "switchFailed": 12}
)

// line is the notice in short; it checks that the parts agree.
func (n *notice) line(t *testing.T, m *nats.Msg) string {
	t.Helper()
	if stateCodes[n.State] != n.StateCode || eventCodes[n.Event] != n.EventCode || n.UserID == "" || n.SessionID == "" ||
		m.Subject != "room.state."+token(n.UserID)+"."+token(n.RoomID) {
		t.Errorf("a notice at %s that contradicts itself: %s", m.Subject, m.Data)
	}
	if n.State == "connected" && n.Event == "success" && (n.InstanceID == "" || n.Sequence == 0) {
		t.Errorf("a success without a position: %s", m.Data)
	}
	line := fmt.Sprintf("%s/%s %s %s", n.RoomID, n.SessionID, n.State, n.Event)
	if n.Error != nil {
		line += fmt.Sprintf(" %s %d", n.Error.Code, n.Error.Number)
	}
	return line
}

func TestNotices(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{}) // another may learn a moment later that alice is in
	sub, err := w.NC.SubscribeSync("room.state.alice.*")
	if err != nil {
		t.Fatal(err)
	}
	phone := roomtest.Conn(t, w.Node.Server)
	other, err := phone.SubscribeSync("room.state.alice.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := phone.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	ok[position](w, "create", `{"roomID":"bobs","userID":"bob"}`)
	ok[position](w, "create", `{"roomID":"full","userID":"bob","config":{"maxMembers":1}}`)
	steps := []struct {
		verb, body string
		want       []string
	}{
		{"create", `{"roomID":"lobby"}`, []string{"lobby/default connecting activeCreate", "lobby/default connected success"}},
		{"create", `{"roomID":"lobby"}`, []string{"lobby/default connected createFailed ROOM_ALREADY_EXISTS 6000323"}},
		{"create", `{"roomID":"bobs"}`, []string{"bobs/default connecting activeCreate", "bobs/default disconnected createFailed ROOM_ALREADY_EXISTS 6000323"}},
		{"create", `{"roomID":"new","config":{"maxMembers":-1}}`, []string{"new/default connecting activeCreate", "new/default disconnected createFailed PARAM_INVALID 6000001"}},
		// It is refused, and yet in the room: the notice says what is true, whatever the
		// refusal suggests.
		{"join", `{"roomID":"lobby"}`, []string{"lobby/default connected enterFailed USER_ALREADY_IN_ROOM 6000320"}},
		{"join", `{"roomID":"none"}`, []string{"none/default connecting activeEnter", "none/default disconnected enterFailed ROOM_NOT_EXIST 6000322"}},
		{"enter", `{"roomID":"full"}`, []string{"full/default connecting activeEnter", "full/default disconnected enterFailed ROOM_FULL 7000002"}},
		{"enter", `{"roomID":"lobby"}`, []string{"lobby/default connected success"}},
		{"join", `{"roomID":"lobby","sessionID":"phone"}`, []string{"lobby/phone connecting activeEnter", "lobby/phone connected success"}},
		{"join", `{"roomID":"bobs"}`, []string{"bobs/default connecting activeEnter", "bobs/default connected success"}},
		{"switch", `{"fromRoomID":"bobs","toRoomInfo":{"roomID":"full"}}`, []string{"full/default connecting activeSwitch", "full/default disconnected switchFailed ROOM_FULL 7000002"}},
		{"switch", `{"fromRoomID":"none","toRoomInfo":{"roomID":"bobs"}}`, []string{"bobs/default connected switchFailed ROOM_NOT_EXIST 6000322"}},
		{"switch", `{"fromRoomID":"full","toRoomInfo":{"roomID":"bobs"}}`, []string{"bobs/default connected switchFailed USER_NOT_IN_ROOM 6000321"}},
		{"switch", `{"fromRoomID":"lobby","toRoomInfo":{"roomID":"bobs"}}`, []string{"bobs/default connected success", "lobby/default disconnected success"}},
		{"enter", `{"roomID":"lobby"}`, []string{"lobby/default connecting activeEnter", "lobby/default connected success"}},
		{"switch", `{"fromRoomID":"bobs","toRoomInfo":{"roomID":"bobs"}}`, []string{"bobs/default connected switchFailed PARAM_INVALID 6000001"}},
		{"switch", `{"fromRoomID":"bobs","toRoomInfo":{"roomID":"new"},"isCreateWhenRoomNotExisted":true}`,
			[]string{"new/default connecting activeSwitch", "new/default connected success", "bobs/default disconnected success"}},
		{"leave", `{"roomID":"none"}`, nil},
		{"leave", `{"roomID":"lobby","sessionID":"phone"}`, []string{"lobby/phone disconnected success"}},
		{"join", `{"roomID":"bobs"}`, []string{"bobs/default connecting activeEnter", "bobs/default connected success"}},
		{"leave", `{"roomID":"bobs"}`, []string{"bobs/default disconnected success"}},
		{"leaveAll", `{}`, []string{"lobby/default disconnected success", "new/default disconnected success"}},
		{"leaveAll", `{}`, nil},
		{"get", `{"roomID":"bobs"}`, nil},
	}
	for i, s := range steps {
		requestID := fmt.Sprintf("r%d", i)
		body := strings.Replace(`{"requestID":"`+requestID+`",`+s.body[1:], ",}", "}", 1)
		m := w.Ask(s.verb+".alice", body)
		// The reply has arrived on the same connection, so all notices must have, too.
		n, _, err := sub.Pending()
		if err != nil || n != len(s.want) {
			t.Errorf("step %d, %s %s: %d notices before the reply, want %d", i, s.verb, s.body, n, len(s.want))
		}
		for j := range max(n, len(s.want)) {
			heard, err := sub.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			e := readNotice(t, heard)
			got := e.line(t, heard)
			if j >= len(s.want) || got != s.want[j] || e.RequestID != requestID {
				t.Errorf("step %d, %s %s: notice %d is %s (request %s), want %q", i, s.verb, s.body, j, got, e.RequestID, s.want)
			}
			if p := decode[position](t, m.Data); e.State == "connected" && e.Event == "success" && (p.InstanceID != e.InstanceID || p.Sequence != e.Sequence) {
				t.Errorf("step %d: the notice is of %s %d, the reply of %+v", i, e.InstanceID, e.Sequence, p)
			}
			copied, err := other.NextMsg(patience)
			if err != nil || string(copied.Data) != string(heard.Data) {
				t.Errorf("step %d: the other device heard %v, %v", i, copied, err)
			}
		}
	}
}

func readNotice(t *testing.T, m *nats.Msg) *notice {
	t.Helper()
	var e event.Event
	if err := e.UnmarshalJSON(m.Data); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	n := &notice{}
	if err := json.Unmarshal(e.Data(), n); err != nil {
		t.Fatal(err)
	}
	source := "/rooms/" + token(n.RoomID)
	if n.InstanceID != "" {
		source += "/" + n.InstanceID
	}
	if err := e.Validate(); err != nil || e.Type() != typePrefix+"user.state.changed.v1" || e.Source() != source || e.Subject() != n.RoomID ||
		m.Header.Get("Content-Type") != "application/cloudevents+json" {
		t.Errorf("a notice unlike the contract, %v: %v %s", err, m.Header, m.Data)
	}
	return n
}
