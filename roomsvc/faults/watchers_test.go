package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// crowd is many watchers, on connections that lose and delay copies and break. Their rooms
// change all the time, and the instances of the service die.
type crowd struct {
	*world
	size
	rooms    []string
	watchers []*watcher
	links    []*link

	done, dead, recovered, fresh atomic.Int64
}

// size is how much of everything there is in the test.
type size struct {
	watchers, perLink, workers int
	changes, kills             int64
	odds                       int           // one copy in so many is lost, one is late
	timeout                    time.Duration // of one attempt
}

var (
	short = size{watchers: 40, perLink: 4, workers: 16, changes: 2000, kills: 3, odds: 100, timeout: time.Second}
	// middle is for the race detector, under which so many watchers decode ten times slower than
	// the service commits.
	middle = size{watchers: 100, perLink: 5, workers: 32, changes: 10_000, kills: 10, odds: 300, timeout: 5 * time.Second}
	full   = size{watchers: 500, perLink: 5, workers: 256, changes: 50_000, kills: 20, odds: 1000, timeout: 5 * time.Second}
)

// link is the connection of some watchers.
type link struct {
	worlds.Wire
	nc   *nats.Conn
	slow sync.RWMutex // held for writing: its watchers take nothing

	cuts, waits atomic.Int64
}

func (l *link) wait() {
	if !l.slow.TryRLock() {
		l.waits.Add(1)
		l.slow.RLock()
	}
	l.slow.RUnlock()
}

func (l *link) cut() {
	if l.Cut() {
		l.cuts.Add(1)
	}
}

// watcher is one of the crowd, and what it has seen.
type watcher struct {
	*link
	room   string
	roster string // at the end
	room0  string
}

// lastWord is the attribute that ends the test.
const lastWord = "over"

// It does not run in parallel: it keeps the machine busy enough.
func TestCrowdOfWatchers(t *testing.T) {
	w := anotherWorld(t)
	c := &crowd{world: w, size: short}
	if long {
		if c.size = full; racing {
			c.size = middle
		}
	}
	instances := []*instance{c.instance(0), c.instance(1)}
	for n := range 5 {
		id := fmt.Sprintf("room-%d", n)
		w.Create(id, 3600)
		c.rooms = append(c.rooms, id)
	}
	p := newProxy(t, w.Node.ClientURL())
	p.toClient.Store(only(func(*frame) fate {
		switch rand.IntN(c.odds) {
		case 0:
			return fate{lose: true}
		case 1:
			return fate{hold: rand.N(20 * time.Millisecond)}
		}
		return fate{}
	}, func(f *frame) bool { return strings.HasPrefix(f.subject, factsOf) }))
	var watching sync.WaitGroup
	for n := range c.size.watchers {
		if n%c.perLink == 0 {
			c.links = append(c.links, c.link(p.url))
		}
		v := &watcher{link: c.links[len(c.links)-1], room: c.rooms[n%len(c.rooms)]}
		c.watchers = append(c.watchers, v)
		watching.Go(func() { c.watch(v) })
	}
	over, stop := context.WithCancel(w.Ctx)
	var trouble, work sync.WaitGroup
	trouble.Go(c.disturb)
	trouble.Go(func() { c.die(instances) })
	for range c.workers {
		work.Go(func() {
			for over.Err() == nil && !t.Failed() {
				c.change()
			}
		})
	}
	trouble.Wait()
	c.reach(c.changes)
	stop()
	work.Wait()
	for _, id := range c.rooms {
		w.Join(id, "root")
		if _, err := c.patient().SetAttributes(w.Ctx, room.SetAttributesRequest{Caller: as("root", ""), RoomID: id, Set: map[string]string{lastWord: ""}, IsForce: true}); err != nil {
			t.Fatal(err)
		}
	}
	watching.Wait()
	if !t.Failed() {
		c.tried()
		c.compare()
	}
	roomtest.Figure(t, "%d watchers, %d changes, %d cuts, %d kills, %d copies lost and %d late, %d facts recovered, %d fresh snapshots",
		len(c.watchers), c.done.Load(), c.cuts(), c.dead.Load(), p.lost.Load(), p.held.Load(), c.recovered.Load(), c.fresh.Load())
}

