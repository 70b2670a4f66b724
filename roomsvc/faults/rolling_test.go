package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

// rolling is a cluster that is upgraded while people use it.
type rolling struct {
	*world
	nodes     []*roomtest.Node
	instances []*instance

	mu       sync.Mutex // guards the fields below it
	moves    map[string]room.Verb
	said     map[string]uint64 // sequences of messages, by their text
	longest  time.Duration
	answers  int
	refused  int // BUSY or UNAVAILABLE, and sent again
	unheard  int // requests without an answer, sent again
	longestV string
}

var rollingRooms = []string{"roll-0", "roll-1"}

// Three instances, and then the three servers of their cluster in lame duck mode, are replaced
// one by one while people enter, talk and leave. Whatever was answered is there, once, each answer
// comes in time, and all who listen hear of every fact and message once.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	nodes := roomtest.Cluster(t, 3, func(o *server.Options) {
		o.LameDuckGracePeriod, o.LameDuckDuration = 500*time.Millisecond, time.Second
	})
	w := &rolling{world: callerOf(t, all(nodes)), nodes: nodes, moves: map[string]room.Verb{}, said: map[string]uint64{}}
	rounds, users := 1, 6
	if long {
		rounds, users = 5, 48
	}
	for n := range nodes {
		w.instances = append(w.instances, w.instance(n))
	}
	for _, id := range rollingRooms {
		w.Create(id, 3600, "host")
	}
	ears := []*ear{w.listen(rollingRooms[0]), w.listen(rollingRooms[1])}
	ctx, stop := context.WithCancel(w.Ctx)
	var group sync.WaitGroup
	for n := range users {
		group.Go(func() { w.visit(ctx, n) })
	}
	for range rounds {
		w.roll()
	}
	stop()
	group.Wait()
	roomtest.Figure(t, "%d answers, the longest after %v (%s); %d refused and %d unanswered for the time being", w.answers, w.longest, w.longestV, w.refused, w.unheard)
	if w.answers < 100 {
		t.Errorf("there were only %d answers", w.answers)
	}
	w.allThere()
	for _, e := range ears {
		e.compare(w)
	}
	w.Check()
}

// all is the addresses of all nodes.
func all(nodes []*roomtest.Node) string {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.ClientURL())
	}
	return strings.Join(urls, ",")
}

// instance starts the n-th instance, at the n-th node as long as that is there.
func (w *rolling) instance(n int) *instance {
	w.T.Helper()
	return w.StartAt(w.nodes[n].ClientURL()+","+all(w.nodes), roomsvc.Config{Instance: fmt.Sprint("i", n), Replicas: 3}, nats.DontRandomize(), nats.MaxReconnects(-1))
}

// roll replaces everything, one after the other.
func (w *rolling) roll() {
	w.T.Helper()
	for n, i := range w.instances {
		i.End()
		w.instances[n] = w.instance(n)
	}
	for n, node := range w.nodes {
		began := time.Now()
		node.LameDuckShutdown()
		node.WaitForShutdown()
		node.Start()
		node.WaitCurrent()
		w.Until(patience, "the streams to be current", func() bool {
			for _, stream := range subjects.Streams {
				if !node.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
					return false
				}
			}
			return true
		})
		w.T.Logf("server %d was replaced in %v", n, time.Since(began))
	}
}

// visit comes, says something and goes, again and again.
func (w *rolling) visit(ctx context.Context, n int) {
	nc, err := nats.Connect(all(w.nodes), nats.MaxReconnects(-1), nats.ReconnectWait(look), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		w.T.Error(err)
		return
	}
	defer nc.Close()
	c := client.New(nc, client.Config{Once: true, Timeout: 12 * time.Second})
	user := fmt.Sprint("guest-", n)
	for visit := 0; ctx.Err() == nil; visit++ {
		id := rollingRooms[visit%len(rollingRooms)]
		by := func(what room.Verb) room.Caller { return as(user, fmt.Sprintf("%s-%s-%d", what, user, visit)) }
		w.until(room.Enter, by(room.Enter), func(q room.Caller) error {
			_, err := c.Enter(w.Ctx, room.CreateRequest{Caller: q, RoomID: id})
			return err
		})
		w.until(room.Send, by(room.Send), func(q room.Caller) error {
			r, err := c.Send(w.Ctx, room.SendRequest{Caller: q, RoomID: id, Type: string(events.Text), Data: q.RequestID})
			if err == nil {
				w.mu.Lock()
				w.said[q.RequestID] = r.MessageSeq
				w.mu.Unlock()
			}
			return err
		})
		w.until(room.Leave, by(room.Leave), func(q room.Caller) error {
			_, err := c.Leave(w.Ctx, room.RoomRequest{Caller: q, RoomID: id})
			return err
		})
	}
}

// until sends a request until it is known what became of it.
func (w *rolling) until(verb room.Verb, q room.Caller, send func(room.Caller) error) {
	for w.Ctx.Err() == nil {
		began := time.Now()
		err := send(q)
		took := time.Since(began)
		var refused *room.Error
		answered := err == nil || errors.As(err, &refused)
		if answered && !w.late.Within(took, answerBy, began) {
			w.T.Errorf("%s is answered after %v: %v", verb, took, err)
		}
		w.mu.Lock()
		switch {
		case !answered:
			w.unheard++
		case open(err):
			w.refused++
		}
		if answered {
			if w.answers++; took > w.longest {
				w.longest, w.longestV = took, string(verb)
			}
		}
		if err == nil {
			w.moves[q.RequestID] = verb
		}
		w.mu.Unlock()
		if answered && !open(err) {
			if err != nil {
				w.T.Errorf("%s of %s: %v", verb, q.UserID, err)
			}
			return
		}
	}
}

