package shape

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// deployment is a service with feeds, and rooms named r-0, r-1 and so on.
type deployment struct {
	t  *testing.T
	nc *nats.Conn
	Config
}

func noTime() (server, driver time.Duration) { return 0, 0 }

func deploy(t *testing.T, feeds bool, rooms int) *deployment {
	t.Helper()
	w := worlds.New(t)
	w.Start(roomsvc.Config{Feeds: true})
	d := &deployment{t, w.NC, Config{Address: w.Node.Addr().String(), Feeds: feeds, CPU: noTime}}
	for i := range rooms {
		err := d.ask(room.Create, &room.CreateRequest{RoomID: "r-" + strconv.Itoa(i), Config: &room.RoomConfig{RoomDestroyDelayTime: 60}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *deployment) ask(verb room.Verb, body, reply any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	m, err := d.nc.Request(subjects.Command(string(verb)), data, 15*time.Second)
	if err != nil {
		return err
	}
	if m.Header.Get("Nats-Service-Error") != "" {
		return errors.New(string(m.Data))
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(m.Data, reply)
}

// truth asks the service.
func (d *deployment) truth() Truth {
	return Truth{
		Roster: func(id string) (r Roster, err error) {
			var page room.MembersReply
			err = d.ask(room.Members, &room.MembersRequest{RoomID: id, Freshness: room.Freshness{Sync: true}}, &page)
			for _, m := range page.MemberList {
				r.Users = append(r.Users, m.UserID)
			}
			r.Sequence = page.Sequence
			return r, err
		},
		Facts: func(id string, after, until uint64) ([][]byte, error) {
			return nil, fmt.Errorf("history of %s is asked for, from %d to %d", id, after, until)
		},
	}
}

func (d *deployment) gather(rooms, clients int) *Crowd {
	d.t.Helper()
	c, err := Gather(d.Config, "r", rooms, clients, 2)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// both runs a test with trusted callers and with end users.
func both(t *testing.T, f func(t *testing.T, feeds bool)) {
	for _, feeds := range []bool{false, true} {
		t.Run(fmt.Sprintf("feeds %t", feeds), func(t *testing.T) { f(t, feeds) })
	}
}

func TestChurn(t *testing.T) {
	both(t, func(t *testing.T, feeds bool) {
		d := deploy(t, feeds, 3)
		m, err := d.gather(3, 12).Churn(t.Context(), 200, d.truth())
		if err != nil {
			t.Fatal(err)
		}
		if m.N != 200 || len(m.Took) != 200 || m.Lasted <= 0 || m.Deliveries <= 0 || m.Copies < 400 || m.History != 0 {
			t.Errorf("%+v", m)
		}
	})
}

// TestDoubledFact has a fact come twice, which everybody who is there must notice.
func TestDoubledFact(t *testing.T) {
	both(t, func(t *testing.T, feeds bool) {
		d := deploy(t, feeds, 1)
		c := d.gather(1, 4)
		again := subjects.Facts("r-0")
		if feeds {
			again = subjects.Feed("l1", "r-0")
		}
		_, err := d.nc.Subscribe(again, func(m *nats.Msg) {
			if m.Header.Get("Again") == "" && strings.Contains(string(m.Data), `"userID":"u2"`) {
				_ = d.nc.PublishMsg(&nats.Msg{Subject: again, Header: nats.Header{"Again": {"yes"}}, Data: m.Data})
			}
		})
		if err == nil {
			err = d.nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Churn(t.Context(), 200, d.truth()); err == nil || !strings.Contains(err.Error(), "doubled") {
			t.Errorf("got %v", err)
		}
	})
}

// TestForeignVisitor has somebody come in whom the clients' account does not know.
func TestForeignVisitor(t *testing.T) {
	d := deploy(t, false, 1)
	c := d.gather(1, 4)
	truth := d.truth()
	if err := d.ask(room.Join, &room.RoomRequest{RoomID: "r-0", Caller: room.Caller{UserID: "x"}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Churn(t.Context(), 100, truth); err == nil || !strings.Contains(err.Error(), "x should not be there") {
		t.Errorf("got %v", err)
	}
}

// TestRefusedCommand has the room end in the middle.
func TestRefusedCommand(t *testing.T) {
	d := deploy(t, false, 1)
	if err := d.ask(room.SetAccess, &room.SetAccessRequest{RoomID: "r-0", Access: "listed"}, nil); err != nil {
		t.Fatal(err)
	}
	d.Feeds = true
	if _, err := Gather(d.Config, "r", 1, 1, 1); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestStorm(t *testing.T) {
	both(t, func(t *testing.T, feeds bool) {
		d := deploy(t, feeds, 1)
		s, err := d.gather(1, 30).Storm(t.Context(), d.truth())
		if err != nil {
			t.Fatal(err)
		}
		if s.N != 30 || len(s.Took) != 30 || s.All <= 0 || s.Last <= 0 || s.Facts < 1 || s.Facts > 30 || s.History != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFanout(t *testing.T) {
	both(t, func(t *testing.T, feeds bool) {
		d := deploy(t, feeds, 1)
		s, err := Fanout(t.Context(), d.Config, "r", 5, 100, "hello")
		if err != nil {
			t.Fatal(err)
		}
		if s.N != 500 || s.Copies != 550 || len(s.Replies) != 110 || s.Lasted <= 0 || len(s.Header) == 0 {
			t.Errorf("%+v", s.Measured)
		}
		m, err := events.DecodeMessage(s.Data)
		if err != nil || m.Data != "00000000 hello" {
			t.Errorf("%+v, %v", m, err)
		}
		raw, err := RawFanout(t.Context(), d.Config, "raw", 5, 100, s.Header, s.Data)
		if err != nil || raw.N != 500 || raw.Lasted <= 0 {
			t.Errorf("%+v, %v", raw, err)
		}
	})
}

// TestMessageOutOfTurn has the audience hear a message that was heard before.
func TestMessageOutOfTurn(t *testing.T) {
	d := deploy(t, false, 1)
	heard := subjects.Messages("r-0")
	_, err := d.nc.Subscribe(heard, func(m *nats.Msg) {
		if m.Header.Get("Again") == "" {
			_ = d.nc.PublishMsg(&nats.Msg{Subject: heard, Header: nats.Header{"Again": {"yes"}}, Data: m.Data})
		}
	})
	if err == nil {
		err = d.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Fanout(t.Context(), d.Config, "r", 3, 100, "hello"); err == nil || !strings.Contains(err.Error(), "the next one should be") {
		t.Errorf("got %v", err)
	}
}

func TestEcho(t *testing.T) {
	d := deploy(t, false, 0)
	if _, err := d.nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	m, err := Echo(t.Context(), d.Config, "echo", 8, 100, []byte("hello"))
	if err != nil || m.N != 100 || len(m.Took) != 100 || m.Lasted <= 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if took, err := EchoStorm(t.Context(), d.Config, "echo", 8, []byte("hello")); err != nil || took <= 0 {
		t.Errorf("%v, %v", took, err)
	}
	if _, err := Echo(t.Context(), d.Config, "nobody", 8, 100, []byte("hello")); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("got %v", err)
	}
}

// TestStopped ends a run from outside.
func TestStopped(t *testing.T) {
	d := deploy(t, false, 1)
	c := d.gather(1, 4)
	ctx, cancel := context.WithCancel(t.Context())
	sub, err := d.nc.Subscribe(subjects.Facts("r-0"), func(*nats.Msg) { cancel() })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Churn(ctx, 1<<40, d.truth()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	k := newNames("abc", 12)
	for subject, want := range map[string]int{
		"room.evt.abc-0": 0, "room.feed.u1.abc-11": 11, "abc-3": 3,
		"room.evt.abc-12": -1, "room.evt.abd-1": -1, "room.evt.abc": -1, "": -1,
	} {
		if got := k.of([]byte(subject)); got != want {
			t.Errorf("%q: %d, want %d", subject, got, want)
		}
	}
}