func (c *crowd) patient() *client.Client {
	return client.New(c.NC, client.Config{Timeout: c.timeout})
}

func (c *crowd) instance(n int) *instance {
	return c.Start(roomsvc.Config{Instance: fmt.Sprintf("i%d", n)}, nats.NoReconnect())
}

func (c *crowd) link(url string) *link {
	l := &link{}
	var err error
	l.nc, err = nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(look), nats.ReconnectJitter(0, look), nats.IgnoreDiscoveredServers(),
		nats.SetCustomDialer(&l.Wire), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(l.nc.Close)
	return l
}

// watch checks that facts come once and in order after the snapshot that it begins with, up
// to the last one. All facts are kept, so no other snapshot may take the place of one.
func (c *crowd) watch(v *watcher) {
	at, begun := uint64(0), false
	rooms := client.New(v.nc, client.Config{Timeout: c.timeout})
	for u, err := range rooms.Watch(c.Ctx, client.WatchRequest{RoomID: v.room, Every: 2 * time.Second}) {
		if err != nil {
			c.T.Errorf("a watcher of %s ends at %d: %v", v.room, at, err)
			return
		}
		switch {
		case u.Roster == nil:
			c.T.Errorf("%s ends", v.room)
			return
		case !begun && u.Fresh != client.FreshStart || begun && u.Fresh != "":
			c.T.Errorf("after %d of %s the roster is fresh (%q) at %d", at, v.room, u.Fresh, u.Roster.Sequence())
			return
		case begun && (u.Fact == nil || u.Fact.Sequence != at+1 || u.Roster.Sequence() != at+1):
			c.T.Errorf("%d of %s comes after %d", u.Roster.Sequence(), v.room, at)
			return
		case u.Fresh != "":
			c.fresh.Add(1)
		case u.Recovered:
			c.recovered.Add(1)
		}
		at, begun = u.Roster.Sequence(), true
		v.link.wait()
		if _, over := u.Roster.Room().Attributes[lastWord]; over {
			v.roster, v.room0 = c.json(slices.Collect(u.Roster.All())), c.plain(u.Roster.Room().Attributes, at)
			return
		}
	}
}

func (c *crowd) json(v any) string {
	out, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		c.T.Error(err)
	}
	return string(out)
}

func (c *crowd) plain(attributes map[string]string, at uint64) string {
	return fmt.Sprint(at, " ", c.json(attributes))
}

// change does one thing in one room.
func (c *crowd) change() {
	user, id := fmt.Sprintf("u%d", rand.IntN(300)), c.rooms[rand.IntN(len(c.rooms))]
	who := room.Caller{UserID: user, SessionID: fmt.Sprintf("s%d", rand.IntN(2))}
	by, err := c.patient(), error(nil)
	switch rand.IntN(6) {
	case 0, 1:
		_, err = by.Enter(c.Ctx, room.CreateRequest{Caller: who, RoomID: id})
	case 2:
		_, err = by.Leave(c.Ctx, room.RoomRequest{Caller: who, RoomID: id})
	case 3:
		_, err = by.Switch(c.Ctx, room.SwitchRequest{Caller: who, FromRoomID: id, ToRoomInfo: room.RoomInfo{RoomID: c.rooms[0]}})
	case 4:
		_, err = by.SetAttributes(c.Ctx, room.SetAttributesRequest{Caller: who, RoomID: id, Set: map[string]string{fmt.Sprint("k", rand.IntN(20)): user}, IsForce: true})
	default:
		_, err = by.SetMemberAttributes(c.Ctx, room.SetMemberAttributesRequest{Caller: who, RoomID: id, UserIDs: []string{user}, Attributes: map[string]string{"hand": user}})
	}
	switch {
	case err == nil:
		c.done.Add(1)
	case errors.Is(err, room.ErrUserNotInRoom), errors.Is(err, room.ErrParamInvalid), errors.Is(err, room.ErrRoomNotExist):
	default:
		c.T.Errorf("a change: %v", err)
	}
}

