package wire_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/roomsvc/roomtest"
)

func dial(t *testing.T, s *server.Server, l wire.Login) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(s.Addr().String(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func write(t *testing.T, c *wire.Conn, lines []byte) {
	t.Helper()
	if err := c.Write(lines); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *wire.Conn) (m wire.Msg) {
	t.Helper()
	if err := c.Read(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMessages has messages of many sizes arrive whole, with and without headers, in both
// directions between this protocol and that of the Go client.
func TestMessages(t *testing.T) {
	s := roomtest.Server(t)
	c, nc := dial(t, s, wire.Login{}), roomtest.Conn(t, s)
	write(t, c, wire.AppendSub(nil, "to.here", 7))
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	sub, err := nc.SubscribeSync("to.there")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 200, 8<<10 - 2, 8 << 10, 100_000} {
		for _, header := range []nats.Header{nil, {"Name": {"value"}}} {
			data := bytes.Repeat([]byte("x"), size)
			if err := nc.PublishMsg(&nats.Msg{Subject: "to.here", Reply: "answer.here", Header: header, Data: data}); err != nil {
				t.Fatal(err)
			}
			m := read(t, c)
			if m.SID != 7 || string(m.Subject) != "to.here" || !bytes.Equal(m.Data, data) || (header != nil) != bytes.Contains(m.Header, []byte("Name: value")) {
				t.Errorf("%d bytes, header %v: %d %s %q, %d bytes", size, header, m.SID, m.Subject, m.Header, len(m.Data))
			}
			write(t, c, wire.AppendPub(nil, "to.there", "answer.there", m.Header, m.Data))
			back, err := sub.NextMsg(20 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if back.Reply != "answer.there" || !bytes.Equal(back.Data, data) || back.Header.Get("Name") != header.Get("Name") {
				t.Errorf("%d bytes, header %v: back came %+v", size, header, back)
			}
		}
	}
}

func TestUnsub(t *testing.T) {
	c := dial(t, roomtest.Server(t), wire.Login{})
	lines := wire.AppendPub(wire.AppendUnsub(wire.AppendSub(nil, "a", 1), 1), "a", "", nil, []byte("not heard"))
	write(t, c, append(lines, wire.Ping...))
	if m := read(t, c); m.SID != 0 {
		t.Errorf("%+v", m)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := dial(t, roomtest.Server(t), wire.Login{})
	write(t, c, wire.AppendPub(wire.AppendSub(nil, "mine", 1), "nobody", "mine", nil, nil))
	if m := read(t, c); m.SID != 1 || !bytes.Contains(m.Header, []byte("503")) {
		t.Errorf("%+v", m)
	}
}

// TestPing has the server ask for a sign of life, and looks at what goes back.
func TestPing(t *testing.T) {
	s := roomtest.Server(t, func(o *server.Options) { o.PingInterval, o.MaxPingsOut = 20*time.Millisecond, 1<<20 })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan string, 1<<10)
	go between(l, s.Addr().String(), said)
	c, err := wire.Dial(l.Addr().String(), wire.Login{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		for m := (wire.Msg{}); c.Read(&m) == nil; {
		}
	}()
	for patience := time.After(30 * time.Second); ; {
		select {
		case line := <-said:
			if line == "PONG" {
				return
			}
		case <-patience:
			t.Fatal("the server's pings are not answered")
		}
	}
}

// between passes on what a client and a server say to each other, and tells what the client says.
func between(l net.Listener, server string, said chan<- string) {
	client, err := l.Accept()
	if err != nil {
		return
	}
	defer client.Close()
	far, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer far.Close()
	go func() { _, _ = io.Copy(client, far) }()
	for lines := bufio.NewScanner(client); lines.Scan(); {
		said <- strings.TrimSuffix(lines.Text(), "\r")
		if _, err := far.Write(append(lines.Bytes(), "\r\n"...)); err != nil {
			return
		}
	}
}

func TestLogin(t *testing.T) {
	s := roomtest.Server(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "bench", Password: "secret"}}
	})
	dial(t, s, wire.Login{User: "bench", Password: "secret"})
	if _, err := wire.Dial(s.Addr().String(), wire.Login{User: "bench", Password: "wrong"}); err == nil || !strings.Contains(err.Error(), "Authorization") {
		t.Errorf("got %v", err)
	}
}
