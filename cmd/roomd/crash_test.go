package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// kills is how often the process is killed; make soak runs the long form.
func kills() int {
	if os.Getenv("NATSROOMS_LONG") != "" {
		return 20
	}
	return 3
}

// victim is roomd as a process that can be killed and started again.
type victim struct {
	t         *testing.T
	bin, dir  string
	port      int
	args      []string // further arguments
	cmd       *exec.Cmd
	exited    chan struct{}
	processes int
	stderr    *worlds.Log // of the newest process
	ready     []time.Time // when each was
}

func newVictim(t *testing.T) *victim {
	bin := filepath.Join(t.TempDir(), "roomd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	v := &victim{t: t, bin: bin, dir: t.TempDir(), port: roomtest.Ports(t, 1)[0]}
	t.Cleanup(func() { v.kill() })
	return v
}

func (v *victim) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", v.port) }

// start returns when the process says that it is ready.
func (v *victim) start() {
	v.t.Helper()
	v.processes++
	v.cmd = exec.Command(v.bin, append([]string{"--port", strconv.Itoa(v.port), "--store-dir", v.dir, "--sync", "2m", "--messages-per-room", "1000000"}, v.args...)...)
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	v.stderr = new(worlds.Log)
	v.cmd.Stderr = v.stderr
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		_ = v.cmd.Wait()
		v.t.Fatalf("process %d said %q, %v\n%s", v.processes, line, err, v.stderr)
	}
	v.ready = append(v.ready, time.Now())
	v.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) { _ = cmd.Wait(); close(exited) }(v.cmd, v.exited)
}

// said is what the newest process said on stderr.
func (v *victim) said() string { return v.stderr.String() }

func (v *victim) kill() {
	if v.exited != nil {
		_ = v.cmd.Process.Signal(syscall.SIGKILL)
		<-v.exited
	}
}

// acked is one acknowledged command.
type acked struct {
	user, request string
	verb          room.Verb
	place         room.Position
}

