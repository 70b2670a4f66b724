package roomsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// shops is a server with the rooms in an account of their own, and two further accounts that
// import the commands and the facts; one of them shares who it is.
const shops = `system_account: SYS
accounts {
	SYS {}
	CHAT { jetstream: enabled, users: [{ user: chat, password: p }], exports: [{ service: "room.cmd.>" }, { stream: "room.evt.*" }] }
	SHOP { users: [{ user: shop, password: p }], imports: [
		{ service: { account: CHAT, subject: "room.cmd.>" } }, { stream: { account: CHAT, subject: "room.evt.*" } } ] }
	OPEN { users: [{ user: open, password: p }], imports: [{ service: { account: CHAT, subject: "room.cmd.>" }, share: true }] }
}`

// A back end of another account that imports the commands acts for users; nobody of another
// account acts as one, with or without a reply, and the log says so once.
func TestImports(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]roomsvc.Config{"trusting": {}, "with feeds": {Feeds: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := roomtest.Start(t, func(o *server.Options) {
				if err := o.ProcessConfigString(shops); err != nil {
					t.Error(err)
				}
			})
			at := func(user string) string { return strings.Replace(node.ClientURL(), "://", "://"+user+":p@", 1) }
			w := worlds.At(t, at("chat"))
			i := w.Start(cfg)
			w.Create("lobby", 60, "bob")
			for _, account := range []string{"SHOP", "OPEN"} {
				user := strings.ToLower(account)
				other := worlds.At(t, at(user))
				heard, err := other.NC.SubscribeSync(subjects.Facts("lobby"))
				if err == nil {
					err = other.NC.FlushTimeout(patience)
				}
				if err != nil {
					t.Fatal(err)
				}
				worlds.OK[struct{}](other, "enter", fmt.Sprintf(`{"roomID":"lobby","userID":"%s"}`, user))
				if account == "SHOP" {
					if m, err := heard.NextMsg(patience); err != nil || !strings.Contains(string(m.Data), `"shop"`) {
						t.Errorf("%s hears of it: %v", account, err)
					}
				}
				for _, form := range []string{"enter.alice", "leave.bob", "get.bob"} {
					if e := other.Refused(room.ErrNotAllowed, form, `{"roomID":"lobby"}`); !strings.Contains(e.Message, "another account") {
						t.Errorf("%s: %s says %q", account, form, e.Message)
					}
				}
				// Nor without a reply, even if it says itself that it is somebody else.
				for _, h := range []nats.Header{nil, {"Nats-Request-Info": {`{"acc":"CHAT","user":"alice"}`}}} {
					if err := other.NC.PublishMsg(&nats.Msg{Subject: "room.cmd.enter.alice", Header: h, Data: []byte(`{"roomID":"lobby"}`)}); err != nil {
						t.Fatal(err)
					}
				}
				// What comes after them on the same connection, and is answered, comes last.
				other.Refused(room.ErrNotAllowed, "get.alice", `{"roomID":"lobby"}`)
				members := worlds.OK[room.MemberOfReply](w, "memberOf", `{"roomID":"lobby","userIDs":["alice","bob"],"sync":true}`)
				if len(members.MemberList) != 1 || members.MemberList[0].UserID != "bob" {
					t.Errorf("after what %s sent, members are %v", account, members.MemberList)
				}
			}
			if log := i.Log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "account=SHOP") || !strings.Contains(log, "room.cmd.enter.alice") {
				t.Errorf("the log:\n%s", log)
			}
			// In the account of the rooms users act as before.
			if e := worlds.Refusal(w.Ask("enter.alice", `{"roomID":"lobby"}`)); e != nil {
				t.Error(e)
			}
		})
	}
}

// Whoever writes a server's header itself is no other account, and is limited as ever.
func TestForgedImports(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{"answered": "_INBOX.forged", "not answered": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := worlds.On(t, roomtest.Start(t))
			i := w.Start(roomsvc.Config{Feeds: true, Limits: room.Limits{UserCommands: 1}})
			told := hear(t, w.NC, subjects.CutOff)
			for range 200 { // a hundred are refused first
				m := &nats.Msg{Subject: "room.cmd.get.mallory", Reply: reply, Header: nats.Header{subjects.RequestInfo: {`{"acc":"SHOP"}`}}}
				if err := w.NC.PublishMsg(m); err != nil {
					t.Fatal(err)
				}
			}
			if m, err := told.NextMsg(patience); err != nil || !strings.Contains(string(m.Data), "mallory") {
				t.Errorf("mallory goes on: %v", err)
			}
			if log := i.Log.String(); reply != "" && strings.Contains(log, "another account") {
				t.Errorf("another account is blamed:\n%s", log)
			}
		})
	}
}
