package roomsvc_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// grace is the service's default grace time.
const grace = 10 * time.Second

// noticed is how long a session may still be in after its lease ended, while a leader lives.
const noticed = 2 * time.Second

// leased is the reply to a session that may have a lease.
type leased struct {
	room.Position
	ExpiresAt  time.Time       `json:"expiresAt"`
	Rooms      []room.RoomHead `json:"rooms"`
	RoomIDList []string        `json:"roomIDList"`
}

// leaseEnd is when the lease of the user's session ends, as get says it. An instance that has
// not heard yet of a lease that another one began does not say it.
func leaseEnd(w *world, user, get string) (end time.Time) {
	w.T.Helper()
	for asked := time.Now(); end.IsZero(); {
		if end = ok[leased](w, "get."+user, get).ExpiresAt; time.Since(asked) > 30*time.Second {
			w.T.Fatalf("no answer says when the lease of %s ends", user)
		}
	}
	return end
}

// out is a session's entry in the fact that it is out, as it was heard.
type out struct {
	entry
	typ, room string
	left      time.Time
	heard     time.Time
	sequence  uint64
	late      *roomtest.Lateness
}

// outs is what is heard of sessions that are out but did not leave by themselves.
type outs struct {
	w     *world
	heard chan out
	facts atomic.Int64
	late  *roomtest.Lateness
}

