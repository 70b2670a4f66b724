package main

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// roomd and its server are away for longer than leases last, and clients are not put out for
// that: those that come back stay, and those that do not are out when the grace time is over,
// as of the end of their leases.
func TestOutage(t *testing.T) {
	for _, leases := range outages() {
		t.Run(fmt.Sprintf("killed for %v leases", leases), func(t *testing.T) {
			outage(t, leases, (*victim).kill, (*victim).start)
		})
	}
	t.Run("stopped for 2 leases", func(t *testing.T) {
		outage(t, 2, func(v *victim) { _ = v.cmd.Process.Signal(syscall.SIGSTOP) }, func(v *victim) { _ = v.cmd.Process.Signal(syscall.SIGCONT) })
	})
}

// outages is how long they are, in leases; make soak runs the long form.
func outages() []float64 {
	if os.Getenv("NATSROOMS_LONG") != "" {
		return []float64{0.5, 1, 2, 20}
	}
	return []float64{0.5, 2}
}

// patients are clients of one room, each on a connection of its own.
type patients struct {
	t   *testing.T
	url string
}

func (p *patients) connect() *nats.Conn {
	p.t.Helper()
	nc, err := nats.Connect(p.url, patientDial, nats.MaxReconnects(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	return nc
}

// enter lets a user enter the lobby, and returns when its lease ends.
func (p *patients) enter(user string) (c *client.Client, nc *nats.Conn, end events.Time) {
	p.t.Helper()
	lease := room.MinLease
	nc = p.connect()
	c = client.New(nc, client.Config{UserID: user, UserForm: true, LeaseSeconds: &lease})
	p.t.Cleanup(c.Close)
	if _, err := c.Enter(p.t.Context(), room.CreateRequest{RoomID: "lobby"}); err != nil {
		p.t.Fatal(err)
	}
	r, err := c.Renew(p.t.Context(), room.RenewRequest{})
	if err != nil || len(r.Rooms) != 1 {
		p.t.Fatalf("%+v, %v", r, err)
	}
	return c, nc, r.ExpiresAt
}

func outage(t *testing.T, leases float64, down, up func(*victim)) {
	t.Parallel()
	const lease, grace, noticed = room.MinLease * time.Second, 10 * time.Second, 2 * time.Second
	elsewhere := roomtest.Measure(t, roomtest.Server(t).ClientURL())
	v := newVictim(t)
	v.start()
	p := &patients{t, v.url()}
	facts, err := p.connect().SubscribeSync(subjects.Facts("lobby"))
	if err != nil {
		t.Fatal(err)
	}
	const patient = 5
	var stay []*client.Client
	for n := range patient {
		c, _, _ := p.enter(fmt.Sprint("patient-", n))
		stay = append(stay, c)
	}
	gone, nc, end := p.enter("gone")
	trusted := client.New(p.connect(), client.Config{})
	before, err := trusted.Get(t.Context(), room.ReadRequest{RoomID: "lobby"})
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	// Its last word is a renewal, which must not wait in a socket until the service is back.
	if _, err := nc.Request(subjects.UserCommand(string(room.Get), "gone"), []byte(`{"roomID":"lobby"}`), within); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	down(v)
	<-time.After(time.Duration(leases * float64(lease)))
	back := time.Now()
	up(v)
	running := time.Now()
	var left []events.Left
	var heard time.Time
	for len(left) == 0 {
		m, err := facts.NextMsg(2 * within)
		if err != nil {
			t.Fatal(err)
		}
		f, err := events.DecodeFact(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		left, heard = f.Left, time.Now()
	}
	roomtest.Figure(t, "out %v after the return", heard.Sub(back))
	if len(left) != 1 || left[0].UserID != "gone" || left[0].LeftAt < end || left[0].LeftAt > end+100 || // the end that it was told first was reckoned
		left[0].Reason != events.ReasonExpired {
		t.Errorf("%+v are out, want only the one that is gone, at %v", left, end.Time())
	}
	if heard.Sub(back) < grace-noticed || !elsewhere.Within(heard.Sub(running), grace+noticed, running) {
		t.Errorf("it is out %v after the return", heard.Sub(back))
	}
	<-time.After(lease + noticed) // until whoever had not come back would be out as well
	after, err := trusted.Get(t.Context(), room.ReadRequest{RoomID: "lobby", Freshness: room.Freshness{Sync: true}})
	if err != nil || after.InstanceID != before.InstanceID || after.Room.MemberCount != patient {
		t.Errorf("the room is %+v, %v; it was %+v", after, err, before.Position)
	}
	for _, c := range stay {
		if r, err := c.Renew(t.Context(), room.RenewRequest{}); err != nil || len(r.Rooms) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
