package faults_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// neighbours are two servers, each with a JetStream of its own, that a leaf node can join.
type neighbours struct {
	*testing.T
	hub, leaf *world
	door      *roomtest.Node // that the leaf node comes to
	open      atomic.Bool
}

func newNeighbours(t *testing.T, domains ...string) *neighbours {
	t.Helper()
	t.Parallel()
	hub := roomtest.Start(t, func(o *server.Options) { o.ServerName = "hub" }, asHub(domains[0]))
	return between(t, hub, hub, domains[1])
}

// asHub lets leaf nodes come.
func asHub(domain string) roomtest.Option {
	return func(o *server.Options) {
		o.JetStreamDomain = domain
		o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", server.RANDOM_PORT
	}
}

// between has the leaf node come to another server of the hub than the one that stores rooms.
func between(t *testing.T, hub, door *roomtest.Node, domain string) *neighbours {
	t.Helper()
	n := &neighbours{T: t, door: door}
	bridge, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bridge.Close() })
	varz, err := door.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	go n.bridge(bridge, fmt.Sprintf("127.0.0.1:%d", varz.LeafNode.Port))
	leaf := roomtest.Start(t, func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "leaf", domain
		o.LeafNode.ReconnectInterval = worlds.Look
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats", Host: bridge.Addr().String()}}}}
	})
	n.hub, n.leaf = broken(worlds.On(t, hub)), broken(worlds.On(t, leaf))
	return n
}

// bridge passes the leaf node's connection on to the hub, once it is open.
func (n *neighbours) bridge(l net.Listener, hub string) {
	for {
		leaf, err := l.Accept()
		if err != nil {
			return
		}
		if !n.open.Load() {
			_ = leaf.Close()
			continue
		}
		to, err := net.Dial("tcp", hub)
		if err != nil {
			_ = leaf.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{leaf, to}, {to, leaf}} {
			go func() {
				_, _ = io.Copy(way[0], way[1])
				_, _ = leaf.Close(), to.Close()
			}()
		}
	}
}

// join joins the two servers.
func (n *neighbours) join() {
	n.Helper()
	n.open.Store(true)
	n.hub.Until(patience, "the leaf node to be joined", func() bool { return n.door.NumLeafNodes() == 1 && n.leaf.Node.NumLeafNodes() == 1 })
	// What is wanted on one side is known on the other.
	crossed, err := n.leaf.NC.SubscribeSync("crossed")
	if err != nil {
		n.Fatal(err)
	}
	n.hub.Until(patience, "messages to cross", func() bool {
		if err := n.hub.NC.Publish("crossed", nil); err != nil {
			n.Fatal(err)
		}
		_, err := crossed.NextMsg(look)
		return err == nil
	})
}

// both says that an error names both journals.
func (n *neighbours) both(what string, err error, domains ...string) {
	n.Helper()
	if err == nil || !strings.Contains(err.Error(), journal.ErrRival.Error()) {
		n.Fatalf("%s: %v", what, err)
	}
	for _, domain := range domains {
		if !strings.Contains(err.Error(), domain) {
			n.Errorf("%s: %v; want %q in it", what, err, domain)
		}
	}
}

// ends waits until an instance ends on its own, and returns why.
func (n *neighbours) ends(i *instance) error {
	n.Helper()
	select {
	case <-i.Done():
		return i.Err()
	case <-time.After(patience):
		n.Fatalf("it goes on; ready: %v", i.Check(n.Context()))
		return nil
	}
}

// An instance does not start where another JetStream domain in reach has a journal, and does
// not harm the one that was there before.
func TestSecondJournalAtTheStart(t *testing.T) {
	n := newNeighbours(t, "hub", "leaf")
	n.join()
	n.hub.Start(roomsvc.Config{})
	for range 2 {
		_, err := n.leaf.Open(roomsvc.Config{})
		if !errors.Is(err, journal.ErrElsewhere) || !strings.Contains(err.Error(), `ROOMS in the JetStream domain "hub"`) || !strings.Contains(err.Error(), "--js-domain hub") {
			n.Errorf("starting a second one: %v", err)
		}
	}
	n.noJournal(n.leaf)
	n.hub.Join(n.hub.Create("lobby", 60).Room.RoomID, "alice")
	n.hub.Check()
}