// reach waits until so many changes are done. It is false if waiting has become pointless.
func (c *crowd) reach(changes int64) bool {
	return c.wait(func() bool { return c.done.Load() >= changes })
}

func (c *crowd) wait(ok func() bool) bool {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-c.Ctx.Done():
			return false
		}
		if c.T.Failed() {
			return false
		}
	}
	return true
}

// disturb breaks each connection once, and makes its watchers slow once, in any order.
func (c *crowd) disturb() {
	cut, slow := rand.Perm(len(c.links)), rand.Perm(len(c.links))
	pace := c.changes / int64(2*len(c.links)+1)
	for n := range c.links {
		at := int64(2*n+1) * pace
		if !c.reach(at) {
			return
		}
		c.links[cut[n]].cut()
		if !c.reach(at + pace) {
			return
		}
		l := c.links[slow[n]]
		before := l.waits.Load()
		l.slow.Lock()
		_ = c.reach(at+2*pace) && c.wait(func() bool { return l.waits.Load() > before })
		l.slow.Unlock()
	}
}

// die kills one of two instances now and then, and starts another.
func (c *crowd) die(alive []*instance) {
	for n := range c.kills {
		if !c.reach((n + 1) * c.changes / (c.kills + 1)) {
			return
		}
		alive[n%2].Kill()
		c.dead.Add(1)
		next, err := c.Open(roomsvc.Config{Instance: fmt.Sprintf("i%d", n+2)}, nats.NoReconnect())
		if err != nil {
			c.T.Errorf("starting another instance: %v", err)
			return
		}
		c.T.Cleanup(next.End)
		alive[n%2] = next
	}
}

func (c *crowd) cuts() (n int64) {
	for _, l := range c.links {
		n += l.cuts.Load()
	}
	return n
}

// tried checks that none of this was left out.
func (c *crowd) tried() {
	for n, l := range c.links {
		if cuts, back, waits := l.cuts.Load(), l.nc.Stats().Reconnects, l.waits.Load(); cuts == 0 || back == 0 || waits == 0 {
			c.T.Errorf("link %d was cut %d times and came back %d times; its watchers were slow %d times", n, cuts, back, waits)
		}
	}
	if c.dead.Load() != c.kills || c.recovered.Load() == 0 || c.fresh.Load() != int64(len(c.watchers)) {
		c.T.Errorf("%d of %d instances were killed; %d watchers recovered %d facts and had %d fresh snapshots",
			c.dead.Load(), c.kills, len(c.watchers), c.recovered.Load(), c.fresh.Load())
	}
}

// compare compares what each watcher saw last with what the service answers.
func (c *crowd) compare() {
	rooms, rosters := map[string]string{}, map[string]string{}
	for _, id := range c.rooms {
		now := c.Get(id)
		rooms[id] = c.plain(now.Room.Attributes, now.Sequence)
		var members []room.MemberInfo
		for next := ""; ; {
			page, err := c.Client.Members(c.Ctx, room.MembersRequest{RoomID: id, Page: room.Page{NextFlag: next}, Freshness: room.Freshness{MinRevision: now.Revision}})
			if err != nil {
				c.T.Fatal(err)
			}
			members = append(members, page.MemberList...)
			if next = page.NextFlag; next == "" {
				break
			}
		}
		rosters[id] = c.json(members)
	}
	for _, v := range c.watchers {
		if v.room0 != rooms[v.room] || v.roster != rosters[v.room] {
			c.T.Errorf("a watcher of %s has\n%s\n%s\nthe service has\n%s\n%s", v.room, v.room0, v.roster, rooms[v.room], rosters[v.room])
			return
		}
	}
}
