//go:build unix

package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

// keyed is a roomd with a file of several keys, and a back end.
type keyed struct {
	t    *testing.T
	file string
	args []string
	*started
	ops *person
}

func newKeyed(t *testing.T, names ...string) *keyed {
	t.Helper()
	t.Parallel()
	k := &keyed{t: t, file: write(t, keySet(names...))}
	k.args = []string{"--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", k.file}
	k.begin(names[len(names)-1])
	t.Cleanup(func() { k.end(t) }) // before the store directory is removed
	return k
}

// begin starts roomd, and connects its back end with a token of a key.
func (k *keyed) begin(key string) {
	k.t.Helper()
	k.started = start(k.t, k.args...)
	k.ops = k.bearer(key, auth.Claims{User: "ops", Admin: true})
}

// bearer connects with a token that is signed with the key of that name.
func (k *keyed) bearer(key string, c auth.Claims) *person {
	k.t.Helper()
	secret, err := base64.RawURLEncoding.DecodeString(strings.Repeat(key, 32))
	if err != nil {
		k.t.Fatal(err)
	}
	token, err := auth.Sign(secret, key, c)
	if err != nil {
		k.t.Fatal(err)
	}
	opts := []nats.Option{nats.Token(token)}
	if !c.Admin {
		opts = append(opts, nats.CustomInboxPrefix(subjects.UserInbox(c.User)))
	}
	return connected(k.t, k.url, opts...)
}

// asks sends a command, and returns the code of the refusal, and the reply.
func (p *person) asks(subject, body string) (code string, reply []byte) {
	p.t.Helper()
	m, err := p.Request(subject, []byte(body), within)
	if err != nil {
		p.t.Fatalf("%s: %v", subject, err)
	}
	return m.Header.Get("Nats-Service-Error"), m.Data
}

// must sends a command that must succeed.
func (p *person) must(subject, body string) []byte {
	p.t.Helper()
	code, reply := p.asks(subject, body)
	if code != "" {
		p.t.Fatalf("%s %s: %s", subject, body, reply)
	}
	return reply
}

// shown is how others see a member of a room.
func (k *keyed) shown(room, user string) (name, role string) {
	k.t.Helper()
	var reply struct {
		MemberList []struct {
			UserID   string `json:"userID"`
			UserName string `json:"userName"`
			Role     string `json:"role"`
		} `json:"memberList"`
	}
	if err := json.Unmarshal(k.ops.must("room.cmd.members", fmt.Sprintf(`{"roomID":%q,"sync":true}`, room)), &reply); err != nil {
		k.t.Fatal(err)
	}
	for _, m := range reply.MemberList {
		if m.UserID == user {
			return m.UserName, m.Role
		}
	}
	k.t.Fatalf("%s is not in %s: %+v", user, room, reply)
	return "", ""
}

// What a token gave its user is gone with the token, whoever comes with another one.
func TestNothingIsLeftOfARevokedToken(t *testing.T) {
	issued := time.Now().Truncate(time.Second).Add(-time.Hour)
	for name, revoke := range map[string]func(*keyed){
		"by its ID": func(k *keyed) { k.ops.must("room.cmd.block", `{"userID":"mallory","tokenID":"lost"}`) },
		"by its age": func(k *keyed) {
			k.ops.must("room.cmd.block", fmt.Sprintf(`{"userID":"mallory","issuedBefore":%q}`, events.TimeOf(issued.Add(time.Minute))))
		},
		"with its key": func(k *keyed) {
			rewriteKeys(k, "bbbb")
			says(k.t, k.stderr, "the keys for tokens were read again", "gone=1")
		},
		"with its key while roomd is away": func(k *keyed) {
			k.end(k.t)
			rewriteKeys(k, "bbbb")
			k.begin("bbbb")
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyed(t, "aaaa", "bbbb")
			for room, config := range map[string]string{"exam": `"access":"token","roomDestroyDelayTime":600`, "hall": `"speakers":"hosts","attributes":"owned","roomDestroyDelayTime":600`} {
				k.ops.must("room.cmd.create", fmt.Sprintf(`{"roomID":%q,"config":{%s}}`, room, config))
			}
			k.ops.must("room.cmd.enter", `{"roomID":"hall","userID":"bob"}`)
			k.ops.must("room.cmd.ban", `{"roomID":"hall","userIDs":["eve"]}`)
			lost := k.bearer("aaaa", auth.Claims{
				User: "mallory", ID: "lost", Issued: issued, Expires: time.Now().Add(time.Hour), Name: new("Support"),
				Rooms: []subjects.Room{"exam"}, Hosts: []subjects.Room{"hall"},
			})
			for _, room := range []string{"exam", "hall"} {
				lost.must("room.cmd.enter.mallory", fmt.Sprintf(`{"roomID":%q,"leaseSeconds":3600}`, room))
			}
			if name, role := k.shown("hall", "mallory"); name != "Support" || role != "host" {
				t.Errorf("with the token it is %q, %q", name, role)
			}
			runs := map[string]string{
				"mute": `{"roomID":"hall","userIDs":["bob"]}`, "setMemberAttributes": `{"roomID":"hall","userIDs":["bob"],"attributes":{"a":"b"}}`,
				"send": `{"roomID":"hall","type":"text","data":"hello"}`, "update": `{"roomID":"hall","roomName":"mine"}`,
			}
			for _, verb := range []string{"mute", "setMemberAttributes", "send"} {
				lost.must("room.cmd."+verb+".mallory", runs[verb])
			}
			if get := lost.must("room.cmd.get.mallory", `{"roomID":"hall"}`); !strings.Contains(string(get), `"eve"`) {
				t.Errorf("a host does not see who is banned: %s", get)
			}
			revoke(k)
			again := k.bearer("bbbb", auth.Claims{User: "mallory", ID: "own", Issued: issued.Add(30 * time.Minute), Expires: time.Now().Add(time.Hour)})
			runs["kick"] = `{"roomID":"hall","userIDs":["bob"]}`
			runs["setRole"] = `{"roomID":"hall","userIDs":["mallory"],"role":"host"}`
			runs["destroy"] = `{"roomID":"hall"}`
			for verb, body := range runs {
				if code, _ := again.asks("room.cmd."+verb+".mallory", body); code != "NOT_ALLOWED" {
					t.Errorf("a host by a token that was revoked may %s: %q", verb, code)
				}
			}
			if get := again.must("room.cmd.get.mallory", `{"roomID":"hall"}`); strings.Contains(string(get), `"eve"`) {
				t.Errorf("it sees who is banned: %s", get)
			}
			for _, room := range []string{"exam", "hall"} {
				again.must("room.cmd.leave.mallory", fmt.Sprintf(`{"roomID":%q}`, room))
			}
			if code, _ := again.asks("room.cmd.join.mallory", `{"roomID":"exam"}`); code != "NOT_ALLOWED" {
				t.Errorf("it joins a room that the token named: %q", code)
			}
			again.must("room.cmd.join.mallory", `{"roomID":"hall"}`)
			if name, role := k.shown("hall", "mallory"); name != "" || role != "" {
				t.Errorf("without the token it is %q, %q", name, role)
			}
		})
	}
}

func rewriteKeys(k *keyed, names ...string) {
	k.t.Helper()
	rewrite(k.t, k.file, keySet(names...))
}
