package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// followedBy bounds how long there is no leader after one dies without warning.
const followedBy = 15 * time.Second

func TestLeaderDies(t *testing.T) {
	w := newWorld(t)
	instances := map[string]*instance{}
	for _, name := range []string{"x", "y"} {
		instances[name] = w.Start(roomsvc.Config{Instance: name}, nats.NoReconnect())
	}
	old := w.Leads(patience, "")
	w.Create("empties", 3)
	w.Join("empties", "alice")
	w.Create("stays", 3600)
	w.Leave("empties", "alice")
	due := w.Get("empties").Room.DestroyAt.Time()
	instances[old].Kill()
	died := time.Now()
	bob := &command{verb: room.Join, caller: as("bob", "bob"), room: "stays"}
	w.Until(patience, "a join", func() bool { // the server may still hand some requests to the dead instance
		_, err := bob.send(w.Ctx, client.New(w.NC, client.Config{Timeout: time.Second, Once: true}))
		return err == nil
	})
	young := w.Leads(followedBy, old)
	t.Logf("another one led after %v", time.Since(died).Round(time.Millisecond))
	w.Until(patience, "the empty room to end", func() bool { return w.Get("empties") == nil })
	ends := 0
	for _, f := range w.Facts() {
		if f.Type == events.RoomDestroyed {
			ends++
			if f.Time.Time().Before(due) {
				t.Errorf("the room ended at %v, was due at %v", f.Time, due)
			}
		}
	}
	if ends != 1 {
		t.Errorf("the room ended %d times", ends)
	}
	w.Check()
	if w.Leader() != young {
		t.Errorf("%s leads, but %s led before", w.Leader(), young)
	}
}

