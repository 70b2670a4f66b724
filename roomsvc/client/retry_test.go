package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// A request is not sent again once the service may have forgotten the first try, and pauses
// grow up to two seconds.
func TestRepeatsEndBeforeTheServiceForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		_, err := again(t.Context(), repeatable, func() (int, error) {
			at = append(at, time.Since(began))
			return 0, fmt.Errorf("join: %w", ErrNoService)
		})
		if !errors.Is(err, ErrNoService) {
			t.Errorf("it ends with %v", err)
		}
		last := at[len(at)-1]
		if last > repeatFor || last < repeatFor-maxPause || repeatFor >= 2*time.Minute {
			t.Errorf("the last of %d tries is sent after %v", len(at), last)
		}
		for i := 1; i < len(at); i++ {
			limit := min(firstPause<<min(i-1, 10), maxPause)
			if pause := at[i] - at[i-1]; pause < limit/2 || pause > limit {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, limit/2, limit)
			}
		}
	})
}

// mute is a NATS server that answers no request, and that cannot be reached for a while.
type mute struct {
	began, from, to time.Time
	asked           chan time.Duration
}

func (s *mute) Dial(string, string) (net.Conn, error) {
	if now := time.Now(); now.After(s.from) && now.Before(s.to) {
		return nil, io.ErrClosedPipe
	}
	client, server := net.Pipe()
	if time.Now().Before(s.from) {
		time.AfterFunc(time.Until(s.from), func() { _ = server.Close() })
	}
	go func() {
		_, _ = io.WriteString(server, "INFO {\"server_id\":\"S\",\"client_id\":1,\"headers\":true,\"max_payload\":1048576}\r\n")
		for r := bufio.NewScanner(server); r.Scan(); {
			switch verb, rest, _ := strings.Cut(r.Text(), " "); verb {
			case "PING":
				_, _ = io.WriteString(server, "PONG\r\n")
			case "PUB":
				if strings.HasPrefix(rest, "room.cmd.") {
					s.asked <- time.Since(s.began)
				}
			}
		}
	}()
	return client, nil
}

// A request is not sent again either if the client reconnects too late.
func TestRepeatsEndWithoutAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &mute{began: now, from: now.Add(100 * time.Second), to: now.Add(150 * time.Second), asked: make(chan time.Duration, 64)}
		nc, err := nats.Connect("nats://127.0.0.1", nats.SetCustomDialer(s), nats.MaxReconnects(-1))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_, err = New(nc, Config{}).Enter(t.Context(), room.CreateRequest{RoomID: "lobby"})
		if !unsure(err) || time.Since(now) > repeatFor {
			t.Errorf("after %v it ends with %v", time.Since(now), err)
		}
		if len(s.asked) < 2 {
			t.Errorf("it was tried %d times", len(s.asked))
		}
		for range len(s.asked) {
			if at := <-s.asked; at > repeatFor {
				t.Errorf("it is sent again after %v", at)
			}
		}
	})
}

func TestRepeatsHonourTheServicesWish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		v, err := again(t.Context(), repeatable, func() (int, error) {
			if tries++; tries == 1 {
				e := room.Refuse(room.ErrBusy, "nothing happened; try again")
				e.RetryAfterMs = 7000
				return 0, e
			}
			return tries, nil
		})
		if wait := time.Since(began); v != 2 || err != nil || wait != 7*time.Second {
			t.Errorf("%d, %v after %v", v, err, wait)
		}
	})
}

// What one try leaves open is not settled by a later one that found no service.
func TestTheErrorOfTheTryThatLeavesMostOpen(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("join: %w: %w", errNoAnswer, context.DeadlineExceeded)
	for _, c := range []struct {
		tries []error
		want  error
		open  bool
	}{
		{[]error{ErrNoService, ErrNoService}, ErrNoService, false},
		{[]error{lost, ErrNoService, room.Refuse(room.ErrBusy, "try again")}, context.DeadlineExceeded, true},
		{[]error{lost, room.Refuse(room.ErrRoomFull, "full")}, room.ErrRoomFull, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			_, err := again(ctx, repeatable, func() (int, error) {
				if n++; n >= len(c.tries) {
					cancel()
				}
				return 0, c.tries[n-1]
			})
			if !errors.Is(err, c.want) || unsure(err) != c.open {
				t.Errorf("%v gave %v", c.tries, err)
			}
		})
	}
}

// A client without a lease has no goroutine, and one whose session is in no room renews
// once more and then stops.
func TestClientStopsRenewing(t *testing.T) {
	nc := served(t)
	kept := func(c *Client) bool {
		c.own.mu.Lock()
		defer c.own.mu.Unlock()
		return c.own.kept
	}
	without := New(nc, Config{UserID: "bob"})
	if _, err := without.Enter(t.Context(), room.CreateRequest{RoomID: "lobby"}); err != nil || kept(without) {
		t.Errorf("without a lease: %v, renewed: %v", err, kept(without))
	}
	seconds := 3600
	c := New(nc, Config{UserID: "alice", LeaseSeconds: &seconds})
	defer c.Close()
	for range 2 {
		if _, err := c.Enter(t.Context(), room.CreateRequest{RoomID: "lobby"}); err != nil || !kept(c) {
			t.Errorf("with a lease: %v, renewed: %v", err, kept(c))
		}
		if !c.keeps(time.Second) {
			t.Error("it stops in a room")
		}
		if _, err := c.LeaveAll(t.Context(), room.LeaveAllRequest{}); err != nil {
			t.Error(err)
		}
		if c.keeps(time.Second) {
			t.Error("it goes on in no room")
		}
	}
}

