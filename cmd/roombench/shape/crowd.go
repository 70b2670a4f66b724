package shape

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Crowd is clients and listeners in rooms, for one piece of work.
type Crowd struct {
	cfg       Config
	at        *names
	clients   []*client
	listeners []*listener
	hearing   sync.WaitGroup
	failure   atomic.Pointer[error] // of one that only hears
	closing   atomic.Bool
}

// Gather makes the listeners enter every room, and the clients connect. The rooms exist; their
// names are prefix, a dash and a number.
func Gather(cfg Config, prefix string, rooms, clients, listeners int) (*Crowd, error) {
	c := &Crowd{cfg: cfg, at: cfg.names(prefix, rooms)}
	for i := range listeners {
		l, err := newListener(&c.cfg, c.at, fmt.Sprintf("l%d", i), clients)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.listeners = append(c.listeners, l)
	}
	var err error
	c.clients, err = dialAll(clients, func(i int) (*client, error) { return newClient(&c.cfg, c.at, i, 0) }, func(l *client) { l.Close() })
	if err != nil {
		c.Close()
		return nil, err
	}
	for _, l := range c.listeners {
		c.keepHearing(l.peer)
	}
	return c, nil
}

// Close ends all connections, and returns when nobody hears anything any more.
func (c *Crowd) Close() {
	c.closing.Store(true)
	c.hangUp()
	c.hearing.Wait()
}

func (c *Crowd) hangUp() { hangUp(c.peers()) }

func (c *Crowd) peers() (all []*peer) {
	for _, l := range c.listeners {
		all = append(all, l.peer)
	}
	for _, l := range c.clients {
		all = append(all, l.peer)
	}
	return all
}

// keepHearing hears for somebody who has nothing else to do.
func (c *Crowd) keepHearing(p *peer) {
	c.hearing.Go(func() {
		err := p.drain()
		if !c.closing.Load() && c.failure.CompareAndSwap(nil, &err) {
			c.hangUp() // which ends the run
		}
	})
}

// all lets every client do its work, after which it only hears.
func (c *Crowd) all(ctx context.Context, progress func() int64, work func(*client) error) error {
	stop := func() {
		c.closing.Store(true) // what the others say from now on is only that they were cut
		c.hangUp()
	}
	err := together(ctx, len(c.clients), progress, stop, func(i int) error { return work(c.clients[i]) })
	if failure := c.failure.Load(); failure != nil {
		return *failure
	}
	if err != nil {
		return err
	}
	for _, l := range c.clients {
		c.keepHearing(l.peer)
	}
	return nil
}

func (c *Crowd) heard(of func(*peer) int64) (n int64) {
	for _, p := range c.peers() {
		n += of(p)
	}
	return n
}

func (c *Crowd) entries() int64 { return c.heard(func(p *peer) int64 { return p.entries.Load() }) }

// newest is the newest fact of each room, as the answers say.
func (c *Crowd) newest() []uint64 {
	newest := make([]uint64, len(c.at.rooms))
	for _, l := range c.listeners {
		for r, since := range l.since {
			newest[r] = max(newest[r], since)
		}
	}
	for _, l := range c.clients {
		for _, s := range l.stays {
			newest[s.room] = max(newest[s.room], s.since, s.last)
		}
	}
	return newest
}

// check ends the connections and checks what was heard against what was acknowledged and what
// the service says now. It adds to m what only then is known.
func (c *Crowd) check(newest []uint64, t Truth, m *Measured) error {
	for r, name := range c.at.rooms {
		roster, err := t.Roster(name)
		if err == nil && roster.Sequence != newest[r] {
			err = fmt.Errorf("%s is at fact %d, and the last one that was acknowledged is %d", name, roster.Sequence, newest[r])
		}
		if err == nil && c.cfg.Plain == nil {
			err = c.checkRoster(r, roster)
		}
		if err != nil {
			return err
		}
	}
	c.Close()
	if failure := c.failure.Load(); failure != nil {
		return *failure
	}
	for _, l := range c.listeners {
		n, err := l.complete(newest, c.clients, t)
		if err != nil {
			return err
		}
		m.History += n
	}
	for _, l := range c.clients {
		n, err := l.complete(newest)
		if err != nil {
			return err
		}
		m.History += n
	}
	m.Copies = int(c.heard(func(p *peer) int64 { return p.copies.Load() }))
	return nil
}

// checkRoster checks that those are in a room whose answers say so.
func (c *Crowd) checkRoster(r int, roster Roster) error {
	var want []string
	for _, l := range c.listeners {
		want = append(want, l.user)
	}
	for _, l := range c.clients {
		if l.in == r {
			want = append(want, l.user)
		}
	}
	slices.Sort(want)
	have := slices.Sorted(slices.Values(roster.Users))
	if slices.Equal(want, have) {
		return nil
	}
	return fmt.Errorf("%d users are in %s as the answers say, and members says %d: %s", len(want), c.at.rooms[r], len(have), difference(want, have))
}

// difference names one who is in only one of two sorted lists.
func difference(want, have []string) string {
	for _, u := range want {
		if _, ok := slices.BinarySearch(have, u); !ok {
			return u + " is missing"
		}
	}
	for _, u := range have {
		if _, ok := slices.BinarySearch(want, u); !ok {
			return u + " should not be there"
		}
	}
	return "somebody is there twice"
}

// quiet waits until everybody has heard the rooms' newest facts, or no more of them come.
func (c *Crowd) quiet(ctx context.Context, newest []uint64) error {
	patience := answerWithin
	if c.cfg.Feeds {
		patience = feedsWithin
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		missing := c.missing(newest)
		switch now := time.Now(); {
		case missing == 0 || c.failure.Load() != nil:
			return nil
		case missing != last:
			last, since = missing, now
		case now.Sub(since) > patience:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// missing is how many facts somebody should still hear.
func (c *Crowd) missing(newest []uint64) (n int64) {
	for _, l := range c.listeners {
		n += max(0, l.want(newest)-l.copies.Load())
	}
	for _, l := range c.clients {
		n += max(0, l.missing(newest))
	}
	return n
}
