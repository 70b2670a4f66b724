package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// The most memory that roomd may have held, in bytes, and the longest that an honest
// client may have waited.
const (
	mostMemory = 1 << 30
	mostWait   = 10 * time.Second
)

// TestHostileBytes sends every kind of nonsense that a client can send, while honest
// clients do what clients do. roomd stays up, stays within its memory bound and serves the
// honest clients, whether it treats everybody as a back end or only those with a token
// that says so.
func TestHostileBytes(t *testing.T) {
	t.Run("anybody", func(t *testing.T) {
		t.Parallel()
		besiege(t, []string{"--feeds"}, func(string, bool) []nats.Option { return nil })
	})
	t.Run("tokens", func(t *testing.T) {
		t.Parallel()
		// Without the limits on users, which would keep all of this away.
		args := []string{"--auth", "jwt", "--auth-key", write(t, secret), "--limit", "user-commands=1000000,user-bytes=1000000000,user-changes=1000000"}
		besiege(t, args, func(user string, admin bool) []nats.Option {
			if admin { // its inboxes are those of all back ends
				return []nats.Option{nats.Token(signed(t, auth.Claims{User: subjects.User(user), Admin: true}))}
			}
			return bearing(t, auth.Claims{User: subjects.User(user)})
		})
	})
}

// besiege starts a roomd for hostile and honest clients, which connect with the options from as.
func besiege(t *testing.T, args []string, as func(user string, admin bool) []nats.Option) {
	long := 3 * time.Second
	if os.Getenv("NATSROOMS_LONG") != "" {
		long = 10 * time.Minute
	}
	v := newVictim(t)
	v.args = args
	v.start()
	late := roomtest.Measure(t, roomtest.Server(t).ClientURL()) // the besieged one is what is tested
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	var sent atomic.Int64
	var all sync.WaitGroup
	for n := range 3 {
		nc, err := nats.Connect(v.url(), append(as("mallory", n == 0), patientDial, nats.MaxReconnects(-1), quiet)...)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		all.Go(func() {
			for n := int64(0); ctx.Err() == nil; n++ {
				_ = nc.PublishMsg(hostile(nc)) // what does not even reach the server does not matter
				sent.Add(1)
				if burst := n%20_000 < 2000; n%100 == 0 && !burst {
					_ = nc.FlushTimeout(mostWait)
				}
			}
		})
	}
	all.Go(func() { garbage(ctx, v.port) })
	all.Go(func() {
		for ctx.Err() == nil {
			if nc, err := nats.Connect(v.url(), nats.Token(pick("", "x", "a.b.c", strings.Repeat("t", 3000))), quiet); err == nil {
				nc.Close()
			}
		}
	})
	var served atomic.Int64
	var longest atomic.Int64
	for n := range 4 {
		user, own := fmt.Sprint("honest-", n), n%2 == 0
		nc, err := nats.Connect(v.url(), append(as(user, !own), patientDial)...)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		all.Go(func() {
			c := client.New(nc, client.Config{UserID: user, UserForm: own, Timeout: mostWait})
			for visits := 0; visits == 0 || ctx.Err() == nil; visits++ {
				began := time.Now()
				if err := visit(c, n); err != nil {
					t.Errorf("honest-%d: %v", n, err)
					return
				}
				took := time.Since(began)
				if !late.Within(took, mostWait, began) {
					t.Errorf("a visit of honest-%d took %v", n, took)
				}
				longest.Store(max(longest.Load(), int64(took)))
				served.Add(1)
			}
		})
	}
	all.Wait()
	select {
	case <-v.exited:
		t.Fatal("roomd has ended")
	default:
	}
	held := memory(t, v.cmd.Process.Pid)
	if held > mostMemory {
		t.Errorf("roomd held %d MiB", held>>20)
	}
	roomtest.Figure(t, "%d hostile messages in %v; %d visits of honest clients, the longest %v; at most %d MiB", sent.Load(), long, served.Load(), time.Duration(longest.Load()), held>>20)
}

// visit is what a client does in a room.
func visit(c *client.Client, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	id := fmt.Sprint("honest-", n%2)
	if _, err := c.Enter(ctx, room.CreateRequest{RoomID: id}); err != nil {
		return err
	}
	if _, err := c.Send(ctx, room.SendRequest{RoomID: id, Type: "text", Data: "hello"}); err != nil {
		return err
	}
	if _, err := c.Members(ctx, room.MembersRequest{RoomID: id}); err != nil {
		return err
	}
	_, err := c.Leave(ctx, room.RoomRequest{RoomID: id})
	return err
}

