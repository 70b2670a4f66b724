package life_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
)

const patience = 30 * time.Second // bounds every wait; no wait should take nearly as long

// serves makes this test binary a NATS server that stores in the directory it names: a server
// in the test's own process would have goroutines there too.
const serves = "NATSROOMS_TEST_SERVES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serves); dir != "" {
		serve(dir)
		return
	}
	os.Exit(m.Run())
}

// serve runs a server until its standard input ends, and prints its address.
func serve(dir string) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.Start()
	if s.ReadyForConnections(patience) {
		fmt.Println(s.ClientURL())
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
}

// serverProcess starts a server, which runs until the test ends, and returns its address.
func serverProcess(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serves+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not say where it is: %v", err)
	}
	return strings.TrimSpace(url)
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	_, _ = nc.Request("nobody", nil, patience) // so that its own subscription for answers exists
	return nc
}

// alone returns a function that compares the goroutines with those that run now.
func alone(t *testing.T) (verify func(what string)) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	return func(what string) {
		t.Helper()
		if err := goleak.Find(before); err != nil {
			t.Errorf("%s left goroutines behind: %v", what, err)
		}
	}
}

// An instance that is stopped leaves no goroutines running, whatever it was doing.
func TestStopLeavesNothingRunning(t *testing.T) {
	url := serverProcess(t)
	nc, system, caller := connect(t, url), connect(t, url), connect(t, url)
	c := client.New(caller, client.Config{UserID: "alice"})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, feeds := range []bool{false, true} {
		verify := alone(t)
		s, err := roomsvc.New(ctx, nc, roomsvc.Config{Feeds: feeds, System: system, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		lease := 5
		if _, err := c.Enter(ctx, client.CreateRequest{Caller: client.Caller{LeaseSeconds: &lease}, RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(ctx, client.SendRequest{RoomID: "lobby", Type: "text", Data: "hello"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Switch(ctx, client.SwitchRequest{FromRoomID: "lobby", ToRoomInfo: client.RoomInfo{RoomID: "hall"}, IsCreateWhenRoomNotExisted: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.LeaveAll(ctx, client.LeaveAllRequest{}); err != nil {
			t.Fatal(err)
		}
		// A read that waits for a revision that nobody stores is answered at the end.
		waits := make(chan error, 1)
		patient := client.New(caller, client.Config{UserID: "bob", Once: true})
		go func() {
			_, err := patient.Get(ctx, client.ReadRequest{RoomID: "lobby", Freshness: client.Freshness{MinRevision: 1 << 40}})
			waits <- err
		}()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		<-waits
		patient.Close()
		c.Close()
		verify(fmt.Sprintf("an instance with feeds %t", feeds))
		c = client.New(caller, client.Config{UserID: "alice"})
	}
}

// An instance that fails to start leaves none either, wherever it failed.
func TestFailedStartLeavesNothingRunning(t *testing.T) {
	url := serverProcess(t)
	nc, closed := connect(t, url), connect(t, url)
	closed.Close()
	quiet := slog.New(slog.DiscardHandler)
	late := func() context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}
	for what, c := range map[string]struct {
		ctx func() context.Context
		nc  *nats.Conn
		cfg roomsvc.Config
	}{
		"a start without time":               {late, nc, roomsvc.Config{Logger: quiet}},
		"a start on a closed connection":     {t.Context, closed, roomsvc.Config{Logger: quiet}},
		"a start without its system account": {t.Context, nc, roomsvc.Config{Logger: quiet, System: closed, Feeds: true}},
	} {
		verify := alone(t)
		if _, err := roomsvc.New(c.ctx(), c.nc, c.cfg); err == nil {
			t.Errorf("%s succeeded", what)
		}
		verify(what)
	}
}
