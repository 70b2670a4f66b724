package roomsvc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// hear subscribes, and returns when the server knows it.
func hear(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err == nil {
		err = errors.Join(sub.SetPendingLimits(-1, -1), nc.FlushTimeout(patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// said is what a copy says in short: the message's data, or the fact's type and sequence.
func said(t *testing.T, m *nats.Msg) string {
	t.Helper()
	if f, err := events.DecodeFact(m.Data); err == nil {
		if got := m.Header.Get("Nats-Sequence"); got == "" {
			t.Errorf("a fact without its revision: %v", m.Header)
		}
		return fmt.Sprintf("%s %d", f.Type[len(events.TypePrefix):], f.Sequence)
	}
	msg, err := events.DecodeMessage(m.Data)
	if err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	if (m.Header.Get("Nats-Sequence") == "") == msg.Type.Stored() || m.Header.Get("Content-Type") != events.ContentType {
		t.Errorf("%s %q has the headers %v", msg.Type, msg.Data, m.Header)
	}
	return msg.Data
}

func next(t *testing.T, sub *nats.Subscription) string {
	t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %v", sub.Subject, err)
	}
	return said(t, m)
}

// Each member hears what happens while it is one, and its own going is the last of it.
func TestFeeds(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	alice, bob, spy := hear(t, w.nc, "room.feed.alice.*"), hear(t, w.nc, "room.feed.bob.>"), hear(t, w.nc, "room.open.>")
	joined := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	if !slices.Equal(joined.Subscribe, []string{"room.feed.alice.lobby"}) {
		t.Errorf("alice is to subscribe to %q", joined.Subscribe)
	}
	if trusted := ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"alice"}`); !slices.Equal(trusted.Subscribe, []string{"room.evt.lobby", "room.msg.lobby"}) {
		t.Errorf("a trusted caller is to subscribe to %q", trusted.Subscribe)
	}
	ok[room.JoinedReply](w, "join.bob", `{"roomID":"lobby"}`)
	for i, text := range []string{"one", "two"} {
		ok[room.SendReply](w, "send.bob", fmt.Sprintf(`{"roomID":"lobby","type":%q,"data":%q}`, []string{"text", "command"}[i], text))
		if a, b := next(t, alice), next(t, bob); i == 0 {
			if a != "room.created.v1 1" || b != "member.joined.v1 2" || next(t, alice) != "member.joined.v1 2" || next(t, alice) != "one" || next(t, bob) != "one" {
				t.Fatalf("alice hears %q, bob %q", a, b)
			}
		} else if a != "two" || b != "two" {
			t.Fatalf("alice hears %q, bob %q", a, b)
		}
	}
	ok[room.LeftReply](w, "leave.bob", `{"roomID":"lobby"}`)
	ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"alone"}`)
	for _, want := range []string{"member.left.v1 3", "alone"} {
		if got := next(t, alice); got != want {
			t.Errorf("alice hears %q, want %q", got, want)
		}
	}
	ok[room.KickReply](w, "kick", `{"roomID":"lobby","userIDs":["alice"]}`)
	ok[room.JoinedReply](w, "enter.bob", `{"roomID":"lobby","config":{"delivery":"open"}}`)
	if got := next(t, alice); got != "member.left.v1 4" {
		t.Errorf("alice hears %q", got)
	}
	if got := next(t, bob); got != "member.left.v1 3" {
		t.Errorf("bob hears %q", got)
	}
	if got := next(t, spy); got != "room.created.v1 1" {
		t.Errorf("of the open room one hears %q", got)
	}
	open := ok[room.JoinedReply](w, "join.alice", `{"roomID":"lobby"}`)
	if !slices.Equal(open.Subscribe, []string{"room.open.lobby"}) || next(t, spy) != "member.joined.v1 2" {
		t.Errorf("alice is to subscribe to %q", open.Subscribe)
	}
	ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"all"}`)
	if got := next(t, spy); got != "all" {
		t.Errorf("of the open room one hears %q", got)
	}
	for _, sub := range []*nats.Subscription{alice, bob} {
		if n, _, _ := sub.Pending(); n != 0 {
			t.Errorf("%s: %d more", sub.Subject, n)
		}
	}
}

// An end user reads rooms that it is in, and open ones.
func TestOnlyMembersRead(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	r := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	ok[room.JoinedReply](w, "enter.alice", `{"roomID":"stage","config":{"delivery":"open"}}`)
	for verb, more := range map[string]string{"get": "", "members": "", "memberOf": `,"userIDs":["alice"]`, "history": fmt.Sprintf(`,"instanceID":%q,"afterSequence":0`, r.InstanceID)} {
		w.refused(room.ErrNotAllowed, verb+".bob", `{"roomID":"lobby"`+more+`}`)
		ok[position](w, verb+".alice", `{"roomID":"lobby"`+more+`}`)
		ok[position](w, verb, `{"roomID":"lobby"`+more+`}`)
		w.refused(room.ErrRoomNotExist, verb+".bob", `{"roomID":"none"`+more+`}`)
		w.ask(verb+".bob", `{"roomID":"stage"`+more+`}`)
		if e := refusal(w.ask(verb+".bob", `{"roomID":"stage"`+more+`}`)); e != nil {
			t.Errorf("%s of an open room: %v", verb, e)
		}
	}
	ok[room.JoinedReply](w, "join.bob", `{"roomID":"lobby"}`)
	for range 10 { // whichever instance is asked
		ok[position](w, "members.bob", `{"roomID":"lobby"}`)
	}
}

// leaver is a member who goes, or is put out, while others talk.
type leaver struct {
	user string
	sub  *nats.Subscription
	gone time.Time // when that was acknowledged; under the test's lock
	last uint64    // the sequence of its going
}

// Whoever is out hears nothing of what is said or happens after that was acknowledged.
func TestRevocation(t *testing.T) {
	leavers, rate := 100, 500
	if os.Getenv("NATSROOMS_LONG") != "" {
		leavers, rate = 1000, 2000
	}
	w, instances := newWorld(t, 3, roomsvc.Config{Feeds: true})
	const members = 20 // of a room; a message is as many copies
	id := func(i int) string { return fmt.Sprint("lobby-", i%(leavers/members)) }
	for i := range leavers / members {
		ok[room.JoinedReply](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"host"}`, id(i)))
	}
	list := make([]*leaver, leavers)
	conns := make([]*nats.Conn, 8)
	for i := range conns {
		conns[i] = roomtest.Conn(t, w.node.Server)
	}
	together(leavers, func(i int) {
		l := &leaver{user: fmt.Sprintf("user-%d", i)}
		pattern := "room.feed." + l.user + ".>"
		if i%3 == 0 { // it listens to whatever it can
			pattern = "room.*." + l.user + ".*"
		}
		l.sub = hear(t, conns[i%len(conns)], pattern)
		list[i] = l
		if _, err := request[room.JoinedReply](w, room.Join, room.RoomRequest{Caller: room.Caller{UserID: l.user}, RoomID: id(i)}, 15*time.Second); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	var mu sync.Mutex
	started := []time.Time{}
	stop := make(chan struct{})
	var talking sync.WaitGroup
	var sent atomic.Int64
	const talkers = 32
	for range talkers {
		talking.Go(func() {
			pace := time.NewTicker(talkers * time.Second / time.Duration(rate))
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				mu.Lock()
				n := len(started)
				started = append(started, time.Now())
				mu.Unlock()
				if _, err := once[room.SendReply](w, room.Send, room.SendRequest{Caller: room.Caller{UserID: "host"}, RoomID: id(n), Type: "text", Data: strconv.Itoa(n)}); err != nil {
					t.Error(err)
				}
				sent.Add(1)
			}
		})
	}
	began := time.Now()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	together(leavers, func(i int) {
		<-pace.C
		if i == leavers/2 { // another one publishes from here on
			instances[max(slices.Index([]string{"i0", "i1", "i2"}, leaderOf(w)), 0)].stop()
		}
		l := list[i]
		var err error
		if i%2 == 0 {
			var left *room.LeftReply
			if left, err = request[room.LeftReply](w, room.Leave, room.RoomRequest{Caller: room.Caller{UserID: l.user}, RoomID: id(i)}, 15*time.Second); err == nil {
				l.last = left.Sequence
			}
		} else {
			_, err = request[room.KickReply](w, room.Kick, room.KickRequest{RoomID: id(i), UserIDs: []string{l.user}}, 15*time.Second)
		}
		l.gone = time.Now()
		if err != nil {
			t.Error(err)
		}
		if i%4 == 0 { // it comes back to listen
			l.sub = more(t, l.sub, roomtest.Conn(t, w.node.Server))
		}
	})
	took := time.Since(began)
	close(stop)
	talking.Wait()
	last := hear(t, w.nc, "room.feed.host.lobby-0")
	for heard := ""; heard != "end"; { // until there is one that publishes
		ok[room.SendReply](w, "send", `{"roomID":"lobby-0","userID":"host","type":"text","data":"end"}`)
		for heard != "end" {
			m, err := last.NextMsg(500 * time.Millisecond)
			if errors.Is(err, nats.ErrTimeout) && w.ctx.Err() == nil {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			heard = said(t, m)
		}
	}
	for _, nc := range conns { // what was on its way has come
		if err := nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	late, heard := 0, 0
	for _, l := range list {
		out := false
		for {
			n, _, err := l.sub.Pending()
			if err != nil || n == 0 {
				break
			}
			m, err := l.sub.NextMsgWithContext(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := events.DecodeNotice(m.Data); err == nil {
				continue
			}
			heard++
			if out {
				late++
				t.Errorf("%s, who is out, hears %s", l.user, m.Data)
			}
			if f, err := events.DecodeFact(m.Data); err == nil {
				out = out || f.Type == events.MemberLeft && slices.ContainsFunc(f.Left, func(x events.Left) bool { return x.UserID == l.user })
				if l.last > 0 && f.Sequence > l.last {
					t.Errorf("%s left at %d and hears of %d", l.user, l.last, f.Sequence)
				}
				continue
			}
			said, err := events.DecodeMessage(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := strconv.Atoi(said.Data); err != nil || started[n].After(l.gone) {
				late++
				t.Errorf("%s went at %v and hears what was said at %v", l.user, l.gone, started[n])
			}
		}
	}
	roomtest.Figure(t, "%d leaves and kicks in %v under %.0f messages/s: %d copies heard, %d late", leavers, took, float64(sent.Load())/took.Seconds(), heard, late)
	if heard == 0 {
		t.Error("nobody heard anything")
	}
}

// more goes on listening on another connection, behind what sub has heard.
func more(t *testing.T, sub *nats.Subscription, nc *nats.Conn) *nats.Subscription {
	t.Helper()
	again := hear(t, nc, sub.Subject)
	if err := sub.Unsubscribe(); err != nil {
		t.Error(err)
	}
	return again
}
