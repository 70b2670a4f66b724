package roomsvc_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
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

func TestStormOnTheLastPlaces(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	at := ok[position](w, "create", `{"roomID":"ten","config":{"maxMembers":10}}`)
	follower := w.follow("ten", "ten", at.Revision, 0)
	var in, full atomic.Int64
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			_, err := known[position](w, room.Join, map[string]any{"roomID": "ten", "userID": fmt.Sprintf("u%d", i)})
			var e *room.Error
			if errors.As(err, &e) && (e.Limit != 10 || e.Actual != 10) {
				t.Errorf("refused with limit %d, actual %d", e.Limit, e.Actual)
			}
			count(t, err, &in, room.ErrRoomFull, &full)
		})
	}
	group.Wait()
	if in.Load() != 10 || full.Load() != 190 {
		t.Errorf("%d in, %d refused", in.Load(), full.Load())
	}
	if h := w.check(follower); len(h.rooms["ten"].Members) != 10 {
		t.Errorf("%d members", len(h.rooms["ten"].Members))
	}
}

// Once a create is acknowledged, the room is there for whoever asks next, even on
// instances that have not seen its fact yet.
func TestStormOfCreateThenJoin(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	n := 1000
	if testing.Short() {
		n = 100
	}
	together(n, func(i int) {
		id := fmt.Sprintf("r%d", i)
		if _, err := known[position](w, room.Create, map[string]any{"roomID": id, "userID": "maker"}); err != nil {
			t.Error(err)
			return
		}
		if _, err := known[position](w, room.Join, map[string]any{"roomID": id, "userID": "guest"}); err != nil {
			t.Errorf("join after an acknowledged create: %v", err)
		}
	})
	h := w.check()
	for i := range n {
		if r := h.rooms[fmt.Sprintf("r%d", i)]; r == nil || len(r.Members) != 2 {
			t.Errorf("r%d: %v", i, r)
		}
	}
}

func TestTwoSwitchesAtOnce(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	for _, id := range []string{"B", "C"} {
		ok[position](w, "create", fmt.Sprintf(`{"roomID":%q}`, id))
	}
	followers := []*follower{w.follow("B", "B", 0, 0), w.follow("C", "C", 0, 4)}
	together(100, func(i int) {
		user, from := fmt.Sprintf("u%d", i), fmt.Sprintf("A%d", i)
		// The room that was left waits, or ends before the other switch arrives.
		if _, err := known[position](w, room.Create, map[string]any{"roomID": from, "userID": user, "config": map[string]any{"roomDestroyDelayTime": i % 2 * 60}}); err != nil {
			t.Error(err)
			return
		}
		late := room.ErrUserNotInRoom
		if i%2 == 0 {
			late = room.ErrRoomNotExist
		}
		var won, lost atomic.Int64
		var group sync.WaitGroup
		for _, to := range []string{"B", "C"} {
			group.Go(func() {
				_, err := known[position](w, room.Switch, map[string]any{"fromRoomID": from, "userID": user, "toRoomInfo": map[string]any{"roomID": to}})
				count(t, err, &won, late, &lost)
			})
		}
		group.Wait()
		if won.Load() != 1 || lost.Load() != 1 {
			t.Errorf("%s: %d switches done, %d refused", user, won.Load(), lost.Load())
		}
	})
	h := w.check(followers...)
	if n := len(h.rooms["B"].Members) + len(h.rooms["C"].Members); n != 100 {
		t.Errorf("%d users in B and C", n)
	}
}

