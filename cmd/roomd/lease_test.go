package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
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

// The test binary also serves as the clients that are stopped and killed.
const clientIs = "NATSROOMS_ROOMD_CLIENT"

func TestMain(m *testing.M) {
	user := os.Getenv(clientIs)
	if user == "" {
		flag.Parse()
		os.Exit(m.Run())
	}
	if err := beClient(user, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beClient stays in the lobby as long as it lives, like any ordinary client: it renews its
// lease after each third of it, and prints when the lease ends.
func beClient(user, url, lease string) error {
	seconds, err := strconv.Atoi(lease)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(url, patientDial)
	if err != nil {
		return err
	}
	defer nc.Close()
	id, err := nc.GetClientID()
	if err != nil {
		return err
	}
	caller := room.Caller{LeaseSeconds: &seconds, Connection: &room.Connection{ServerID: nc.ConnectedServerId(), ClientID: id}}
	c := client.New(nc, client.Config{UserID: user, UserForm: true})
	in, err := c.Enter(context.Background(), room.CreateRequest{Caller: caller, RoomID: "lobby", Config: &room.RoomConfig{RoomDestroyDelayTime: 600}})
	if err != nil {
		return err
	}
	fmt.Println(int64(in.ExpiresAt))
	for range time.Tick(time.Duration(seconds) * time.Second / 3) {
		r, err := c.Renew(context.Background(), room.RenewRequest{Caller: caller})
		if err != nil {
			return err
		}
		if len(r.Rooms) != 1 {
			return errors.New("it is no longer in the room")
		}
		fmt.Println(int64(r.ExpiresAt))
	}
	return nil
}

// clientProcess is a process that runs beClient.
type clientProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	until chan time.Time // when its lease ends, each time that the client is told
}

func startClient(t *testing.T, url, user string, lease int) *clientProcess {
	t.Helper()
	c := &clientProcess{t: t, cmd: exec.Command(os.Args[0], url, strconv.Itoa(lease)), until: make(chan time.Time, 1000)}
	c.cmd.Env = append(os.Environ(), clientIs+"="+user)
	var errs strings.Builder
	c.cmd.Stderr = &errs
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			at, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Errorf("%s said %q", user, lines.Text())
			}
			c.until <- events.Time(at).Time()
		}
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-read
		if _ = c.cmd.Wait(); errs.Len() > 0 {
			t.Errorf("%s said: %s", user, errs.String())
		}
	})
	return c
}

// renewed waits until the client has been told that many times.
func (c *clientProcess) renewed(times int) (until time.Time) {
	c.t.Helper()
	for range times {
		select {
		case until = <-c.until:
		case <-time.After(within):
			c.t.Fatal("a client does not renew")
		}
	}
	return until
}

// signal sends a signal. It gives a moment just before.
func (c *clientProcess) signal(s syscall.Signal) time.Time {
	c.t.Helper()
	at := time.Now()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
	return at
}

// A client that dies is put out after the grace time, and so is one that stands still, once the
// server's pings have ended its connection. One that keeps running stays.
func TestClientsThatVanish(t *testing.T) {
	t.Parallel()
	const noticed = 2 * time.Second
	v := newVictim(t)
	v.args = []string{"--grace", "1s", "--config", write(t, `ping_interval: "1s", ping_max: 2`)}
	v.start()
	late := roomtest.Measure(t, v.url())
	nc, err := nats.Connect(v.url(), patientDial, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	facts, err := nc.SubscribeSync(subjects.Facts("lobby"))
	if err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	left := func() (l events.Left, heard time.Time) {
		t.Helper()
		for {
			m, err := facts.NextMsg(within)
			if err != nil {
				t.Fatal(err)
			}
			f, err := events.DecodeFact(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Left) > 0 {
				if len(f.Left) > 1 || f.Left[0].Reason != events.ReasonExpired {
					t.Errorf("%+v", f.Left)
				}
				return f.Left[0], time.Now()
			}
		}
	}
	stays := startClient(t, v.url(), "stays", 6)
	stopped, killed := startClient(t, v.url(), "stopped", 6), startClient(t, v.url(), "killed", 3600)
	killed.renewed(1)
	stays.renewed(1)
	stopped.renewed(3)

	at := killed.signal(syscall.SIGKILL)
	l, heard := left()
	roomtest.Figure(t, "out %v after its death", heard.Sub(at))
	if l.UserID != "killed" || !late.Within(heard.Sub(at), time.Second+noticed, at) || l.LeftAt.Time().Sub(at) < 900*time.Millisecond {
		t.Errorf("%s left at %v, heard %v after a death", l.UserID, l.LeftAt, heard.Sub(at))
	}
	at = stopped.signal(syscall.SIGSTOP)
	l, heard = left()
	roomtest.Figure(t, "out %v after it was stopped", heard.Sub(at))
	const pinged = 4 * time.Second // the two pings that it does not answer, and those around them
	if l.UserID != "stopped" || l.LeftAt.Time().Sub(at) < time.Second || !late.Within(heard.Sub(at), pinged+time.Second+noticed, at) {
		t.Errorf("%s left at %v, heard %v after it was stopped", l.UserID, l.LeftAt, heard.Sub(at))
	}
	stays.renewed(3)
	c := client.New(nc, client.Config{})
	m, err := c.Members(t.Context(), room.MembersRequest{RoomID: "lobby", Freshness: room.Freshness{Sync: true}})
	if err != nil || m.MemberCount != 1 || m.MemberList[0].UserID != "stays" {
		t.Errorf("the members are %+v, %v", m, err)
	}
}