func (w *world) outs() *outs {
	w.T.Helper()
	o := &outs{w: w, heard: make(chan out, 1<<16), late: w.Measure()}
	nc := roomtest.Conn(w.T, w.Node.Server)
	sub, err := nc.Subscribe("room.evt.*", func(m *nats.Msg) {
		now := time.Now()
		f, err := readFact(0, m.Header, m.Data)
		if err != nil {
			w.T.Errorf("a fact that can't be read: %v", err)
			return
		}
		taken := false
		for _, e := range f.Data.MemberList {
			if e.Reason != "expired" && e.Reason != "replaced" {
				continue
			}
			left, err := time.Parse(time.RFC3339, e.LeftAt)
			if err != nil {
				w.T.Errorf("%s left at %q", e.UserID, e.LeftAt)
			}
			taken = true
			o.heard <- out{e, f.Type, f.Room, left, now, f.Data.Sequence, o.late}
		}
		if taken {
			o.facts.Add(1)
		}
	})
	if err == nil {
		_ = sub.SetPendingLimits(-1, -1)
		err = nc.FlushTimeout(patience)
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return o
}

func (o *outs) next() out {
	o.w.T.Helper()
	select {
	case x := <-o.heard:
		return x
	case <-time.After(patience):
		o.w.T.Fatal("no session is removed")
		return out{}
	}
}

// none checks that no other session was removed, up to the end of a session of its own.
func (o *outs) none() {
	o.w.T.Helper()
	o.clock(5)
	select {
	case x := <-o.heard:
		o.w.T.Errorf("%s/%s is out of %s once more: %s %s", x.UserID, x.SessionID, x.room, x.typ, x.Reason)
	default:
	}
}

// clock lets so many seconds pass: those of a session's lease.
func (o *outs) clock(seconds int) {
	o.w.T.Helper()
	ok[leased](o.w, "enter.clock", fmt.Sprintf(`{"roomID":"clock","sessionID":"s%d","leaseSeconds":%d}`, rand.Int64(), seconds))
	var others []out
	for {
		x := o.next()
		if x.UserID == "clock" {
			break
		}
		others = append(others, x)
	}
	for _, x := range others {
		o.heard <- x
	}
}

// is checks what is heard of one session that is out.
func (x *out) is(t *testing.T, typ, room, session, reason string, at time.Time) {
	t.Helper()
	if x.typ != typ+".v1" || x.room != room || x.SessionID != session || x.Reason != reason {
		t.Errorf("%s of %s/%s in %s, %s; want %s of %s in %s, %s", x.typ, x.UserID, x.SessionID, x.room, x.Reason, typ, session, room, reason)
	}
	if after := x.heard.Sub(at); after < -200*time.Millisecond || !x.late.Within(after, noticed, at) {
		t.Errorf("%s is out of %s %v after its end", session, room, after)
	}
	if x.Reason == "expired" && !x.left.Equal(at) {
		t.Errorf("%s left %s at %v; its lease ended at %v", session, room, x.left, at)
	}
}

func TestLeaseRunsOut(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	heard := w.outs()
	notices := hear(t, w.NC, "room.state.alice.*")
	begun := time.Now()
	lobby := ok[leased](w, "enter.alice", `{"roomID":"lobby","sessionID":"tab","leaseSeconds":5,"config":{"roomDestroyDelayTime":60}}`)
	ok[leased](w, "enter.alice", `{"roomID":"lobby","sessionID":"desk","leaseSeconds":8}`)
	ok[leased](w, "enter.alice", `{"roomID":"side","sessionID":"tab","config":{"roomDestroyDelayTime":60}}`)
	ok[leased](w, "enter", `{"roomID":"side","userID":"bob"}`)
	told := leaseEnd(w, "alice", `{"roomID":"side","sessionID":"tab"}`)
	desk := ok[leased](w, "renew.alice", `{"sessionID":"desk"}`).ExpiresAt
	t.Logf("the end told at first and the one told when the bucket had been heard are %v apart", told.Sub(lobby.ExpiresAt))
	if d := told.Sub(lobby.ExpiresAt); d < 0 || !heard.late.Within(d, noticed, begun) {
		t.Errorf("a lease ends at %v, was said to end at %v", told, lobby.ExpiresAt)
	}
	for { // skip what the commands said
		m, err := notices.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if n := readNotice(t, m); n.RoomID == "side" && n.Event == "success" {
			break
		}
	}
	both := map[string]out{}
	for range 2 {
		x := heard.next()
		both[x.room] = x
	}
	x, y := both["lobby"], both["side"]
	x.is(t, "session.left", "lobby", "tab", "expired", told)
	y.is(t, "member.left", "side", "tab", "expired", told)
	t.Logf("heard %v and %v after the end", x.heard.Sub(told), y.heard.Sub(told))
	for range 2 {
		m, err := notices.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		n := readNotice(t, m)
		if got, want := n.line(t, m), n.RoomID+"/tab disconnected connectTimeout"; got != want || n.Sequence != both[n.RoomID].sequence {
			t.Errorf("she is told %q at %d, want %q", got, n.Sequence, want)
		}
	}
	late := ok[leased](w, "renew.alice", `{"sessionID":"tab"}`)
	if len(late.Rooms) != 0 || late.Rooms == nil || !late.ExpiresAt.IsZero() {
		t.Errorf("a renewal that comes too late: %+v", late)
	}
	other := ok[leased](w, "renew.alice", `{"sessionID":"desk"}`)
	if len(other.Rooms) != 1 || other.Rooms[0].RoomID != "lobby" || other.ExpiresAt.Before(desk) {
		t.Errorf("the other session: %+v", other)
	}
	z := heard.next()
	desk = ok[leased](w, "renew.alice", `{"sessionID":"tab"}`).ExpiresAt
	if !desk.IsZero() {
		t.Errorf("a lease that is over ends at %v", desk)
	}
	z.is(t, "member.left", "lobby", "desk", "expired", z.left)
	heard.none()
	if n, _, _ := notices.Pending(); n != 1 {
		t.Errorf("%d more notices, want only that of desk", n)
	}
	w.check()
}

// Every verb renews, and says when the lease ends; without a lease it says nothing.
func TestExpiresAt(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	late, begun := w.Measure(), time.Now()
	ok[leased](w, "create", `{"roomID":"base","userID":"bob"}`)
	at := ok[leased](w, "enter", `{"roomID":"base","userID":"alice","sessionID":"leased","leaseSeconds":600}`)
	ok[leased](w, "enter", `{"roomID":"base","userID":"alice","sessionID":"lasting"}`)
	base := decode[struct {
		Room struct {
			InstanceID string `json:"instanceID"`
		} `json:"room"`
	}](t, w.Ask("get", `{"roomID":"base"}`).Data).Room.InstanceID
	bodies := map[room.Verb]string{
		room.Create: `"roomID":"new"`, room.Join: `"roomID":"joined"`, room.Enter: `"roomID":"new"`, room.Switch: `"fromRoomID":"new","toRoomInfo":{"roomID":"other"},"isCreateWhenRoomNotExisted":true`,
		room.Get: `"roomID":"base"`, room.Members: `"roomID":"base"`, room.Count: `"roomID":"base"`, room.MemberOf: `"roomID":"base","userIDs":["alice"]`, room.Rooms: ``, room.List: ``, room.Renew: ``,
		room.SetAttributes: `"roomID":"base","set":{"k":"v"},"isForce":true`, room.SetMemberAttributes: `"roomID":"base","userIDs":["alice"],"attributes":{"k":"v"}`,
		room.Send: `"roomID":"base","type":"text","data":"hi"`, room.History: fmt.Sprintf(`"roomID":"base","instanceID":%q,"afterSequence":0`, base),
		room.Leave: `"roomID":"other"`, room.LeaveAll: ``, room.Kick: `"roomID":"base","userIDs":["eve"]`, room.DestroyRoom: `"roomID":"joined"`, room.SetAccess: `"roomID":"base","allow":["eve"]`,
		room.Update: `"roomID":"base","roomName":"Base"`, room.UpdateMember: `"roomID":"base","userName":"Al"`, room.SetRole: `"roomID":"base","userIDs":["eve"],"role":"host"`,
		room.Ban: `"roomID":"base","userIDs":["eve"]`, room.Unban: `"roomID":"base","userIDs":["eve"]`, room.Mute: `"roomID":"base","userIDs":["eve"]`, room.Unmute: `"roomID":"base","userIDs":["eve"]`,
		room.Instances: `"roomID":"base"`, room.DeleteMessages: `"roomID":"base","ofUserID":"eve"`,
	}
	for _, session := range []string{"leased", "lasting"} {
		ok[leased](w, "create", `{"roomID":"joined","userID":"bob"}`)
		for _, c := range room.Commands {
			if c.Kind == room.Bars || c.Verb == room.Blocked || c.Verb == room.EraseUser { // whom they name is not their caller
				continue
			}
			body, known := bodies[c.Verb]
			if !known {
				t.Errorf("%s is not tried", c.Verb)
			}
			ok[leased](w, "enter", fmt.Sprintf(`{"roomID":"base","userID":"alice","sessionID":%q}`, session))
			body = strings.ReplaceAll(fmt.Sprintf(`{"userID":"alice","sessionID":%q,"requestID":"%s %s",%s}`, session, c.Verb, session, body), ",}", "}")
			for _, again := range []string{"", ", again"} {
				r := ok[leased](w, string(c.Verb), body)
				if session == "lasting" && !r.ExpiresAt.IsZero() {
					t.Errorf("%s%s: expiresAt %v without a lease", c.Verb, again, r.ExpiresAt)
				}
				if d := r.ExpiresAt.Sub(at.ExpiresAt); session == "leased" && (d < 0 || !late.Within(d, time.Second, begun)) {
					t.Errorf("%s%s: expiresAt %v, the lease ends at %v", c.Verb, again, r.ExpiresAt, at.ExpiresAt)
				}
			}
		}
	}
	e := w.Refused(room.ErrRoomNotExist, "get", `{"roomID":"none","userID":"alice","sessionID":"leased"}`)
	if e.Limit != 0 {
		t.Errorf("a refusal: %+v", e)
	}
}

// The newest leaseSeconds counts, and 0 means without end.
func TestNewestLeaseCounts(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	heard := w.outs()
	about := func(what string, r *leased, seconds int) {
		t.Helper()
		if seconds == 0 && !r.ExpiresAt.IsZero() {
			t.Errorf("%s: it ends at %v", what, r.ExpiresAt)
		}
		if d := time.Until(r.ExpiresAt); seconds > 0 && (d > time.Duration(seconds)*time.Second || d < time.Duration(seconds-2)*time.Second) {
			t.Errorf("%s: it ends in %v; want %d s", what, d, seconds)
		}
	}
	about("trusted", ok[leased](w, "enter", `{"roomID":"lobby","userID":"alice"}`), 0)
	about("its renewal", ok[leased](w, "renew", `{"userID":"alice"}`), 0)
	about("user form", ok[leased](w, "enter.bob", `{"roomID":"lobby"}`), 60)
	about("user form, 3600", ok[leased](w, "enter.carol", `{"roomID":"lobby","leaseSeconds":3600}`), 3600)
	about("user form, unasked, later", ok[leased](w, "enter.carol", `{"roomID":"lobby"}`), 3600)
	for i, seconds := range []int{60, 5, 0, 5, 0} {
		about(fmt.Sprint("change ", i), ok[leased](w, []string{"renew", "get"}[i%2], fmt.Sprintf(`{"userID":"alice","roomID":"lobby","leaseSeconds":%d}`, seconds)), seconds)
	}
	heard.none() // the last one lasts
	about("5 again", ok[leased](w, "renew", `{"userID":"alice","leaseSeconds":5}`), 5)
	x := heard.next()
	x.is(t, "member.left", "lobby", "default", "expired", x.left)

	// It enters again without a lease, and is not taken for the session that ended.
	about("afresh", ok[leased](w, "enter", `{"roomID":"lobby","userID":"alice"}`), 0)
	if r := ok[leased](w, "renew", `{"userID":"alice"}`); len(r.Rooms) != 1 || !r.ExpiresAt.IsZero() {
		t.Errorf("a session that lasts renews: %+v", r)
	}
	heard.none()

	// It leaves, and its user's own client enters with the same session, which now has a lease.
	ok[leased](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
	about("in the user form after it", ok[leased](w, "enter.alice", `{"roomID":"lobby"}`), 60)
	w.check()
}

func TestLeaseFields(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	for body, field := range map[string]string{
		`"leaseSeconds":4`:                    "leaseSeconds",
		`"leaseSeconds":3601`:                 "leaseSeconds",
		`"leaseSeconds":-1`:                   "leaseSeconds",
		`"leaseSeconds":1.5`:                  "leaseSeconds",
		`"leaseSeconds":"60"`:                 "leaseSeconds",
		`"leaseSeconds":100000000000000000`:   "leaseSeconds",
		`"connection":{}`:                     "connection",
		`"connection":{"serverID":"S"}`:       "connection",
		`"connection":{"clientID":7}`:         "connection",
		`"connection":{"clientID":-7}`:        "connection.clientID",
		`"connection":"S"`:                    "connection",
		`"connection":{"serverID":"S\u0000"}`: "connection",
		`"connection":{"serverID":"` + strings.Repeat("S", 65) + `","clientID":7}`: "connection.serverID",
	} {
		for _, subject := range []string{"enter.alice", "renew.alice", "get.alice", "enter", "renew", "send", "leave"} {
			e := w.Refused(room.ErrParamInvalid, subject, `{"roomID":"lobby","type":"text","userID":"alice",`+body+`}`)
			if e.Field != field || !strings.Contains(e.Message, field) && !strings.Contains(e.Message, "connection") {
				t.Errorf("%s %s: field %q, %s", subject, body, e.Field, e.Message)
			}
		}
	}
	for _, subject := range []string{"enter.alice", "renew.alice", "rooms.alice"} {
		if e := w.Refused(room.ErrParamInvalid, subject, `{"roomID":"lobby","leaseSeconds":0}`); e.Field != "leaseSeconds" {
			t.Errorf("%s: %+v", subject, e)
		}
	}
	if r := ok[leased](w, "renew", `{"userID":"alice","leaseSeconds":0}`); !r.ExpiresAt.IsZero() || len(r.Rooms) != 0 {
		t.Errorf("%+v", r)
	}
}

// Many leases that end together share facts, and none ends late.
func TestThousandExpire(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	heard := w.outs()
	ok[leased](w, "create", `{"roomID":"hall","config":{"roomDestroyDelayTime":600}}`)
	begun := time.Now()
	together(1000, func(i int) {
		if _, err := once[leased](w, room.Enter, map[string]any{"roomID": "hall", "userID": fmt.Sprintf("u%d", i), "leaseSeconds": 5}); err != nil {
			t.Error(err)
		}
	})
	took := time.Since(begun)
	seen := map[string]bool{}
	latest := time.Duration(0)
	for range 1000 {
		x := heard.next()
		if seen[x.UserID] {
			t.Errorf("%s is out twice", x.UserID)
		}
		seen[x.UserID] = true
		latest = max(latest, x.heard.Sub(x.left))
	}
	n := heard.facts.Load()
	roomtest.Figure(t, "came in %v; %d facts for 1000 sessions, the last one heard %v after its end", took, n, latest)
	// A machine that is too busy to let them in quickly is too busy to remove them quickly.
	if most := 12 + 4*int64(took/time.Second); n > most || !heard.late.Within(latest, max(noticed, took), begun) {
		t.Errorf("%d facts for 1000 sessions, want at most %d; the last one heard %v after its end", n, most, latest)
	}
	w.check()
}

// A renewal comes at the same instant as the end: either the session is told the new end and
// stays in until then, or it is told that it is out, and left at the old end.
func TestRenewalMeetsTheEnd(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	heard := w.outs()
	ok[leased](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	// When the leader's timer fires, on this machine and now, is not known before: a round in
	// which all were early, or all late, says in which direction to look.
	shift, listed := 0*time.Second, 0
	const rounds = 10
	for round := range rounds {
		if listed = renewAround(w, heard, fmt.Sprintf("r%d", round), shift); listed > 0 && listed < renewers {
			break
		}
		if listed == 0 {
			shift -= 200 * time.Millisecond
		} else {
			shift += 500 * time.Millisecond
		}
	}
	roomtest.Figure(t, "%d of %d renewals were in time, sent %v later", listed, renewers, shift)
	if listed == 0 || listed == renewers {
		t.Errorf("no race in %d rounds", rounds)
	}
	heard.none()
	w.check()
}

// renewers is how many sessions renew around the end of their leases.
const renewers = 240

// renewAround has as many sessions renew around the end of their leases, and checks that each
// got what it was told. It gives how many were in time.
func renewAround(w *world, heard *outs, name string, shift time.Duration) (listed int) {
	t := w.T
	type fate struct {
		first, renewed time.Time
		listed         bool
	}
	fates := map[string]*fate{}
	begun := time.Now()
	var group sync.WaitGroup
	for i := range renewers {
		user, f := fmt.Sprintf("%s-%d", name, i), &fate{}
		fates[user] = f
		group.Go(func() {
			r, err := once[leased](w, "enter."+room.Verb(user), map[string]any{"roomID": "lobby", "leaseSeconds": 5})
			if err != nil {
				t.Error(err)
				return
			}
			// Some a quarter of a second before the end, and most just after it.
			at := time.NewTimer(time.Until(r.ExpiresAt) + shift + time.Duration(i-renewers/4)*time.Second/renewers)
			<-at.C
			a, err := once[leased](w, "renew."+room.Verb(user), map[string]any{})
			if err != nil {
				t.Error(err)
				return
			}
			*f = fate{r.ExpiresAt, a.ExpiresAt, len(a.Rooms) == 1}
			if (len(a.Rooms) == 1) != !a.ExpiresAt.IsZero() {
				t.Errorf("%s: rooms %v, expiresAt %v", user, a.Rooms, a.ExpiresAt)
			}
		})
	}
	group.Wait()
	for range renewers {
		x := heard.next()
		f := fates[x.UserID]
		if f == nil {
			t.Fatalf("%s is out, again or from nowhere", x.UserID)
		}
		delete(fates, x.UserID)
		want := f.first
		if f.listed {
			want = f.renewed
			listed++
		}
		if d := x.left.Sub(want); d < 0 || !heard.late.Within(d, noticed, begun) { // the end that is told counts from before the lease is stored
			t.Errorf("%s left at %v; its lease ended at %v, renewed %v until %v", x.UserID, x.left, f.first, f.listed, f.renewed)
		}
	}
	return listed
}

// renewals is how many must pass without a false ending; make soak runs the long form.
func renewals() int {
	if os.Getenv("NATSROOMS_LONG") != "" {
		return 10_000
	}
	return 500
}

// Clients that connect again and again, and renew in time, are never removed.
func TestRenewalInTimeKeepsTheSession(t *testing.T) {
	if os.Getenv("NATSROOMS_LONG") == "" { // the long form leaves no time for other tests
		t.Parallel()
	}
	w, _ := newWorldAt(t, roomtest.Start(t), 3, roomsvc.Config{})
	heard := w.outs()
	const (
		each   = 2
		atOnce = 800 // sessions: if more were alive, the machine might not answer all of them in time
	)
	n := renewals() / each
	ok[leased](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	var group sync.WaitGroup
	var mu sync.Mutex
	until := map[string]time.Time{}
	begun := time.Now()
	alive := make(chan struct{}, atOnce)
	for i := range n {
		alive <- struct{}{}
		group.Go(func() {
			defer func() { <-alive }()
			user := fmt.Sprintf("u%d", i)
			r, err := once[leased](w, "enter."+room.Verb(user), map[string]any{"roomID": "lobby", "leaseSeconds": 6, "connection": room.Connection{ServerID: "S", ClientID: uint64(i) + 1}})
			for k := 0; k < each && err == nil; k++ {
				// It renews at once, at any instance, which may not have heard of it, and then late.
				if r, err = once[leased](w, "renew."+room.Verb(user), map[string]any{"connection": room.Connection{ServerID: "T", ClientID: uint64(k) + 1}}); err != nil {
					break
				}
				if len(r.Rooms) != 1 || time.Until(r.ExpiresAt) > 6*time.Second {
					t.Errorf("%s renews at once: %+v", user, r)
					return
				}
				slow := min(2*heard.late.Between(begun, time.Now()), 3*time.Second) // in time, on a machine like this one
				at := time.NewTimer(time.Until(r.ExpiresAt) - slow - time.Duration(1500+rand.IntN(1000))*time.Millisecond)
				<-at.C
				if r, err = once[leased](w, "renew."+room.Verb(user), map[string]any{}); err == nil && len(r.Rooms) != 1 {
					t.Errorf("%s is out, %v before its end", user, time.Until(r.ExpiresAt))
					return
				}
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			until[user] = r.ExpiresAt
			mu.Unlock()
			if _, err := once[leased](w, "leave."+room.Verb(user), map[string]any{"roomID": "lobby"}); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		})
	}
	group.Wait()
	heard.none()
	if len(until) != n {
		t.Errorf("%d of %d got through", len(until), n)
	}
}

// A session that a back end brought in without a lease gets one with its first renewal:
// otherwise nobody would notice when it is gone.
func TestRenewalBeginsALease(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	late := w.Measure()
	ok[position](w, "enter", `{"roomID":"lobby","userID":"bob","sessionID":"phone"}`)
	if r := ok[leased](w, "renew", `{"userID":"bob","sessionID":"phone"}`); !r.ExpiresAt.IsZero() {
		t.Errorf("a back end's renewal: %v", r.ExpiresAt)
	}
	if r := ok[leased](w, "renew.bob", `{"sessionID":"tab"}`); !r.ExpiresAt.IsZero() {
		t.Errorf("the renewal of a session in no room: %v", r.ExpiresAt)
	}
	for range 20 { // another instance may not have heard of its join
		asked := time.Now()
		if r := ok[leased](w, "renew.bob", `{"sessionID":"phone"}`); !r.ExpiresAt.IsZero() {
			if d := time.Until(r.ExpiresAt); !late.Within(60*time.Second-d, 10*time.Second, asked) || d > 60*time.Second {
				t.Errorf("the lease lasts %v", d)
			}
			return
		}
	}
	t.Error("it has no lease")
}

func TestLeaseOutlivesTheLeader(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{})
	heard := w.outs()
	heard.clock(5) // somebody leads
	name := w.Leader()
	i := slices.IndexFunc([]string{"i0", "i1"}, func(s string) bool { return s == name })
	if i < 0 {
		t.Fatalf("%q leads", name)
	}
	ok[leased](w, "enter.alice", `{"roomID":"lobby","leaseSeconds":5,"config":{"roomDestroyDelayTime":60}}`)
	end := leaseEnd(w, "alice", `{"roomID":"lobby"}`)
	instances[i].Kill()
	died := time.Now()
	x := heard.next()
	roomtest.Figure(t, "out %v after the leader's death, %v after its end", x.heard.Sub(died), x.heard.Sub(end))
	if x.UserID != "alice" || !x.left.Equal(end) || !heard.late.Within(x.heard.Sub(end), 15*time.Second, died) {
		t.Errorf("%+v; the lease ended at %v", x, end)
	}
	if got := w.Leader(); got == name || got == "" {
		t.Errorf("%q leads", got)
	}
	heard.none()
	w.check()
}

// While everything is down no lease runs out. Whoever does not come back then is out when the
// grace time is over, as of the end of its lease.
func TestLeasesOverARestart(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(map[bool]string{false: "kept", true: "bucket lost"}[lost], func(t *testing.T) {
			w, instances := newWorld(t, 2, roomsvc.Config{})
			elsewhere := clockWorld(t)
			heard := w.outs()
			ok[leased](w, "enter.alice", `{"roomID":"lobby","leaseSeconds":5,"config":{"roomDestroyDelayTime":60}}`)
			ok[leased](w, "enter.bob", `{"roomID":"lobby","leaseSeconds":3600}`)
			ok[leased](w, "enter", `{"roomID":"lobby","userID":"carol"}`)
			alice, bob := leaseEnd(w, "alice", `{"roomID":"lobby"}`), leaseEnd(w, "bob", `{"roomID":"lobby"}`)
			for _, i := range instances {
				i.End()
			}
			if lost {
				if err := w.JS.DeleteStream(w.Ctx, "KV_room_sessions"); err != nil {
					t.Fatal(err)
				}
			}
			w.Node.Stop()
			elsewhere.clock(7)
			w.Node.Start()
			back := time.Now()
			for i := range 2 {
				w.Start(roomsvc.Config{Instance: fmt.Sprintf("i%d", i)})
			}
			running := time.Now()
			x := heard.next()
			if x.UserID != "alice" {
				t.Fatalf("%s is out", x.UserID)
			}
			roomtest.Figure(t, "out %v after the return, left %v after the end it was told", x.heard.Sub(back), x.left.Sub(alice))
			if lost {
				if d := x.left.Sub(back); d < 5*time.Second || !heard.late.Within(x.left.Sub(running), 10*time.Second, running) {
					t.Errorf("she left %v after the return", d)
				}
			} else if !x.left.Equal(alice) || x.heard.Sub(back) < grace || !heard.late.Within(x.heard.Sub(running), grace+noticed, running) {
				t.Errorf("she left at %v and was out %v after the return, her lease ended at %v", x.left, x.heard.Sub(back), alice)
			}
			r := ok[leased](w, "renew.bob", `{}`)
			if len(r.Rooms) != 1 || lost && r.ExpiresAt.Before(back.Add(time.Hour)) || !lost && !r.ExpiresAt.Equal(bob) {
				t.Errorf("bob, whose lease was to end at %v: %+v", bob, r)
			}
			if r := ok[leased](w, "renew", `{"userID":"carol"}`); len(r.Rooms) != 1 || !r.ExpiresAt.IsZero() {
				t.Errorf("carol: %+v", r)
			}
			heard.none()
			w.check()
		})
	}
}

// clockWorld is another server and service, which keep time while the first ones are down.
func clockWorld(t *testing.T) *outs {
	t.Helper()
	w := emptyWorld(t, roomtest.Start(t))
	w.Start(roomsvc.Config{})
	return w.outs()
}

// A restart changes nothing: it makes no lease longer, and no renewal is missed.
func TestRenewalAfterARestart(t *testing.T) {
	w, instances := newWorld(t, 1, roomsvc.Config{})
	heard := w.outs()
	ok[leased](w, "enter.alice", `{"roomID":"lobby","leaseSeconds":9,"config":{"roomDestroyDelayTime":60}}`)
	was := leaseEnd(w, "alice", `{"roomID":"lobby"}`)
	heard.clock(5)
	instances[0].End()
	w.Start(roomsvc.Config{Instance: "i1"})
	r := ok[leased](w, "renew.alice", `{}`)
	if d := r.ExpiresAt.Sub(was); len(r.Rooms) != 1 || d < 3*time.Second {
		t.Errorf("renewed after a restart: it ends %v later", d)
	}
	x := heard.next()
	if d := x.left.Sub(r.ExpiresAt); x.UserID != "alice" || d < 0 || !heard.late.Within(d, noticed, r.ExpiresAt) {
		t.Errorf("she left at %v, her lease ended at %v", x.left, r.ExpiresAt)
	}
}

// The bucket is deleted while the service runs, and another instance makes it again or not.
func TestBucketDeleted(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(map[bool]string{false: "gone", true: "made anew"}[again], func(t *testing.T) {
			w, instances := newWorld(t, 1, roomsvc.Config{})
			ok[leased](w, "enter.alice", `{"roomID":"lobby"}`)
			if err := w.JS.DeleteStream(w.Ctx, "KV_room_sessions"); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if again {
				w.Start(roomsvc.Config{Instance: "other"})
			}
			select {
			case <-instances[0].Done():
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			t.Logf("it ended after %v: %v", time.Since(begun), instances[0].Err())
			if err := instances[0].Err(); err == nil || !strings.Contains(err.Error(), "room_sessions") || !strings.Contains(err.Error(), "start it again") {
				t.Errorf("it ended with %v", err)
			}
			if !again {
				w.Start(roomsvc.Config{Instance: "other"})
			}
			if r := ok[leased](w, "renew.alice", `{}`); len(r.Rooms) != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestDevicesReplaceOneAnother(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Limits: room.Limits{ReplaceDevices: 1}})
	heard := w.outs()
	notices := hear(t, w.NC, "room.state.alice.*")
	all := hear(t, w.NC, "room.evt.lobby")
	ok[leased](w, "create", `{"roomID":"lobby","userID":"bob"}`)
	ok[leased](w, "create", `{"roomID":"side","userID":"bob"}`)
	follower := w.follow("lobby", "lobby", 0, 0)
	replaced := func(room, session string) {
		t.Helper()
		x := heard.next()
		x.is(t, "session.left", room, session, "replaced", x.heard)
		for {
			m, err := notices.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			if n := readNotice(t, m); n.Event == "kickedOutByOtherDevice" {
				if got, want := n.line(t, m), room+"/"+session+" disconnected kickedOutByOtherDevice"; got != want {
					t.Errorf("she is told %q, want %q", got, want)
				}
				return
			}
		}
	}
	ok[leased](w, "enter.alice", `{"roomID":"lobby","sessionID":"first"}`)
	ok[leased](w, "enter.alice", `{"roomID":"lobby","sessionID":"second"}`)
	replaced("lobby", "first")
	ok[leased](w, "join.alice", `{"roomID":"lobby","sessionID":"third"}`)
	replaced("lobby", "second")
	if r := ok[leased](w, "renew.alice", `{"sessionID":"second"}`); len(r.Rooms) != 0 {
		t.Errorf("the session that was replaced is in %+v", r.Rooms)
	}
	ok[leased](w, "enter.alice", `{"roomID":"side","sessionID":"first"}`)
	ok[leased](w, "switch.alice", `{"fromRoomID":"side","toRoomInfo":{"roomID":"lobby"},"sessionID":"first"}`)
	replaced("lobby", "third")
	ok[leased](w, "enter.alice", `{"roomID":"lobby","sessionID":"first"}`) // it is in already: nobody is replaced
	heard.none()
	h := w.check(follower)
	if m := h.rooms["lobby"].Members["alice"]; len(m.Sessions) != 1 || m.Sessions["first"] == "" {
		t.Errorf("alice is in with %v", m.Sessions)
	}
	var types []string
	for {
		n, _, _ := all.Pending()
		if n == 0 {
			break
		}
		m, err := all.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		f := w.live(m)
		types = append(types, strings.TrimSuffix(f.Type, ".v1"))
	}
	want := []string{"room.created", "member.joined", "session.joined", "session.left", "session.joined", "session.left", "session.joined", "session.left"}
	if !slices.Equal(types, want) {
		t.Errorf("the lobby's facts are %v; want %v", types, want)
	}
}

func TestDevicesSideBySide(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	types := func() (list []string) {
		for _, f := range w.replay().facts {
			if f.Room == "lobby" && f.Type != "room.created.v1" {
				list = append(list, strings.TrimSuffix(f.Type, ".v1")+" "+f.Data.MemberList[0].SessionID)
			}
		}
		return list
	}
	ok[leased](w, "create", `{"roomID":"lobby","userID":"bob"}`)
	for _, s := range []string{"a", "b", "c"} {
		ok[leased](w, "enter.alice", `{"roomID":"lobby","sessionID":"`+s+`"}`)
	}
	ok[leased](w, "leave.alice", `{"roomID":"lobby","sessionID":"a"}`)
	if r := ok[leased](w, "leaveAll.alice", `{"sessionID":"c"}`); !slices.Equal(r.RoomIDList, []string{"lobby"}) {
		t.Errorf("%v", r.RoomIDList)
	}
	if r := ok[leased](w, "leaveAll.alice", `{"sessionID":"c"}`); len(r.RoomIDList) != 0 {
		t.Errorf("%v", r.RoomIDList)
	}
	ok[leased](w, "leave.alice", `{"roomID":"lobby","sessionID":"b"}`)
	want := []string{"member.joined a", "session.joined b", "session.joined c", "session.left a", "session.left c", "member.left b"}
	if got := types(); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
}

// The bucket's stream has three replicas, and its leader changes again and again while leases
// are renewed. No session is removed while it renews in time, and each is removed once after that.
func TestLeasesOverElections(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Cluster(t, 3)
	w, _ := newWorldAt(t, nodes[0], 2, roomsvc.Config{Replicas: 3})
	heard := w.outs()
	const sessions, elections = 40, 4
	ok[leased](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":600}}`)
	over := make(chan struct{})
	var group sync.WaitGroup
	var mu sync.Mutex
	until := map[string]time.Time{}
	var renewals, unsure atomic.Int64
	for i := range sessions {
		group.Go(func() {
			user := fmt.Sprintf("u%d", i)
			last, err := once[leased](w, "enter."+room.Verb(user), map[string]any{"roomID": "lobby", "leaseSeconds": 20})
			for n := uint64(1); err == nil; n++ {
				select {
				case <-over:
					mu.Lock()
					until[user] = last.ExpiresAt
					mu.Unlock()
					return
				default:
				}
				r, e := once[leased](w, "renew."+room.Verb(user), map[string]any{"connection": room.Connection{ServerID: "S", ClientID: n}})
				switch {
				case errors.Is(e, room.ErrBusy): // stored or not, nobody was told a new end
					unsure.Add(1)
				case e != nil:
					err = e
				case len(r.Rooms) != 1:
					t.Errorf("%s is out, its lease ends at %v", user, last.ExpiresAt)
					return
				default:
					last = r
					renewals.Add(1)
				}
			}
			t.Errorf("%s: %v", user, err)
		})
	}
	for range elections {
		for n := renewals.Load(); renewals.Load() < n+200 && w.Ctx.Err() == nil; {
			ok[leased](w, "rooms", `{"userID":"u0"}`)
		}
		old := roomtest.StreamLeader(t, nodes, "KV_room_sessions")
		if _, err := w.NC.Request("$JS.API.STREAM.LEADER.STEPDOWN.KV_room_sessions", nil, patience); err != nil {
			t.Error(err)
		}
		t.Logf("%s led, after %d renewals", old.Name(), renewals.Load())
	}
	close(over)
	group.Wait()
	seen := map[string]bool{}
	for range sessions {
		x := heard.next()
		if seen[x.UserID] || x.left.Before(until[x.UserID]) {
			t.Errorf("%s left at %v, again %v; its lease ended at %v", x.UserID, x.left, seen[x.UserID], until[x.UserID])
		}
		seen[x.UserID] = true
	}
	t.Logf("%d renewals, %d with an unknown end", renewals.Load(), unsure.Load())
	heard.none()
}
