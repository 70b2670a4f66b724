package roomsvc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// hear subscribes, and returns when the server knows of it.
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

// hearOne subscribes for one message: what many rounds subscribed to would fill the memory.
func hearOne(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub := hear(t, nc, subject)
	if err := sub.AutoUnsubscribe(1); err != nil {
		t.Fatal(err)
	}
	return sub
}

// said is a copy in short: the message's data, or the fact's type and sequence.
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

// Each member hears what happens while it is a member, up to the fact that it left.
func TestFeeds(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	alice, bob, spy := hear(t, w.NC, "room.feed.alice.*"), hear(t, w.NC, "room.feed.bob.>"), hear(t, w.NC, "room.open.>")
	joined := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	if !slices.Equal(joined.Subscribe, []string{"room.feed.alice.lobby"}) {
		t.Errorf("alice is told to subscribe to %q", joined.Subscribe)
	}
	if trusted := ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"alice"}`); !slices.Equal(trusted.Subscribe, []string{"room.evt.lobby", "room.msg.lobby"}) {
		t.Errorf("a trusted caller is told to subscribe to %q", trusted.Subscribe)
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
		t.Errorf("the open room's subject says %q", got)
	}
	open := ok[room.JoinedReply](w, "join.alice", `{"roomID":"lobby"}`)
	if !slices.Equal(open.Subscribe, []string{"room.open.lobby"}) || next(t, spy) != "member.joined.v1 2" {
		t.Errorf("alice is told to subscribe to %q", open.Subscribe)
	}
	ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"all"}`)
	if got := next(t, spy); got != "all" {
		t.Errorf("the open room's subject says %q", got)
	}
	for _, sub := range []*nats.Subscription{alice, bob} {
		if n, _, _ := sub.Pending(); n != 0 {
			t.Errorf("%s: %d more", sub.Subject, n)
		}
	}
}

// slow is a connection on which some subscriptions are slow.
type slow struct{ net.Conn }

func (c slow) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("SUB room.msg.")) {
		time.Sleep(500 * time.Millisecond)
	}
	return c.Conn.Write(b)
}

func (slow) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return slow{conn}, err
}

// A user who sends commands as soon as an instance has started hears all that comes of them.
func TestFirstEventsAreHeard(t *testing.T) {
	w, _ := newWorld(t, 0, roomsvc.Config{})
	alice := hear(t, w.NC, "room.feed.alice.*")
	w.Start(roomsvc.Config{Feeds: true, FeedsConn: roomtest.Conn(t, w.Node.Server, nats.SetCustomDialer(slow{}))})
	ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"hello"}`)
	for _, want := range []string{"room.created.v1 1", "hello"} {
		if got := next(t, alice); got != want {
			t.Errorf("alice hears %q, want %q", got, want)
		}
	}
}

// Where members may only read what was said since they joined, an instance whose clock is
// ahead makes nobody miss what is said after their join.
func TestClockAheadHidesNothing(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	r := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby","config":{"historyForJoiners":false}}`)
	f := &events.Fact{ID: "ahead", Type: events.RoomKept, Room: "lobby", InstanceID: r.InstanceID, Sequence: 2, Time: events.TimeOf(time.Now().Add(time.Hour))}
	data, err := f.Encode("")
	if err == nil {
		_, err = w.JS.PublishMsg(w.Ctx, &nats.Msg{Subject: subjects.Journal("lobby"), Header: nats.Header{"Content-Type": {events.ContentType}}, Data: data})
	}
	if err != nil {
		t.Fatal(err)
	}
	ok[position](w, "get", `{"roomID":"lobby","sync":true}`)
	bob := hear(t, w.NC, "room.feed.bob.*")
	ok[position](w, "join.bob", `{"roomID":"lobby"}`)
	ok[room.SendReply](w, "send.alice", `{"roomID":"lobby","type":"text","data":"hello"}`)
	ok[room.LeftReply](w, "leave.alice", `{"roomID":"lobby"}`)
	for _, want := range []string{"member.joined.v1 3", "hello", "member.left.v1 4"} {
		if got := next(t, bob); got != want {
			t.Errorf("bob hears %q, want %q", got, want)
		}
	}
	page := ok[room.HistoryReply](w, "history.bob", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterMessageSeq":0}`, r.InstanceID))
	if len(page.Events) != 1 {
		t.Errorf("bob reads %s", page.Events)
	}
}