// Nobody is ever in two rooms or in none, while instances are cut off at any moment
// and others take over.
func TestStormOfSwitchesWhileInstancesDie(t *testing.T) {
	w, instances := newWorld(t, 3, roomsvc.Config{})
	const users, rooms, deaths = 50, 10, 6
	for i := range rooms {
		ok[position](w, "create", fmt.Sprintf(`{"roomID":"r%d","config":{"roomDestroyDelayTime":600}}`, i))
	}
	var followers []*follower
	for i := range users {
		ok[position](w, "join", fmt.Sprintf(`{"roomID":"r%d","userID":"u%d"}`, i%rooms, i))
	}
	begun := w.lastFact()
	for i := range rooms {
		followers = append(followers, w.follow(fmt.Sprintf("r%d", i), fmt.Sprintf("r%d", i), 0, i%3*5))
	}
	stop := make(chan struct{})
	var moves atomic.Int64
	progress := make(chan struct{}, 1)
	var group sync.WaitGroup
	for i := range users {
		group.Go(func() {
			user, at := fmt.Sprintf("u%d", i), i%rooms
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				to := (at + 1 + rng.IntN(rooms-1)) % rooms
				reply, err := request[room.JoinedReply](w, room.Switch, map[string]any{
					"userID": user, "fromRoomID": fmt.Sprintf("r%d", at), "toRoomInfo": map[string]any{"roomID": fmt.Sprintf("r%d", to)}, "requestID": fmt.Sprintf("%s-%d", user, n),
				}, time.Second)
				if err != nil {
					t.Errorf("%s from r%d to r%d, its switch %d: %v", user, at, to, n, err)
					return
				}
				if reply.Left == nil || reply.Left.RoomID != fmt.Sprintf("r%d", at) || reply.Room.RoomID != fmt.Sprintf("r%d", to) {
					t.Errorf("%s from r%d to r%d: %+v", user, at, to, reply)
				}
				at = to
				moves.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	// Each death follows some more moves, so that there is always work to interrupt.
	for n := range deaths {
		for from := moves.Load(); moves.Load() < from+100; {
			select {
			case <-progress:
			case <-time.After(patience):
				t.Fatalf("no switch for %v after %d deaths", patience, n)
			}
		}
		i := n % len(instances)
		instances[i].Kill()
		instances[i] = w.Start(roomsvc.Config{Instance: fmt.Sprintf("i%d", i)})
	}
	close(stop)
	group.Wait()
	h := w.check(followers...)
	w.checkOneRoomEach(h, begun, users)
	roomtest.Figure(t, "%d switches", moves.Load())
}

// lastFact is the revision of the newest fact of all.
func (w *world) lastFact() uint64 {
	facts := w.journal("room.evt.*", 1)
	return facts[len(facts)-1].Revision
}

// checkOneRoomEach folds the facts in the stream's order. The two facts of a switch are
// adjacent, in one atomic batch; between batches everybody who was ever in a room must be
// in exactly one.
func (w *world) checkOneRoomEach(h history, begun uint64, users int) {
	w.T.Helper()
	in := map[string]map[string]bool{}
	batches := 0
	for i, f := range h.facts {
		if f.Room == "settled" {
			continue
		}
		for _, e := range f.Data.MemberList {
			if in[e.UserID] == nil {
				in[e.UserID] = map[string]bool{}
			}
			if f.Type == "member.left.v1" {
				delete(in[e.UserID], f.Room)
			} else {
				in[e.UserID][f.Room] = true
			}
		}
		batch := f.Header.Get("Nats-Batch-Id")
		if batch != "" && i+1 < len(h.facts) && h.facts[i+1].Header.Get("Nats-Batch-Id") == batch {
			if h.facts[i+1].Revision != f.Revision+1 {
				w.T.Errorf("the batch at %d is not adjacent", f.Revision)
			}
			continue
		}
		if batch != "" {
			batches++
		}
		if f.Revision < begun {
			continue
		}
		for user, rooms := range in {
			if len(rooms) != 1 {
				w.T.Fatalf("after fact %d %s is in %d rooms: %v", f.Revision, user, len(rooms), rooms)
			}
		}
	}
	if len(in) != users || batches == 0 {
		w.T.Errorf("%d users moved in %d batches", len(in), batches)
	}
}

func TestRoomsOfAUserAtOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("on %d", n), func(t *testing.T) {
			const limit, tries = 5, 12
			w, _ := newWorld(t, n, roomsvc.Config{Limits: room.Limits{MaxRoomsPerUser: limit}})
			var in, refused atomic.Int64
			together(tries, func(i int) {
				_, err := known[position](w, room.Enter, map[string]any{"roomID": fmt.Sprintf("r%d", i), "userID": "alice"})
				count(t, err, &in, room.ErrUserRoomLimit, &refused)
			})
			if n == 1 && in.Load() != limit || in.Load() < limit {
				t.Errorf("in %d rooms, refused %d times", in.Load(), refused.Load())
			}
			w.check()
			w.Refused(room.ErrUserRoomLimit, "enter", `{"userID":"alice","roomID":"more"}`)
		})
	}
}

