package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/subjects"
)

// fanoutRooms is how many rooms have an audience, so that as many facts are in flight.
const fanoutRooms = 8

// fanout measures facts of rooms with many subscribers each.
func (b *bench) fanout(run string) (Result, error) {
	if err := b.make(run, fanoutRooms); err != nil {
		return Result{}, err
	}
	r, err := b.live(run, subjects.Facts, func(w, i int) error { return b.join(w, roomName(run, w), userName(i), nil) })
	r.Facts = r.Ops / b.Subscribers
	return r, err
}

// messagesFanout measures messages of rooms with many subscribers each.
func (b *bench) messagesFanout(run string) (Result, error) {
	if err := b.make(run, fanoutRooms); err != nil {
		return Result{}, err
	}
	if _, err := b.each(fanoutRooms, fanoutRooms, func(w, i int) error { return b.join(w, roomName(run, i), userName(i), nil) }); err != nil {
		return Result{}, err
	}
	return b.live(run, subjects.Messages, func(w, _ int) error { return b.send(w, roomName(run, w), userName(w), nil) })
}

// live measures what rooms with many subscribers each hear on heardAt, compared with the
// same bytes published with plain NATS. Both keep the same number in flight. cause is a
// worker's next command, to a room of its own, which everybody there hears about once.
func (b *bench) live(run string, heardAt func(subjects.Room) string, cause func(worker, i int) error) (Result, error) {
	n := b.Count / 30
	heard, inboxes := make([]string, fanoutRooms), make([]string, fanoutRooms)
	for i := range heard {
		heard[i], inboxes[i] = heardAt(subjects.Room(roomName(run, i))), nats.NewInbox()
	}
	var copies []*nats.Msg
	live, err := b.hear(n, n, func(i int) string { return heard[i/b.Subscribers] }, &copies, cause)
	if err != nil {
		return Result{}, err
	}
	raw, err := b.listen(func(i int) string { return inboxes[i/b.Subscribers] }, nil)
	if err != nil {
		return Result{}, err
	}
	defer raw.close()
	began := time.Now()
	for i, m := range copies {
		if i >= fanoutRooms {
			if err := raw.heard(1); err != nil {
				return Result{}, err
			}
		}
		if err := b.conns[0].PublishMsg(&nats.Msg{Subject: inboxes[i%fanoutRooms], Header: m.Header, Data: m.Data}); err != nil {
			return Result{}, err
		}
	}
	if err := raw.heard(min(fanoutRooms, n)); err != nil {
		return Result{}, err
	}
	return compared(live, timing{n: live.n, seconds: time.Since(began).Seconds()}, "fanout-raw"), nil
}

// hear measures n commands, each of which everybody in its worker's room hears about once.
// At most ahead of them have not yet reached everybody.
func (b *bench) hear(n, ahead int, subject func(subscriber int) string, copies *[]*nats.Msg, cause func(worker, i int) error) (timing, error) {
	all, err := b.listen(subject, copies)
	if err != nil {
		return timing{}, err
	}
	defer all.close()
	began := time.Now()
	// One worker per room, so every join is a fact of its own.
	_, err = b.each(n, fanoutRooms, func(w, i int) error {
		if i >= ahead {
			if err := all.heard(1); err != nil {
				return err
			}
		}
		return cause(w, i)
	})
	if err != nil {
		return timing{}, err
	}
	if err := all.heard(min(n, ahead)); err != nil {
		return timing{}, err
	}
	return timing{n: n * b.Subscribers, seconds: time.Since(began).Seconds()}, nil
}

// audience is many subscribers of one subject.
type audience struct {
	conns []*nats.Conn
	got   atomic.Int64
	whole chan struct{} // one for every message that has reached everybody
}

// listen makes the subscriptions for each room. One copy of each message goes to copies,
// unless that is nil.
func (b *bench) listen(subject func(subscriber int) string, copies *[]*nats.Msg) (*audience, error) {
	a := &audience{whole: make(chan struct{}, 1<<16)}
	for range 8 {
		nc, err := nats.Connect(b.Nats)
		if err != nil {
			a.close()
			return nil, err
		}
		a.conns = append(a.conns, nc)
	}
	var mu sync.Mutex
	for i := range b.Subscribers * fanoutRooms {
		sub, err := a.conns[i%len(a.conns)].Subscribe(subject(i), func(m *nats.Msg) {
			if i%b.Subscribers == 0 && copies != nil {
				mu.Lock()
				*copies = append(*copies, m)
				mu.Unlock()
			}
			if a.got.Add(1)%int64(b.Subscribers) == 0 {
				a.whole <- struct{}{}
			}
		})
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			a.close()
			return nil, err
		}
	}
	for _, nc := range a.conns {
		if err := nc.Flush(); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

// heard waits until n more messages have reached everybody.
func (a *audience) heard(n int) error {
	timeout := time.After(2 * requestTimeout)
	for range n {
		select {
		case <-a.whole:
		case <-timeout:
			return fmt.Errorf("only %d copies arrived, then none for %v", a.got.Load(), 2*requestTimeout)
		}
	}
	return nil
}

func (a *audience) close() {
	for _, nc := range a.conns {
		nc.Close()
	}
}