// A user who has joined is not told that it is out, whichever instance it asks.
func TestJoinerMayReadAtOnce(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{Feeds: true})
	made := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"stage","config":{"delivery":"open","historyForJoiners":false}}`)
	together(400, func(i int) {
		user := room.Verb(fmt.Sprint(".user-", i))
		if _, err := once[room.JoinedReply](w, "join"+user, map[string]any{"roomID": "stage"}); err != nil {
			t.Error(err)
		}
		if _, err := once[room.HistoryReply](w, "history"+user, map[string]any{"roomID": "stage", "instanceID": made.InstanceID, "beforeMessageSeq": 0}); err != nil {
			t.Error(err)
		}
	})
}

// An end user reads rooms that it is in, and open ones.
func TestOnlyMembersRead(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	r := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`)
	ok[room.JoinedReply](w, "enter.alice", `{"roomID":"stage","config":{"delivery":"open"}}`)
	for verb, more := range map[string]string{"get": "", "members": "", "count": "", "memberOf": `,"userIDs":["alice"]`, "history": fmt.Sprintf(`,"instanceID":%q,"afterSequence":0`, r.InstanceID)} {
		w.Refused(room.ErrNotAllowed, verb+".bob", `{"roomID":"lobby"`+more+`}`)
		ok[position](w, verb+".alice", `{"roomID":"lobby"`+more+`}`)
		ok[position](w, verb, `{"roomID":"lobby"`+more+`}`)
		w.Refused(room.ErrRoomNotExist, verb+".bob", `{"roomID":"none"`+more+`}`)
		w.Ask(verb+".bob", `{"roomID":"stage"`+more+`}`)
		if e := refusal(w.Ask(verb+".bob", `{"roomID":"stage"`+more+`}`)); e != nil {
			t.Errorf("%s in an open room: %v", verb, e)
		}
	}
	ok[room.JoinedReply](w, "join.bob", `{"roomID":"lobby"}`)
	for range 10 { // no matter which instance answers
		ok[position](w, "members.bob", `{"roomID":"lobby"}`)
	}
}

// leaver is a member who leaves, or is removed, while others talk.
type leaver struct {
	user  string
	sub   *nats.Subscription
	again *nats.Subscription // set if it came back to listen
	gone  time.Time          // when its leaving was acknowledged; under the test's lock
	last  uint64             // the sequence of the fact that it left
	read  uint64             // the newest sequence that it could read when it was gone
}