// TestKill kills roomd at random moments while users join, leave and switch, and then
// compares what was acknowledged with the journal, the replies and the bucket.
func TestKill(t *testing.T) {
	late := roomtest.Measure(t, roomtest.Server(t).ClientURL())
	v := newVictim(t)
	v.start()
	const users, rooms = 24, 6
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	nc, err := nats.Connect(v.url(), patientDial, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var mu sync.Mutex
	var log []acked
	var count atomic.Int64
	progress := make(chan struct{}, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	// Each user is in one room and only switches; nobody is idle between kills.
	for u := range users {
		wg.Go(func() {
			user, at := fmt.Sprintf("user-%d", u), u%rooms
			c := client.New(nc, client.Config{UserID: user, Timeout: 3 * time.Second})
			for first := true; ; first = false {
				select {
				case <-stop:
					return
				default:
				}
				request, to := nuid.Next(), (at+1+rand.IntN(rooms-1))%rooms
				var reply *room.JoinedReply
				var err error
				caller := room.Caller{RequestID: request}
				if first {
					reply, err = c.Enter(ctx, room.CreateRequest{Caller: caller, RoomID: fmt.Sprintf("room-%d", to)})
				} else {
					reply, err = c.Switch(ctx, room.SwitchRequest{
						Caller: caller, FromRoomID: fmt.Sprintf("room-%d", at), ToRoomInfo: room.RoomInfo{RoomID: fmt.Sprintf("room-%d", to)}, IsCreateWhenRoomNotExisted: true,
					})
				}
				if err != nil {
					t.Errorf("%s: %v", user, err)
					return
				}
				at = to
				mu.Lock()
				log = append(log, acked{user, request, room.Switch, reply.Position})
				mu.Unlock()
				count.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	said, err := newTalk(ctx, nc)
	if err != nil {
		t.Fatal(err)
	}
	said.listen(ctx, t, v.url())
	for n := range talkers {
		wg.Go(func() {
			if err := said.say(ctx, n, stop); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor := func(n int64) {
		for until := count.Load() + n; count.Load() < until; {
			select {
			case <-progress:
			case <-ctx.Done():
				t.Fatal("no progress")
			}
		}
	}
	for k := range kills() {
		waitFor(50 + rand.Int64N(400))
		// A room that is empty when the process dies still ends on time.
		c := client.New(nc, client.Config{UserID: "guest"})
		guest := fmt.Sprintf("guest-room-%d", k)
		if _, err := c.Create(ctx, room.CreateRequest{RoomID: guest, Config: &room.RoomConfig{RoomDestroyDelayTime: 2}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Leave(ctx, room.RoomRequest{RoomID: guest}); err != nil {
			t.Fatal(err)
		}
		v.kill()
		v.start()
	}
	waitFor(50)
	close(stop)
	wg.Wait()
	if t.Failed() {
		return
	}
	said.verify(ctx, t)
	verifyAfterKills(ctx, t, worlds.At(t, v.url()), late, log, v.ready)
}

// verifyAfterKills compares the facts, the replies and the bucket with each other and with
// what was acknowledged.
func verifyAfterKills(ctx context.Context, t *testing.T, w *worlds.World, late *roomtest.Lateness, log []acked, ready []time.Time) {
	kills := len(ready) - 1
	// The guests' rooms end two seconds after the guests left, or when roomd is back.
	empty, ended := map[string]time.Time{}, map[string]time.Time{}
	live, err := w.NC.SubscribeSync(subjects.FactsPattern)
	if err != nil {
		t.Fatal(err)
	}
	var facts []worlds.Stored
	for {
		facts = w.Facts()
		for _, f := range facts {
			if r := string(f.Room); strings.HasPrefix(r, "guest-room-") {
				switch f.Type {
				case events.MemberLeft:
					empty[r] = f.Time.Time()
				case events.RoomDestroyed:
					ended[r] = f.Time.Time()
				}
			}
		}
		if len(ended) == kills {
			break
		}
		if _, err := live.NextMsgWithContext(ctx); err != nil {
			t.Fatalf("%d of %d guest rooms have ended: %v", len(ended), kills, err)
		}
	}
	for r, end := range ended {
		due := empty[r].Add(2 * time.Second)
		possible := due
		for _, at := range ready {
			if at.After(possible) && at.Before(end) {
				possible = at
			}
		}
		if end.Before(due) || !late.Within(end.Sub(possible), 2*time.Second, due) {
			t.Errorf("%s ended %v after it was empty, %v after roomd was back; its delay is 2s", r, end.Sub(empty[r]), end.Sub(possible))
		}
	}

	// Every acknowledged change is in the facts of exactly one command, at the acknowledged place.
	type key struct{ user, request string }
	in, left := map[key]room.Position{}, map[key]int{}
	for _, f := range facts {
		for _, j := range f.Joined {
			k := key{j.UserID, j.RequestID}
			if _, twice := in[k]; twice {
				t.Errorf("request %s of %s joined twice", k.request, k.user)
			}
			in[k] = room.Position{InstanceID: f.InstanceID, Sequence: f.Sequence}
		}
		for _, l := range f.Left {
			left[key{l.UserID, l.RequestID}]++
		}
	}
	for _, a := range log {
		if p := in[key{a.user, a.request}]; p.InstanceID != a.place.InstanceID || p.Sequence != a.place.Sequence {
			t.Errorf("request %s of %s was acknowledged at %v, but the journal has it at %v", a.request, a.user, a.place, p)
		}
		if n := left[key{a.user, a.request}]; n > 1 {
			t.Errorf("request %s of %s left %d times", a.request, a.user, n)
		}
	}

	// Nobody is in two rooms or none, and the replies and the bucket agree with the facts.
	places := map[string]int{}
	for _, r := range w.Check() {
		for user := range r.Users {
			places[user]++
		}
	}
	for user, n := range places {
		if n != 1 {
			t.Errorf("%s is in %d rooms", user, n)
		}
	}
	roomtest.Figure(t, "%d kills, %d acknowledged commands, %d facts", kills, len(log), len(facts))
}