// A join races the end of an empty room: it joins the old instance, or is told that there
// is no room, or, if it enters, gets into a new one.
func TestJoinRacesDestruction(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	var joined, gone atomic.Int64
	together(150, func(i int) {
		id := fmt.Sprintf("r%d", i)
		made, err := known[position](w, room.Create, map[string]any{"roomID": id, "userID": "alice"})
		if err != nil {
			t.Error(err)
			return
		}
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := known[position](w, room.Leave, map[string]any{"roomID": id, "userID": "alice"}); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			reply, err := known[position](w, room.Join, map[string]any{"roomID": id, "userID": "bob"})
			if count(t, err, &joined, room.ErrRoomNotExist, &gone); err == nil && i%2 == 0 && reply.InstanceID != made.InstanceID {
				t.Errorf("%s: joined instance %s, made %s", id, reply.InstanceID, made.InstanceID)
			}
		})
		if i%2 == 1 {
			group.Go(func() {
				reply, err := known[room.JoinedReply](w, room.Enter, map[string]any{"roomID": id, "userID": "carol"})
				if err != nil || *reply.Created == (reply.InstanceID == made.InstanceID) {
					t.Errorf("%s: entered %+v, made %s: %v", id, reply, made.InstanceID, err)
				}
			})
		}
		group.Wait()
	})
	h := w.check()
	for id, r := range h.rooms {
		if len(r.Members) == 0 {
			t.Errorf("%s is empty and there", id)
		}
	}
	t.Logf("%d joined, %d found no room", joined.Load(), gone.Load())
}

// Everything happens at once, with followers that begin in the middle of it.
func TestStormOfEverything(t *testing.T) {
	w, _ := newWorld(t, 3, roomsvc.Config{})
	const rooms = 4
	for i := range rooms {
		ok[position](w, "create", fmt.Sprintf(`{"roomID":"r%d","config":{"roomDestroyDelayTime":600}}`, i))
	}
	n := 1500
	if testing.Short() {
		n = 300
	}
	half, storm := make(chan struct{}), make(chan struct{})
	var asked atomic.Int64
	go func() {
		defer close(storm)
		together(n, func(i int) {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			if asked.Add(1) == int64(n/2) {
				close(half)
			}
			verbs := []room.Verb{
				room.Join, room.Enter, room.Enter, room.Enter, room.Leave, room.Switch, room.Switch, room.LeaveAll,
				room.SetAttributes, room.SetAttributes, room.SetMemberAttributes, room.Send, room.Kick, room.DestroyRoom,
			}
			verb := verbs[rng.IntN(len(verbs))]
			q := map[string]any{"userID": fmt.Sprintf("u%d", rng.IntN(25)), "sessionID": []string{"phone", "tab"}[rng.IntN(2)]}
			id, to := fmt.Sprintf("r%d", rng.IntN(rooms)), fmt.Sprintf("r%d", rng.IntN(rooms+2))
			switch verb {
			case room.Switch:
				q["fromRoomID"], q["toRoomInfo"], q["isCreateWhenRoomNotExisted"] = id, map[string]any{"roomID": to}, true
			case room.LeaveAll:
			case room.SetAttributes:
				q["roomID"], q["set"], q["isForce"], q["isDeleteAfterOwnerLeft"] = id, map[string]string{fmt.Sprintf("k%d", rng.IntN(5)): strconv.Itoa(i)}, rng.IntN(3) == 0, rng.IntN(2) == 0
				q["delete"] = []string{fmt.Sprintf("k%d", 5+rng.IntN(5))}
			case room.SetMemberAttributes:
				q["roomID"], q["attributes"], q["isDeleteAfterOwnerLeft"] = id, map[string]string{fmt.Sprintf("m%d", rng.IntN(5)): strconv.Itoa(i)}, rng.IntN(2) == 0
				q["userIDs"] = []string{fmt.Sprintf("u%d", rng.IntN(25)), fmt.Sprintf("u%d", rng.IntN(25))}
			case room.Send:
				q["roomID"], q["type"], q["data"] = id, []string{"text", "barrage"}[rng.IntN(2)], strconv.Itoa(i)
			case room.Kick:
				q["roomID"], q["userIDs"] = id, []string{fmt.Sprintf("u%d", rng.IntN(25))}
			case room.DestroyRoom:
				q["roomID"] = fmt.Sprintf("r%d", rooms+rng.IntN(2))
			default:
				q["roomID"] = to
			}
			// A busy machine may not be done with so many in time; then they are sent again.
			q["requestID"] = fmt.Sprint("storm ", i)
			_, err := request[position](w, verb, q, patience)
			if err != nil && !errors.Is(err, room.ErrUserAlreadyInRoom) && !errors.Is(err, room.ErrUserNotInRoom) && !errors.Is(err, room.ErrRoomNotExist) && !errors.Is(err, room.ErrParamInvalid) {
				t.Errorf("%s %v: %v", verb, q, err)
			}
		})
	}()
	<-half
	var followers []*follower
	for i := range rooms + 2 {
		followers = append(followers, w.follow(fmt.Sprintf("r%d", i), fmt.Sprintf("r%d", i), 0, i%2*7))
	}
	<-storm
	w.check(followers...)
}