// A user who is out hears nothing that is said or happens after its leaving was acknowledged.
func TestRevocation(t *testing.T) {
	leavers, rate := 100, 500
	if os.Getenv("NATSROOMS_LONG") != "" {
		leavers, rate = 1000, 2000
	}
	w, _ := newWorld(t, 0, roomsvc.Config{})
	instances := map[string]*instance{}
	for _, name := range []string{"i0", "i1", "i2"} { // messages come over a connection of their own
		instances[name] = w.Start(roomsvc.Config{Instance: name, Feeds: true, FeedsConn: roomtest.Conn(t, w.Node.Server)})
	}
	const (
		members = 20 // of a room; each message becomes as many copies
		lag     = 10 * time.Millisecond
	)
	id := func(i int) string { return fmt.Sprint("lobby-", i%(leavers/members)) }
	for i := range leavers / members {
		ok[room.JoinedReply](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":"host"}`, id(i)))
	}
	list := make([]*leaver, leavers)
	conns := make([]*nats.Conn, 8)
	for i := range conns {
		conns[i] = roomtest.Conn(t, w.Node.Server)
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
	first := instances[w.Leader()]
	if first == nil {
		t.Fatal("nobody leads")
	}
	first.Wire.Lag.Store(int64(lag)) // it hears who left later than it hears what is said after that
	var mu sync.Mutex
	started := []time.Time{}
	stop := make(chan struct{})
	var talking sync.WaitGroup
	var sent atomic.Int64
	const talkers = 64 // more than ever wait at once for the instance that lags
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
		if i == leavers/2 { // another instance publishes from here on
			first.End()
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
		if i%4 == 0 { // it comes back to listen, and its old subscription stays
			nc := roomtest.Conn(t, w.Node.Server)
			l.again = hear(t, nc, l.sub.Subject)
			mu.Lock()
			conns = append(conns, nc)
			mu.Unlock()
		}
	})
	took := time.Since(began)
	close(stop)
	talking.Wait()
	last := hear(t, w.NC, "room.feed.host.lobby-0")
	for heard := ""; heard != "end"; { // until some instance publishes
		ok[room.SendReply](w, "send", `{"roomID":"lobby-0","userID":"host","type":"text","data":"end"}`)
		for heard != "end" {
			m, err := last.NextMsg(500 * time.Millisecond)
			if errors.Is(err, nats.ErrTimeout) && w.Ctx.Err() == nil {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			heard = said(t, m)
		}
	}
	for _, nc := range conns { // what was on its way has arrived
		if err := nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	late, heard := 0, 0
	check := func(l *leaver, sub *nats.Subscription) {
		out := false
		for {
			n, _, err := sub.Pending()
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
			m, err := sub.NextMsgWithContext(context.Background())
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
				t.Errorf("%s left at %v and hears what was said at %v", l.user, l.gone, started[n])
			}
		}
	}
	for _, l := range list {
		check(l, l.sub)
		if l.again != nil {
			check(l, l.again)
		}
	}
	roomtest.Figure(t, "%d leaves and kicks in %v under %.0f messages/s: %d copies heard, %d late", leavers, took, float64(sent.Load())/took.Seconds(), heard, late)
	if heard == 0 {
		t.Error("nobody heard anything")
	}
}

// leadBy makes an instance the leader by writing its name to the leader's key. The previous
// leader learns of that when it renews, so for a moment there are two.
func (w *world) leadBy(instance string) error {
	_, err := w.JS.Publish(w.Ctx, "$KV.room_sessions.=leader", fmt.Appendf(nil, `{"instance":%q}`, instance), jetstream.WithMsgTTL(8*time.Second))
	return err
}

// The same holds for every way out, expiry included, while the lead goes from instance to
// instance and at times two lead; and a user who is out can read nothing either.
func TestRevocationWhileTheLeadChanges(t *testing.T) {
	const leavers, lease, span = 60, 5, 6 * time.Second
	w, _ := newWorld(t, 3, roomsvc.Config{Feeds: true})
	created := ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"host"}`)
	facts := hear(t, w.NC, "room.evt.lobby")
	list, byUser := make([]*leaver, leavers), map[string]*leaver{}
	for i := range list {
		l := &leaver{user: fmt.Sprintf("user-%d", i)}
		l.sub = hear(t, w.NC, []string{"room.feed." + l.user + ".*", "room.*." + l.user + ".>"}[i%2])
		list[i], byUser[l.user] = l, l
	}
	together(leavers, func(i int) {
		if _, err := once[room.JoinedReply](w, "join."+room.Verb(list[i].user), map[string]any{"roomID": "lobby", "leaseSeconds": lease}); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	var mu sync.Mutex // guards started, and what leavers know about their end
	var started []time.Time
	stop := make(chan struct{})
	var others sync.WaitGroup
	every := func(d time.Duration, f func(n int) error) {
		others.Go(func() {
			pace := time.NewTicker(d)
			defer pace.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				if err := f(n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		every(20*time.Millisecond, func(int) error {
			mu.Lock()
			n := len(started)
			started = append(started, time.Now())
			mu.Unlock()
			_, err := once[room.SendReply](w, room.Send, room.SendRequest{Caller: room.Caller{UserID: "host"}, RoomID: "lobby", Type: "text", Data: strconv.Itoa(n)})
			return err
		})
	}
	every(50*time.Millisecond, func(n int) error {
		_, err := once[room.SetAttributesReply](w, room.SetAttributes, map[string]any{"roomID": "lobby", "userID": "host", "set": map[string]string{"n": strconv.Itoa(n)}})
		return err
	})
	every(time.Second, func(n int) error {
		if n >= 8 { // a leader that stays ends the leases that have run out meanwhile
			return nil
		}
		return w.leadBy(fmt.Sprintf("i%d", n%3))
	})
	others.Go(func() { // everybody's end is a fact, and the only news of an expiry
		for gone := 0; gone < leavers; {
			m, err := facts.NextMsg(patience)
			if err != nil {
				t.Errorf("%d of %d are out: %v", gone, leavers, err)
				return
			}
			f, err := events.DecodeFact(m.Data)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			for _, left := range f.Left {
				l := byUser[left.UserID]
				l.last = f.Sequence
				if gone++; left.Reason == events.ReasonExpired {
					l.gone = time.Now()
				}
			}
			mu.Unlock()
		}
		close(stop)
	})
	pace := time.NewTicker(span / leavers)
	defer pace.Stop()
	together(leavers, func(i int) {
		<-pace.C
		l := list[i]
		var err error
		switch i % 3 {
		case 0:
			_, err = once[room.LeftReply](w, "leave."+room.Verb(l.user), map[string]any{"roomID": "lobby"})
		case 1:
			_, err = once[room.KickReply](w, room.Kick, room.KickRequest{RoomID: "lobby", UserIDs: []string{l.user}})
		case 2: // its lease is not renewed
			return
		}
		mu.Lock()
		if l.gone.IsZero() { // otherwise it has already expired
			l.gone = time.Now()
		}
		mu.Unlock()
		if err != nil && !errors.Is(err, room.ErrUserNotInRoom) {
			t.Error(err)
		}
		more := map[string]any{"roomID": "lobby"}
		for _, verb := range []room.Verb{room.Get, room.Members} {
			if r, err := once[position](w, verb+"."+room.Verb(l.user), more); err == nil { // answered with a past in which it was in the room
				mu.Lock()
				l.read = max(l.read, r.Sequence)
				mu.Unlock()
			} else if !errors.Is(err, room.ErrNotAllowed) {
				t.Errorf("%s of %s: %v", verb, l.user, err)
			}
		}
		more["instanceID"], more["beforeMessageSeq"] = created.InstanceID, 0
		if r, err := once[room.HistoryReply](w, "history."+room.Verb(l.user), more); !errors.Is(err, room.ErrNotAllowed) {
			t.Errorf("%s, who is out, asks for history: %+v, %v", l.user, r, err)
		}
	})
	others.Wait()
	last := hear(t, w.NC, "room.feed.host.lobby")
	ok[room.SendReply](w, "send", `{"roomID":"lobby","userID":"host","type":"command","data":"end"}`)
	for next(t, last) != "end" {
	}
	heard, expired := 0, 0
	for i, l := range list {
		if i%3 == 2 {
			expired++
		}
		if l.read >= l.last {
			t.Errorf("%s was out at %d and reads %d", l.user, l.last, l.read)
		}
		for {
			if n, _, err := l.sub.Pending(); err != nil || n == 0 {
				break
			}
			m, err := l.sub.NextMsgWithContext(w.Ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := events.DecodeNotice(m.Data); err == nil {
				continue
			}
			heard++
			if f, err := events.DecodeFact(m.Data); err == nil {
				if f.Sequence > l.last {
					t.Errorf("%s was out at %d and hears of %d", l.user, l.last, f.Sequence)
				}
				continue
			}
			said, err := events.DecodeMessage(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := strconv.Atoi(said.Data); err != nil || started[n].After(l.gone) {
				t.Errorf("%s left at %v and hears what was said at %v", l.user, l.gone, started[n])
			}
		}
	}
	roomtest.Figure(t, "%d ways out, %d of them expiries: %d copies heard of %d messages", leavers, expired, heard, len(started))
	if heard < 10*leavers {
		t.Errorf("%d copies were heard in all", heard)
	}
}
