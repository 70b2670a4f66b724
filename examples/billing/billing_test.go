package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/events/attendance"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

const users = 8

// stays makes users join and leave, and returns the revision of the last leave and the
// totals from a plain reading of the journal.
func stays(t *testing.T) (nc *nats.Conn, last uint64, want attendance.Totals) {
	t.Helper()
	srv := roomtest.Server(t)
	nc = roomtest.Conn(t, srv)
	s, err := roomsvc.New(t.Context(), roomtest.Conn(t, srv), roomsvc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })

	const rounds = 40
	for i := range rounds {
		for u := range users {
			c := client.New(nc, client.Config{UserID: fmt.Sprintf("user-%d", u)})
			if _, err := c.Enter(t.Context(), client.CreateRequest{RoomID: fmt.Sprintf("room-%d", (i+u)%3)}); err != nil {
				t.Fatal(err)
			}
		}
		for u := range users {
			c := client.New(nc, client.Config{UserID: fmt.Sprintf("user-%d", u)})
			reply, err := c.Leave(t.Context(), client.RoomRequest{RoomID: fmt.Sprintf("room-%d", (i+u)%3)})
			if err != nil {
				t.Fatal(err)
			}
			last = max(last, reply.Revision)
		}
	}

	want = attendance.Totals{}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subjects.StreamRooms)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= last; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil || m.Subject == subjects.Sync {
			continue
		}
		f, err := events.DecodeFact(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != events.MemberLeft {
			continue
		}
		for _, l := range f.Left {
			w := want[l.UserID]
			want[l.UserID] = attendance.Total{SpentMs: w.SpentMs + int64(l.LeftAt-l.JoinedAt), Stays: w.Stays + 1}
		}
	}
	if len(want) != users || want["user-0"].Stays != rounds {
		t.Fatalf("%v", want)
	}
	return nc, last, want
}

// TestTotalsSurviveKills kills the program, as a process, at random points.
func TestTotalsSurviveKills(t *testing.T) {
	nc, last, want := stays(t)
	bin := filepath.Join(t.TempDir(), "billing")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var counted state
	for kills := 0; counted.Seen < last; kills++ {
		if kills > 200 {
			t.Fatalf("killed %d times, it has reached %d of %d", kills, counted.Seen, last)
		}
		cmd := exec.CommandContext(t.Context(), bin, "--nats", nc.ConnectedUrl())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		// At least one store is still to come, and after it one line per user and an empty
		// one: the program dies before, between or after them.
		for range rand.IntN(users + 2) {
			if !lines.Scan() {
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		kv, err := js.KeyValue(t.Context(), bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		entry, err := kv.Get(t.Context(), key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(entry.Value(), &counted); err != nil {
			t.Fatal(err)
		}
	}
	for user, w := range want {
		if counted.Totals[user] != w {
			t.Errorf("%s: %v, by the journal %v", user, counted.Totals[user], w)
		}
	}
}

// TestTotalsSurviveStops makes users join and leave, stops the billing at random points,
// and compares its totals with a plain reading of the journal.
func TestTotalsSurviveStops(t *testing.T) {
	nc, last, want := stays(t)

	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for stops, complete := 0, false; !complete; stops++ {
		ctx, stop := context.WithCancel(deadline)
		patience := rand.IntN(3)
		b, err := Open(ctx, nc)
		if err != nil {
			t.Fatal(err)
		}
		err = b.Run(ctx, func(attendance.Totals) {
			if complete = b.state.Seen >= last; complete || patience == 0 {
				stop()
			}
			patience--
		})
		stop()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if complete {
			for user, w := range want {
				if b.state.Totals[user] != w {
					t.Errorf("%s: %v, by the journal %v", user, b.state.Totals[user], w)
				}
			}
		}
	}

	// Two at a time would count everything twice; that is detected.
	first, err := Open(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.store(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.store(t.Context()); err == nil {
		t.Error("two billings write the same totals")
	}
}
