package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/roomsvc/room"
)

// What join-beside and leave-beside do.
const (
	besideRooms   = 10
	besideRounds  = 4
	besideRate    = 5000 // messages a second
	besideTalkers = 64
	besideTick    = 2 * time.Millisecond
)

// joinBeside is one join at a time, into rooms of which one has much talk, compared with the
// same while all of them are quiet.
func (b *bench) joinBeside(run string) (Result, error) { return b.beside(run, room.Join) }

// leaveBeside does so with leaves, for which what was said before goes out first.
func (b *bench) leaveBeside(run string) (Result, error) { return b.beside(run, room.Leave) }

// beside times one of the two.
func (b *bench) beside(run string, verb room.Verb) (Result, error) {
	n := max(b.Count/30/besideRounds, 1)
	if err := b.make(run, besideRooms); err != nil {
		return Result{}, err
	}
	from, want := b.head(), map[place]struct{}{}
	enter := func(w int, at place) error {
		want[at] = struct{}{}
		return b.join(w, at.room, at.user, nil)
	}
	if _, err := b.each(besideTalkers, 1, func(w, i int) error { return enter(w, place{roomName(run, 0), talkerName(i)}) }); err != nil {
		return Result{}, err
	}
	phase := func(phase int) (timing, error) {
		where := func(i int) place { return place{roomName(run, i%besideRooms), userName(phase*n + i)} }
		t, err := b.each(n, 1, func(w, i int) error { return enter(w, where(i)) })
		if verb == room.Join || err != nil {
			return t, err
		}
		return b.each(n, 1, func(w, i int) error {
			at := where(i)
			delete(want, at)
			return b.ask(w, room.Leave, &room.RoomRequest{RoomID: at.room, Caller: room.Caller{UserID: at.user}}, nil)
		})
	}
	quiet, loud, messages, err := b.quietAndLoud(run, phase)
	if err != nil {
		return Result{}, err
	}
	r := compared(loud, quiet, "the same when quiet")
	r.Ratio = loud.at(0.5) / quiet.at(0.5)
	r.Floor = fmt.Sprintf("p50 as a multiple; less is better; beside %.0f messages/s; quiet p99 %.2f ms", messages.perSecond(), quiet.at(0.99))
	verify := b.verifyJoins
	if verb == room.Leave {
		verify = b.verifyPlaces
	}
	_, err = verify(from, want)
	return r, err
}

// quietAndLoud has quiet and loud phases by turns, so that both see the machine in the same state, and measures how much is said in the loud ones.
func (b *bench) quietAndLoud(run string, phase func(int) (timing, error)) (quiet, loud, messages timing, err error) {
	for round := range besideRounds {
		t, err := phase(2 * round)
		if err != nil {
			return quiet, loud, messages, err
		}
		quiet = quiet.and(t)
		said, err := b.while(run, func() error {
			t, err = phase(2*round + 1)
			return err
		})
		if err != nil {
			return quiet, loud, messages, err
		}
		loud, messages = loud.and(t), messages.and(said)
	}
	return quiet, loud, messages, nil
}

func talkerName(i int) string { return fmt.Sprintf("talker-%d", i) }

// while calls f while members of the first room talk, over connections of their own, and
// returns how much they said.
func (b *bench) while(run string, f func() error) (timing, error) {
	talk := &bench{Options: b.Options, ctx: b.ctx}
	defer talk.close()
	if err := talk.connect(); err != nil {
		return timing{}, err
	}
	var said atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	turns, warm, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	for i := range besideTalkers {
		wg.Go(func() {
			for range turns {
				if err := talk.send(i, roomName(run, 0), talkerName(i), nil); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				if said.Add(1) == besideRate/10 {
					close(warm)
				}
			}
		})
	}
	wg.Go(func() {
		defer close(turns)
		pace(turns, done)
	})
	<-warm
	began, before := time.Now(), said.Load()
	err := f()
	t := timing{n: int(said.Load() - before), seconds: time.Since(began).Seconds()}
	close(done)
	wg.Wait()
	if talked := failed.Load(); err == nil && talked != nil {
		err = *talked
	}
	return t, err
}

// pace hands out turns at the rate until done. Turns that nobody took in time are handed
// out later, but not all those of a long standstill: that would be louder than intended.
func pace(turns chan<- struct{}, done <-chan struct{}) {
	tick := time.NewTicker(besideTick)
	defer tick.Stop()
	began, given := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		due := int(time.Since(began).Seconds() * besideRate)
		for given = max(given, due-besideRate/20); given < due; given++ {
			select {
			case turns <- struct{}{}:
			case <-done:
				return
			}
		}
	}
}

// and is both timings combined.
func (t timing) and(u timing) timing {
	sum := timing{n: t.n + u.n, seconds: t.seconds + u.seconds, took: slices.Concat(t.took, u.took)}
	slices.Sort(sum.took)
	return sum
}