// A caller that reads no notice for so long that the connection's changes are too many to
// be kept still learns that the connection was closed.
func TestStatesOfASlowListener(t *testing.T) {
	nc := served(t)
	c := New(nc, Config{UserID: "alice"})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	states, err := c.States(ctx)
	if err != nil {
		t.Fatal(err)
	}
	back := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(back)
	for range 8 {
		if err := nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-back:
		case <-ctx.Done():
			t.Fatal("it is not back")
		}
	}
	nc.Close()
	for _, err := range states {
		if !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("it ends with %v", err)
		}
	}
}

// A session is kicked, and told so, while a renewal that still found it in the room is on
// its way. The next renewal does not give another reason.
func TestPutOutDuringARenewal(t *testing.T) {
	nc := served(t)
	trusted := New(nc, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	lease := 3600
	told := make(chan *events.Notice, 16)
	kick := func(verb room.Verb, _ jsontext.Value) {
		if verb != room.Renew {
			return
		}
		if _, err := trusted.Kick(ctx, room.KickRequest{RoomID: "lobby", UserIDs: []string{"alice"}}); err != nil {
			t.Error(err)
		}
		for n := range told {
			if n.Event == events.KickedOut {
				return
			}
		}
	}
	c := New(nc, Config{UserID: "alice", LeaseSeconds: &lease, OnReply: kick})
	defer c.Close()
	states, err := c.States(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(told)
		for n, err := range states {
			if err != nil {
				return
			}
			told <- n
		}
	}()
	if _, err := c.Enter(ctx, room.CreateRequest{RoomID: "lobby", Config: &room.RoomConfig{RoomDestroyDelayTime: 600}}); err != nil {
		t.Fatal(err)
	}
	if _, rooms, err := c.renewal(ctx); err != nil || rooms != 1 {
		t.Fatalf("it renews in %d rooms, %v", rooms, err)
	}
	if in := c.own.in(); len(in) > 0 {
		t.Errorf("it takes itself to be in %q", in)
	}
}

// A session leaves a room and joins it again, and only then hears that it left: it is still
// in the room.
func TestToldOfALeaveAfterJoiningAgain(t *testing.T) {
	nc := served(t)
	c := New(nc, Config{UserID: "alice"})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	states, err := c.States(ctx)
	if err != nil {
		t.Fatal(err)
	}
	q := room.CreateRequest{RoomID: "lobby", Config: &room.RoomConfig{RoomDestroyDelayTime: 600}}
	if _, err := c.Join(ctx, room.RoomRequest{RoomID: "lobby"}); !errors.Is(err, room.ErrRoomNotExist) {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Enter(ctx, q); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Leave(ctx, room.RoomRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Enter(ctx, q); err != nil {
		t.Fatal(err)
	}
	left := 0
	for n, err := range states {
		if err != nil {
			t.Fatal(err)
		}
		if in := c.own.in(); len(in) != 1 {
			t.Errorf("told %v, %v, it takes itself to be in %q", n.State, n.Event, in)
		}
		if n.State == events.Connected {
			if left++; left == 3 {
				break
			}
		}
	}
}

// A session is kicked while it is leaving another room. The renewal that finds this out
// cannot tell which of the two happened, and is not the last one.
func TestPutOutDuringALeave(t *testing.T) {
	nc := served(t)
	lease := 3600
	c := New(nc, Config{UserID: "alice", LeaseSeconds: &lease})
	defer c.Close()
	if _, err := c.Enter(t.Context(), room.CreateRequest{RoomID: "lobby"}); err != nil {
		t.Fatal(err)
	}
	left := c.own.leaving()
	if _, err := New(nc, Config{}).Kick(t.Context(), room.KickRequest{RoomID: "lobby", UserIDs: []string{"alice"}}); err != nil {
		t.Fatal(err)
	}
	if !c.keeps(time.Second) {
		t.Errorf("it stops, and takes itself to be in %q", c.own.in())
	}
	left()
	if c.keeps(time.Second) || len(c.own.in()) != 0 {
		t.Errorf("it takes itself to be in %q", c.own.in())
	}
}

// What is refused because it comes too fast is sent again when it may come, but what is said is
// not: it would be heard too late.
func TestTooFast(t *testing.T) {
	refused := &Error{Code: ErrRateLimited, RetryAfterMs: 30, Outcome: OutcomeNone}
	for name, c := range map[string]struct {
		repeat func(error) bool
		tries  int
	}{"a command": {canWait, 3}, "a send": {repeatable, 1}} {
		tries, began := 0, time.Now()
		_, err := again(t.Context(), c.repeat, func() (int, error) {
			if tries++; tries == 3 {
				return 1, nil
			}
			return 0, refused
		})
		if tries != c.tries || (err == nil) != (c.tries == 3) || time.Since(began) < time.Duration(c.tries-1)*30*time.Millisecond {
			t.Errorf("%s is tried %d times in %v: %v", name, tries, time.Since(began), err)
		}
	}
}