// The same where neither has a domain: whoever starts a second one is not told to name a domain.
func TestSecondJournalAtTheStartWithoutDomains(t *testing.T) {
	n := newNeighbours(t, "", "")
	n.join()
	n.hub.Start(roomsvc.Config{})
	_, err := n.leaf.Open(roomsvc.Config{})
	if !errors.Is(err, journal.ErrElsewhere) || !strings.Contains(err.Error(), "Connect to a server that has that JetStream") {
		n.Errorf("starting a second one: %v", err)
	}
	n.noJournal(n.leaf)
	n.hub.Join(n.hub.Create("lobby", 60).Room.RoomID, "alice")
	n.hub.Check()
}

// noJournal checks that nothing was made there.
func (n *neighbours) noJournal(w *world) {
	n.Helper()
	for name := range w.JS.StreamNames(n.Context()).Name() {
		n.Errorf("it made %s", name)
	}
}

// Neither of two deployments starts when they have been joined while both were stopped.
func TestSecondJournalBetweenStarts(t *testing.T) {
	n := newNeighbours(t, "hub", "leaf")
	for _, w := range []*world{n.hub, n.leaf} {
		w.Start(roomsvc.Config{}).EndAfter(func() { w.Create("lobby", 60) })
	}
	n.join()
	for _, w := range []*world{n.hub, n.leaf} {
		_, err := w.Open(roomsvc.Config{})
		n.both("starting", err, `"hub"`, `"leaf"`)
	}
}

// Two deployments are joined while they run, and each finds the other one's journal: at once if
// something is appended, and soon if nothing is.
func TestSecondJournalWhileRunning(t *testing.T) {
	for name, command := range map[string]bool{"by an append": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			n := newNeighbours(t, "hub", "leaf")
			instances := []*instance{n.hub.Start(roomsvc.Config{}), n.leaf.Start(roomsvc.Config{})}
			for _, w := range []*world{n.hub, n.leaf} {
				w.Create("lobby", 3600, "alice")
			}
			n.join()
			if command { // whether it is answered depends on whose acknowledgement comes first
				_, _ = n.hub.Client.Enter(n.hub.Ctx, room.CreateRequest{Caller: as("bob", ""), RoomID: "side"})
			}
			for _, i := range instances {
				n.both("joined while it ran", n.ends(i), `"hub"`, `"leaf"`)
			}
			for _, w := range []*world{n.hub, n.leaf} {
				_, err := w.Open(roomsvc.Config{})
				n.both("starting again", err, `"hub"`, `"leaf"`)
			}
		})
	}
}

// The same where neither has a domain, so that only the second acknowledgement tells.
func TestSecondJournalWithoutDomains(t *testing.T) {
	n := newNeighbours(t, "", "")
	i := n.hub.Start(roomsvc.Config{})
	n.leaf.Start(roomsvc.Config{})
	n.join()
	n.both("joined while it ran", n.ends(i), "without a JetStream domain")
}

// The same where the way to the other journal leads through a leaf node and a gateway.
func TestSecondJournalBehindAGateway(t *testing.T) {
	for name, running := range map[string]bool{"at the start": false, "while running": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hubs := roomtest.Gateways(t, roomtest.System, asHub("hub"))
			n := between(t, hubs[0], hubs[1], "leaf")
			i := n.hub.Start(roomsvc.Config{})
			if !running {
				n.join()
				_, err := n.leaf.Open(roomsvc.Config{})
				if !errors.Is(err, journal.ErrElsewhere) || !strings.Contains(err.Error(), `ROOMS in the JetStream domain "hub"`) {
					n.Errorf("starting a second one: %v", err)
				}
				n.noJournal(n.leaf)
				n.hub.Join(n.hub.Create("lobby", 60).Room.RoomID, "alice")
				n.hub.Check()
				return
			}
			instances := []*instance{i, n.leaf.Start(roomsvc.Config{})}
			n.join()
			for _, i := range instances {
				n.both("joined while it ran", n.ends(i), `"hub"`, `"leaf"`)
			}
		})
	}
}