// memory is the most that a process has held so far; 0 if the system does not say.
func memory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	return 0
}

// hostile is a command that nobody should send.
func hostile(nc *nats.Conn) *nats.Msg {
	m := nats.NewMsg("room.cmd." + pick(verbs()...))
	if rand.IntN(2) == 0 {
		m.Subject += "." + pick("mallory", "=", "=41", "=2E", "=00", "=FF", strings.Repeat("x", 300), strings.Repeat("=C3=A9", 60), "$SYS", "a=2Eb")
	}
	m.Reply = pick("", "", nc.NewInbox(), nc.NewInbox(), "_INBOX.x", "room.cmd.get", "room.journal.honest-0", "room.sync", "$KV.rooms.honest-0", "$JS.API.STREAM.PURGE.ROOMS")
	m.Data = body()
	for range rand.IntN(4) {
		m.Header.Set(pick("Nats-Msg-Id", "traceparent", "Nats-Rollup", "Nats-TTL", "Nats-Expected-Stream", "Nats-Expected-Last-Subject-Sequence", "Nats-Batch-Id", "Content-Type", "X"), pick("", "all", "-1", "1", "00-"+strings.Repeat("a", 32)+"-"+strings.Repeat("b", 16)+"-01", strings.Repeat("h", 8000), "\x80\xff"))
	}
	return m
}

func verbs() (list []string) {
	for _, c := range room.Commands {
		list = append(list, string(c.Verb))
	}
	return append(list, "none", "*", "join-user")
}

func pick(list ...string) string { return list[rand.IntN(len(list))] }

// body is a command's body.
func body() []byte {
	depth := 1 << rand.IntN(17)
	value := pick(`""`, `"a"`, `null`, `true`, `-1`, `1e999`, `9007199254740993`, `123456789012345678901234567890`, `[]`, `{}`, `[[[[]]]]`,
		`"\ud800"`, `"\u0000"`, "\"\xff\xfe\"", `"`+strings.Repeat("x", 1<<rand.IntN(17))+`"`, `"`+strings.Repeat("\u2028", 100)+`"`, `"a\nb"`, `{"roomID":1}`,
		strings.Repeat("[", depth), strings.Repeat(`{"a":`, depth))
	field := pick("roomID", "userID", "userName", "userInfo", "sessionID", "requestID", "leaseSeconds", "connection", "config", "toRoomInfo", "fromRoomID", "set", "delete",
		"userIDs", "attributes", "type", "data", "priority", "count", "nextFlag", "afterSequence", "beforeMessageSeq", "instanceID", "minRevision", "sync", "allow", "reason", "x")
	room := pick("h1", "h2", "h3", "=41", "", strings.Repeat("r", 129))
	switch rand.IntN(6) {
	case 0:
		data := make([]byte, rand.IntN(1<<rand.IntN(18)))
		for i := range data {
			data[i] = byte(rand.Int())
		}
		return data
	case 1:
		return bytes.Repeat([]byte(pick("[", "{", `{"a":[`, "\"", "\\u")), depth)
	case 2:
		whole := fmt.Appendf(nil, `{"roomID":%q,"userID":"mallory",%q:%s}`, room, field, value)
		return whole[:rand.IntN(len(whole)+1)]
	case 3: // a repeated field and many unknown ones
		return fmt.Appendf(nil, `{"roomID":%q,"roomID":%q,"userID":"mallory",%s"x":1}`, room, room, strings.Repeat(fmt.Sprintf("%q:%s,", field, pick("1", `"a"`)), rand.IntN(50)))
	case 4:
		return slices.Concat([]byte(`{"roomID":"h1","userID":"mallory","pad":"`), bytes.Repeat([]byte("p"), rand.IntN(900<<10)), []byte(`"}`))
	}
	return fmt.Appendf(nil, `{"roomID":%q,"userID":"mallory-%d",%q:%s}`, room, rand.IntN(50), field, value)
}

// garbage sends what is not the NATS protocol at all.
func garbage(ctx context.Context, port int) {
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte(pick("GET / HTTP/1.1\r\n\r\n", "CONNECT {}\r\nPUB room.cmd.join 99999999999\r\n", "\x16\x03\x01\x02\x00", strings.Repeat("A", 70000), "CONNECT {}\r\nHPUB room.cmd.join 5 3\r\nx\r\n", "PING\r\n")))
		_, _ = conn.Read(make([]byte, 4096))
		_ = conn.Close()
	}
}