// allThere checks that what was answered was stored, once.
func (w *rolling) allThere() {
	w.T.Helper()
	joined, left := map[string]int{}, map[string]int{}
	for _, f := range w.Facts() {
		for _, j := range f.Joined {
			joined[j.RequestID]++
		}
		for _, l := range f.Left {
			left[l.RequestID]++
		}
	}
	for id, verb := range w.moves {
		if n := map[room.Verb]int{room.Enter: joined[id], room.Leave: left[id], room.Send: 1}[verb]; n != 1 {
			w.T.Errorf("%s is in the journal %d times", id, n)
		}
	}
	stored := map[string]uint64{}
	for _, m := range w.messages(subjects.StreamMessages) {
		said, err := events.DecodeMessage(m.Data)
		if err != nil {
			continue // a marker
		}
		if stored[said.Data] != 0 {
			w.T.Errorf("%s is stored at %d and at %d", said.Data, stored[said.Data], m.Sequence)
		}
		stored[said.Data] = m.Sequence
	}
	for text, at := range w.said {
		if stored[text] != at {
			w.T.Errorf("%s was stored at %d, and is at %d", text, at, stored[text])
		}
	}
}

// ear is somebody who listens to a room, on a connection of its own.
type ear struct {
	room        string
	first, last atomic.Uint64 // sequences of facts
	mu          sync.Mutex    // guards heard
	heard       map[string]int
	over        chan struct{} // closed when both streams have ended
}

// listen begins to listen, until the last word.
func (w *rolling) listen(id string) *ear {
	w.T.Helper()
	e := &ear{room: id, heard: map[string]int{}, over: make(chan struct{})}
	nc, err := nats.Connect(all(w.nodes), nats.MaxReconnects(-1), nats.ReconnectWait(look), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(nc.Close)
	c := client.New(nc, client.Config{Timeout: 2 * time.Second})
	ctx, cancel := context.WithCancel(w.Ctx)
	var group sync.WaitGroup
	begun := make(chan struct{}, 2)
	group.Go(func() { e.watch(w, c, begun) })
	group.Go(func() {
		told := false
		note := func(n client.Note) {
			if n.Kind == client.NoteListening && !told {
				told = true
				begun <- struct{}{}
			}
		}
		for h, err := range c.Messages(ctx, client.MessagesRequest{RoomID: id, Note: note}) {
			if err != nil {
				w.T.Errorf("listening to %s ends with %v", id, err)
				return
			}
			e.mu.Lock()
			e.heard[h.Message.Data]++
			e.mu.Unlock()
			if h.Message.Data == lastWord {
				return
			}
		}
	})
	go func() { group.Wait(); cancel(); close(e.over) }()
	w.T.Cleanup(func() { cancel(); <-e.over })
	for range 2 {
		select {
		case <-begun:
		case <-w.Ctx.Done():
			w.T.Fatalf("nobody listens to %s", id)
		}
	}
	return e
}

// watch checks that facts come once and in order, until the last word.
func (e *ear) watch(w *rolling, c *client.Client, begun chan<- struct{}) {
	for u, err := range c.Watch(w.Ctx, client.WatchRequest{RoomID: e.room}) {
		switch {
		case err != nil || u.Roster == nil:
			w.T.Errorf("watching %s ends with %v", e.room, err)
			return
		case e.first.Load() == 0:
			e.first.Store(u.Roster.Sequence())
			begun <- struct{}{}
		case u.Fresh != "" || u.Fact == nil || u.Fact.Sequence != e.last.Load()+1:
			w.T.Errorf("after %d of %s comes %d (fresh %q)", e.last.Load(), e.room, u.Roster.Sequence(), u.Fresh)
			return
		}
		e.last.Store(u.Roster.Sequence())
		if _, over := u.Roster.Room().Attributes[lastWord]; over {
			return
		}
	}
}

// compare says the last word, and compares what was heard with what is stored.
func (e *ear) compare(w *rolling) {
	w.T.Helper()
	w.Ask("setAttributes", fmt.Sprintf(`{"roomID":%q,"userID":"host","set":{%q:"yes"},"isForce":true}`, e.room, lastWord))
	w.Ask("send", fmt.Sprintf(`{"roomID":%q,"userID":"host","type":"text","data":%q}`, e.room, lastWord))
	select {
	case <-e.over:
	case <-time.After(patience):
		w.T.Fatalf("the last word of %s is not heard", e.room)
	}
	if at := w.Get(e.room).Sequence; e.last.Load() != at {
		w.T.Errorf("of %s facts up to %d are heard, and there are %d", e.room, e.last.Load(), at)
	}
	stored := 0
	for _, m := range w.messages(subjects.StreamMessages) {
		said, err := events.DecodeMessage(m.Data)
		if err != nil || string(said.Room) != e.room {
			continue
		}
		if stored++; e.heard[said.Data] != 1 {
			w.T.Errorf("%s is heard %d times", said.Data, e.heard[said.Data])
		}
	}
	if stored != len(e.heard) || stored < 10 {
		w.T.Errorf("in %s %d messages are stored, %d are heard", e.room, stored, len(e.heard))
	}
}
