package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/subjects"
)

// attackEnv makes this program attack instead: URL|attack|connections of each user|duration|token of each user.
const attackEnv = "ROOMBENCH_ABUSE"

// attacker is one connection of a hostile user.
type attacker struct {
	nc    *nats.Conn
	url   string
	token string
	user  subjects.User
	n     int // of the connection
	each  int // connections of the user
	until time.Time
	sent  *atomic.Int64
}

// attack is one way of being hostile.
type attack struct {
	name string
	do   func(a *attacker)
}

// attacks are all of them. The users are in the room that the honest ones are in, and in one of
// their own which has 2,000 messages that they may not read.
var attacks = []attack{
	{"unknown fields", flood("send", func(int) string { return unknown })},
	{"barrages", silent("send", func(int) string { return `{"roomID":"lobby","type":"barrage","data":"boo"}` })},
	{"texts", flood("send", func(int) string { return `{"roomID":"lobby","type":"text","data":"` + page[:30_000] + `"}` })},
	{"empty sends", flood("send", func(int) string { return `{}` })},
	{"history", flood("history", func(int) string {
		return `{"roomID":"archive","instanceID":"` + archive + `","afterMessageSeq":0,"count":500}`
	})},
	{"1 MB requests", flood("send", func(int) string { return strings.Repeat(page, 32) })},
	{"unread answers", unread},
	{"create and leave", flood("create", func(i int) string {
		return fmt.Sprintf(`{"roomID":"r%s","config":{"roomDestroyDelayTime":10800}}`, nuid.Next())
	},
		"leaveAll", func(int) string { return `{}` })},
	{"rooms", flood("enter", func(int) string {
		return fmt.Sprintf(`{"roomID":"r%s","config":{"roomDestroyDelayTime":10800}}`, nuid.Next())
	})},
	{"request IDs", flood("enter", func(int) string {
		return fmt.Sprintf(`{"roomID":"lobby","requestID":"%s%s"}`, nuid.Next(), nuid.Next())
	})},
	{"join and leave", flood("enter", func(int) string { return `{"roomID":"lobby"}` }, "leave", func(int) string { return `{"roomID":"lobby"}` })},
	{"switch", flood("switch", func(int) string {
		return fmt.Sprintf(`{"fromRoomID":"lobby","toRoomInfo":{"roomID":"r%s"},"isCreateWhenRoomNotExisted":true}`, nuid.Next())
	}, "enter", func(int) string { return `{"roomID":"lobby"}` })},
	{"attributes", flood("setAttributes", func(i int) string { return fmt.Sprintf(`{"roomID":"lobby","isForce":true,"set":{"a":"%d"}}`, i) })},
	{"member attributes", flood("setMemberAttributes", func(i int) string {
		return fmt.Sprintf(`{"roomID":"lobby","isForce":true,"userIDs":["honest-1"],"attributes":{"a":"%d"}}`, i)
	})},
	{"names", flood("updateMember", func(i int) string { return fmt.Sprintf(`{"roomID":"lobby","userName":"%d"}`, i) })},
	{"deletions", func(a *attacker) {
		flood("deleteMessages", func(int) string { return fmt.Sprintf(`{"roomID":"archive","ofUserID":%q}`, a.user) })(a)
	}},
	{"deletions of others", flood("deleteMessages", func(int) string {
		return `{"roomID":"archive","messageSeqs":[` + strings.Repeat("1,", 99) + `1]}`
	})},
	{"facts", flood("history", func(int) string { return `{"roomID":"lobby","afterSequence":0,"count":500}` })},
	{"as much as is allowed", steady("send", func(int) string { return `{"roomID":"lobby","type":"barrage","data":"boo"}` })},
	{"members", flood("members", func(int) string { return `{"roomID":"lobby","count":500}` })},
	{"memberOf", flood("memberOf", func(int) string {
		return `{"roomID":"lobby","userIDs":[` + strings.Repeat(`"honest-1",`, 99) + `"honest-1"]}`
	})},
	{"rooms of a user", flood("rooms", func(int) string { return `{"sync":true}` })},
	{"list", flood("list", func(int) string { return `{}` })},
	{"reads of the future", flood("get", func(int) string { return `{"roomID":"lobby","minRevision":1000000000}` })},
	{"renew", flood("renew", func(int) string { return `{}` })},
	{"sessions", flood("renew", func(int) string { return `{"sessionID":"` + nuid.Next() + `"}` })},
	{"connections", connections},
	{"reconnects", reconnects},
	{"subscriptions", subscriptions},
}

var (
	page    = strings.Repeat("x", 32<<10)
	unknown = func() string {
		fields := []string{`"roomID":"lobby","type":"text","data":"x"`}
		for i := 0; i < 7000; i++ {
			fields = append(fields, fmt.Sprintf(`"f%d":0`, i))
		}
		return "{" + strings.Join(fields, ",")[:62_000] + `":0}`
	}()
	archive = os.Getenv("ROOMBENCH_ARCHIVE") // instance ID of the room archive
)

func attackNames() string {
	var names []string
	for _, a := range attacks {
		names = append(names, strconv.Quote(a.name))
	}
	return strings.Join(names, ", ")
}

func attackOf(name string) *attack {
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return &attacks[i]
}

// assault carries out an attack as attackEnv says, and prints how much was sent.
func assault(what string) {
	part := strings.Split(what, "|")
	each, _ := strconv.Atoi(part[2])
	long, _ := time.ParseDuration(part[3])
	until := time.Now().Add(long)
	var sent atomic.Int64
	var all sync.WaitGroup
	for user, token := range part[4:] {
		for n := range each {
			all.Go(func() {
				a := &attacker{url: part[0], token: token, user: hostile(user), n: n, each: each, until: until, sent: &sent}
				attackOf(part[1]).do(a)
			})
		}
	}
	all.Wait()
	fmt.Println(sent.Load())
}