// A leader is paused in the middle of its work until another one leads. When it wakes, what
// it still has to write is refused.
func TestPausedLeader(t *testing.T) {
	w := newWorld(t)
	old := spawn(t, "service", w.Node.ClientURL(), "old")
	w.Leads(patience, "")
	w.Start(roomsvc.Config{Instance: "young"})
	w.Create("lobby", 3600)
	w.Create("empties", 1)
	w.Join("empties", "alice")
	w.Leave("empties", "alice")

	// Users join all the time; the joins that the paused instance gets are lost.
	over, stop := context.WithCancel(w.Ctx)
	quick := client.New(w.NC, client.Config{Timeout: time.Second, Once: true})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for n := 0; over.Err() == nil; n++ {
				_, err := quick.Join(w.Ctx, room.RoomRequest{Caller: as(fmt.Sprintf("u%d-%d", g, n), ""), RoomID: "lobby"})
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	w.Until(patience, "joins", func() bool { return len(w.Facts()) > 50 })
	old.pause()
	began := time.Now()
	w.Leads(followedBy, "old")
	t.Logf("another one led after %v", time.Since(began).Round(time.Millisecond))
	n := len(w.Facts())
	w.Until(patience, "more joins", func() bool { return len(w.Facts()) > n+50 })
	old.wake()
	w.Until(patience, "the old leader to see it", func() bool { return strings.Contains(old.log.String(), "leads no longer") })
	n = len(w.Facts())
	w.Until(patience, "more joins", func() bool { return len(w.Facts()) > n+50 })
	stop()
	group.Wait()
	w.Check()
	if w.Leader() != "young" {
		t.Errorf("%q leads", w.Leader())
	}
	ends := 0
	for _, f := range w.Facts() {
		if f.Type == events.RoomDestroyed && f.Room == "empties" {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("an empty room ended %d times", ends)
	}
}

// An instance stands still for 6 s. By then nobody waits for what came in the meantime.
func TestStandstill(t *testing.T) {
	w := newWorld(t)
	child := spawn(t, "service", w.Node.ClientURL(), "child")
	w.Create("lobby", 3600)
	w.Join("lobby", "before")
	const buffered = 50
	inbox := w.NC.NewInbox()
	answers, err := w.NC.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	child.pause()
	still := time.After(6 * time.Second)
	for n := range buffered {
		verb, body := "join", fmt.Sprintf(`{"roomID":"lobby","userID":"late%d"}`, n)
		if n%2 == 0 {
			verb, body = "create", fmt.Sprintf(`{"roomID":"late%d","userID":"late"}`, n)
		}
		if err := w.NC.PublishRequest("room.cmd."+verb, inbox, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	<-still
	child.wake()
	quick := client.New(w.NC, client.Config{Timeout: time.Second, Once: true})
	w.Until(patience, "new commands to be served", func() bool {
		_, err := quick.Join(w.Ctx, room.RoomRequest{Caller: as("after", "after"), RoomID: "lobby"})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, client.ErrNoService) {
			t.Error(err)
		}
		return err == nil
	})
	for n := range 20 {
		w.Join("lobby", fmt.Sprintf("after%d", n))
	}
	rooms := w.Check()
	if got := len(rooms["lobby"].Users); got != 22 || len(rooms) != 1 {
		t.Errorf("in the lobby are %v, and there are %d rooms", rooms["lobby"].List(), len(rooms))
	}
	if n, _, _ := answers.Pending(); n > 0 {
		m, _ := answers.NextMsg(time.Second)
		t.Errorf("%d of %d old commands are answered: %s", n, buffered, m.Data)
	}
	if !strings.Contains(child.log.String(), "stood still") {
		t.Errorf("it does not say so\n%s", child.log)
	}
}

// A start that takes long is not a standstill.
func TestSlowStart(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	slow := rule(func(f *frame) fate {
		if f.subject == subjects.Sync {
			return fate{hold: 5500 * time.Millisecond} // the marker that ends the start
		}
		return fate{}
	})
	bad.toClient.Store(&slow)
	i := w.StartAt(bad.url, roomsvc.Config{})
	bad.toClient.Store(nil)
	w.Create("empties", 1)
	w.Join("empties", "alice")
	w.Leave("empties", "alice")
	w.Until(patience, "the empty room to end", func() bool { return w.Get("empties") == nil })
	if strings.Contains(i.Log.String(), "stood still") {
		t.Errorf("it says\n%s", i.Log)
	}
}

// A room that nobody has touched for most of the time that facts are kept gets a new fact, so
// that the journal still has one when the old ones are gone.
func TestQuietRoomIsKept(t *testing.T) {
	w := newWorld(t)
	j, err := journal.Open(w.Ctx, roomtest.Conn(t, w.Node.Server), journal.Settings{Keep: 168 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	at := events.TimeOf(time.Now().Add(-5 * 24 * time.Hour))
	info := &events.Room{RoomID: "quiet", InstanceID: "I1", CreatedAt: at, CreatedBy: "alice", Config: events.Config{RoomDestroyDelayTime: 3600}, Attributes: map[string]string{}, MemberCount: 1, Sequence: 1}
	entry, err := journal.Fact(&events.Fact{
		ID: "F1", Type: events.RoomCreated, Room: "quiet", InstanceID: "I1", Sequence: 1, Time: at, Info: info,
		Joined: []events.Joined{{UserID: "alice", SessionID: "default", JoinedAt: at, Via: events.ViaCreate}},
	}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	acked := make(chan error, 1)
	if _, err := j.Append([]journal.Entry{entry}, func(_ uint64, err error) { acked <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	j.Close()

	w.Start(roomsvc.Config{Instance: "x"})
	w.Start(roomsvc.Config{Instance: "y"})
	w.Create("young", 3600)
	w.Until(patience, "the room to be kept", func() bool { return len(w.Facts()) == 3 })
	if _, err := w.Client.Create(w.Ctx, room.CreateRequest{Caller: as("bob", ""), RoomID: "quiet"}); !errors.Is(err, room.ErrRoomAlreadyExists) {
		t.Errorf("creating it again: %v", err)
	}
	if r := w.Join("quiet", "bob"); r.Sequence != 3 || r.InstanceID != "I1" {
		t.Errorf("a join ends at %+v", r.Position)
	}
	w.Check()
	for _, f := range w.Facts() {
		if f.Type == events.RoomKept && (f.Room != "quiet" || f.Sequence != 2 || f.Time <= at) {
			t.Errorf("%+v is kept", f.Fact)
		}
	}
}