// A service that is told to stop answers the requests that it has taken, of back ends and of end
// users.
func TestStopAnswersWhatIsInFlight(t *testing.T) {
	for form, command := range map[string]string{
		"back ends": "room.cmd.join\x00" + `{"roomID":"lobby","userID":"u%d"}`,
		"end users": "room.cmd.join.u%d\x00" + `{"roomID":"lobby"}`,
	} {
		t.Run(form, func(t *testing.T) { testStop(t, command) })
	}
}

func testStop(t *testing.T, command string) {
	w, instances := newWorld(t, 1, roomsvc.Config{Feeds: true})
	subject, body, _ := strings.Cut(command, "\x00")
	of := func(format string, i int) string { return strings.ReplaceAll(format, "%d", fmt.Sprint(i)) }
	ok[position](w, "create", `{"roomID":"lobby","userID":"first"}`)
	const n = 3000
	inbox, answers := w.NC.NewInbox(), make(chan *nats.Msg, n+1)
	if _, err := w.NC.ChanSubscribe(inbox+".*", answers); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	for i := range n {
		if i == n/2 {
			go func() { stopped <- instances[0].Stop(w.Ctx) }()
		}
		if err := w.NC.PublishRequest(of(subject, i), fmt.Sprintf("%s.%d", inbox, i), []byte(of(body, i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	in, nobody := map[string]bool{"first": true}, 0
	seen := map[string]bool{}
	for len(seen) < n {
		var m *nats.Msg
		select {
		case m = <-answers:
		case <-time.After(patience):
			t.Fatalf("%d of %d requests were answered", len(seen), n)
		}
		user := "u" + strings.TrimPrefix(m.Subject, inbox+".")
		if seen[user] {
			t.Errorf("%s was answered twice", user)
		}
		seen[user] = true
		e := refusal(m)
		switch {
		case m.Header.Get("Status") == "503":
			nobody++
		case e == nil:
			in[user] = true
		case !errors.Is(e, room.ErrBusy):
			t.Errorf("%s: %v", user, e)
		}
	}
	w.Start(roomsvc.Config{})
	h := w.check()
	for user := range h.rooms["lobby"].Members {
		if !in[user] {
			t.Errorf("%s is in the room and was not told so", user)
		}
	}
	if len(h.rooms["lobby"].Members) != len(in) {
		t.Errorf("%d members, %d were told that they are in", len(h.rooms["lobby"].Members), len(in))
	}
	t.Logf("%d in, %d found nobody", len(in), nobody)
}

// Copies of a request that arrive while it is under way wait for it and get its outcome.
func TestStormOfRepeats(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{})
	ok[position](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		for verb, body := range map[room.Verb]string{
			room.SetAttributes:       `"set":{"n":"%d"}`,
			room.SetMemberAttributes: `"userIDs":["alice"],"attributes":{"n":"%d"}`,
		} {
			text := fmt.Sprintf(`{"roomID":"lobby","userID":"alice","requestID":"%s-%d",%s}`, verb, i, fmt.Sprintf(body, i))
			q := decode[map[string]any](t, []byte(text))
			before := ok[position](w, "get", `{"roomID":"lobby","sync":true}`)
			together(32, func(int) {
				if _, err := request[position](w, verb, *q, patience); err != nil {
					t.Error(err)
				}
			})
			if t.Failed() {
				return
			}
			if set := ok[position](w, string(verb), text); set.Sequence != before.Sequence+1 {
				t.Fatalf("%s: %d after %d", text, set.Sequence, before.Sequence)
			}
		}
	}
	w.check()
}