func hostile(n int) subjects.User { return subjects.User(fmt.Sprint("mallory-", n)) }

func (a *attacker) options() []nats.Option {
	return []nats.Option{
		nats.Token(a.token), nats.CustomInboxPrefix(subjects.UserInbox(a.user)), nats.Timeout(5 * time.Second), nats.MaxReconnects(-1),
		nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
}

// connect connects, however often that takes.
func (a *attacker) connect() bool {
	for a.goesOn() {
		nc, err := nats.Connect(a.url, a.options()...)
		if err == nil {
			a.nc = nc
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func (a *attacker) goesOn() bool { return time.Now().Before(a.until) }

// flood sends commands as fast as the connection takes them, and reads the answers. kinds are
// verbs, each with a function that makes bodies; they take turns.
func flood(kinds ...any) func(a *attacker) {
	return hearing(func(a *attacker, inbox string) { a.pump(inbox, kinds) })
}

// hearing is an attack by somebody who reads the answers, in an inbox.
func hearing(do func(a *attacker, inbox string)) func(a *attacker) {
	return func(a *attacker) {
		if !a.connect() {
			return
		}
		defer a.nc.Close()
		inbox := a.nc.NewInbox()
		_, _ = a.nc.Subscribe(inbox, func(*nats.Msg) {})
		do(a, inbox)
	}
}

// silent wants no answers.
func silent(kinds ...any) func(a *attacker) {
	return func(a *attacker) {
		if a.connect() {
			defer a.nc.Close()
			a.pump("", kinds)
		}
	}
}

func (a *attacker) pump(inbox string, kinds []any) {
	for i := 0; a.goesOn(); i++ {
		if !a.publish(inbox, kinds, i) {
			time.Sleep(time.Millisecond) // it is cut off
		}
	}
}

// publish sends the next command, the i-th.
func (a *attacker) publish(inbox string, kinds []any, i int) bool {
	k := i * 2 % len(kinds)
	body := kinds[k+1].(func(int) string)(i)
	m := &nats.Msg{Subject: subjects.UserCommand(kinds[k].(string), a.user), Reply: inbox, Data: []byte(body)}
	if a.nc.PublishMsg(m) != nil {
		return false
	}
	a.sent.Add(1)
	return true
}

// almost is how many commands a second of one user are just not too many, with the limits as they
// are without settings.
const almost = 1900

// steady sends commands as fast as is allowed, with all connections of the user together.
func steady(kinds ...any) func(a *attacker) {
	return hearing(func(a *attacker, inbox string) {
		began := time.Now()
		for sent := 0; a.goesOn(); {
			time.Sleep(5 * time.Millisecond)
			for due := int(time.Since(began).Seconds() * almost / float64(a.each)); sent < due; sent++ {
				a.publish(inbox, kinds, sent)
			}
		}
	})
}

// unread asks without ever reading.
func unread(a *attacker) {
	for a.goesOn() {
		u, err := url.Parse(a.url)
		if err != nil {
			return
		}
		conn, err := net.DialTimeout("tcp", u.Host, time.Second)
		if err != nil {
			continue
		}
		_ = conn.SetDeadline(a.until)
		inbox := subjects.UserInbox(a.user) + ".x"
		body := `{"roomID":"lobby","count":500}`
		_, err = fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"auth_token\":%q,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\nSUB %s 1\r\nSUB %s.> 2\r\n", a.token, inbox, subjects.UserInbox(a.user))
		one := fmt.Sprintf("PUB %s %s %d\r\n%s\r\n", subjects.UserCommand("members", a.user), inbox, len(body), body)
		for many := strings.Repeat(one, 100); err == nil && a.goesOn(); {
			if _, err = conn.Write([]byte(many)); err == nil {
				a.sent.Add(100)
			}
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
}

// connections opens as many as it can, and keeps them.
func connections(a *attacker) {
	var open []*nats.Conn
	for a.goesOn() {
		nc, err := nats.Connect(a.url, append(a.options(), nats.NoReconnect())...)
		if err == nil {
			open = append(open, nc)
			a.sent.Add(1)
		}
	}
	for _, nc := range open {
		nc.Close()
	}
}

// reconnects comes and goes.
func reconnects(a *attacker) {
	for a.goesOn() {
		if nc, err := nats.Connect(a.url, append(a.options(), nats.NoReconnect())...); err == nil {
			a.sent.Add(1)
			nc.Close()
		}
	}
}

// subscriptions hears its own answers as often as it can, and subscribes and unsubscribes.
func subscriptions(a *attacker) {
	if !a.connect() {
		return
	}
	defer a.nc.Close()
	inbox := a.nc.NewInbox()
	for range 450 {
		_, _ = a.nc.ChanSubscribe(subjects.UserInbox(a.user)+".>", make(chan *nats.Msg, 1))
	}
	for i := 0; a.goesOn(); i++ {
		sub, err := a.nc.SubscribeSync(inbox)
		if err == nil {
			err = a.nc.PublishRequest(subjects.UserCommand("get", a.user), inbox, []byte(`{"roomID":"lobby"}`))
			_ = sub.Unsubscribe()
		}
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if a.sent.Add(1); i%20 == 0 { // as fast as is allowed
			time.Sleep(time.Second)
		}
	}
}
