package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// TestTotalsSurviveStops lets users come and go, stops the billing at random places, and
// compares its totals with a plain reading of the journal.
func TestTotalsSurviveStops(t *testing.T) {
	srv := roomtest.Server(t)
	nc := roomtest.Conn(t, srv)
	s, err := roomsvc.New(t.Context(), roomtest.Conn(t, srv), roomsvc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()

	const users, rounds = 8, 40
	last := uint64(0)
	for i := range rounds {
		for u := range users {
			c := roomsvc.NewClient(nc, roomsvc.ClientConfig{UserID: fmt.Sprintf("user-%d", u)})
			if _, err := c.Enter(t.Context(), room.CreateRequest{RoomID: fmt.Sprintf("room-%d", (i+u)%3)}); err != nil {
				t.Fatal(err)
			}
		}
		for u := range users {
			c := roomsvc.NewClient(nc, roomsvc.ClientConfig{UserID: fmt.Sprintf("user-%d", u)})
			reply, err := c.Leave(t.Context(), room.RoomRequest{RoomID: fmt.Sprintf("room-%d", (i+u)%3)})
			if err != nil {
				t.Fatal(err)
			}
			last = max(last, reply.Revision)
		}
	}

	want := map[string]Total{}
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
			want[l.UserID] = Total{w.SpentMs + int64(l.LeftAt-l.JoinedAt), w.Stays + 1}
		}
	}
	if len(want) != users || want["user-0"].Stays != rounds {
		t.Fatalf("%v", want)
	}

	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for stops, complete := 0, false; !complete; stops++ {
		ctx, stop := context.WithCancel(deadline)
		patience := rand.IntN(3)
		b, err := Open(ctx, nc)
		if err != nil {
			t.Fatal(err)
		}
		err = b.Run(ctx, func(map[string]Total) {
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

	// Two at a time would count everything twice; the second one is found out.
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
