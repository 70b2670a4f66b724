package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"natsrooms/roomsvc/room"
)

// queue is a guard with commands in its lines, and what has begun, in that order.
type queue struct {
	*testing.T
	*Guard
	now    time.Time
	begun  []string
	places map[string]*Place
}

func newQueue(t *testing.T, l room.Limits) *queue {
	g, _, _ := guarded(l)
	return &queue{t, g, time.Unix(1_700_000_000, 0), nil, map[string]*Place{}}
}

// send has a user send commands, which are called by the user and a number.
func (q *queue) send(user string, n int) {
	q.Helper()
	for range n {
		name := fmt.Sprint(user, len(q.places))
		p, e := q.Take(q.now, user, room.Get, 10)
		if e != nil {
			q.Fatal(e)
		}
		q.places[name] = p
		q.Line(p, func() { q.begun = append(q.begun, name) })
	}
}

// next begins what may begin now, and returns what that is.
func (q *queue) next() []string {
	q.begun = nil
	for q.Guard.next(false) {
	}
	return q.begun
}

// Users take turns, each with its commands in their order.
func TestUsersTakeTurns(t *testing.T) {
	q := newQueue(t, room.Limits{UserWaiting: 100})
	q.send("a", 3)
	q.send("b", 1)
	q.send("c", 2)
	if got := strings.Join(q.next(), " "); got != "a0 b3 c4 a1 c5 a2" {
		t.Error(got)
	}
}

// Of one user, no more than atWork are at work; the others follow as those are answered, or set
// aside, each once.
func TestFewAreAtWork(t *testing.T) {
	q := newQueue(t, room.Limits{UserWaiting: 100})
	q.send("a", atWork+6)
	q.send("b", 1)
	if got := q.next(); len(got) != atWork+1 || !slices.Contains(got, fmt.Sprint("b", atWork+6)) {
		t.Errorf("%d begin", len(got))
	}
	one := q.places["a0"]
	one.Aside()
	one.Aside()
	one.Done()
	one.Done()
	q.places["a1"].Done()
	if got := strings.Join(q.next(), " "); got != fmt.Sprintf("a%d a%d", atWork, atWork+1) {
		t.Errorf("after one was set aside and one answered: %s", got)
	}
	if n := q.Lined(); n != 4 {
		t.Errorf("%d wait", n)
	}
	if q.Rest(); q.Lined() != 0 || len(q.begun) != 6 {
		t.Errorf("in the end %d wait, and %q have begun", q.Lined(), q.begun)
	}
}

// What waits of a user that is cut off is dropped, and is not in the way of anything.
func TestLineOfTheCutOff(t *testing.T) {
	q := newQueue(t, room.Limits{UserCommands: 50, UserWaiting: 100})
	q.send("a", 100)
	q.send("b", 1)
	refusals := 0
	for q.CutOff(q.now, "a").IsZero() {
		if p, e := q.Take(q.now, "a", room.Get, 10); e != nil {
			q.Line(p, func() { refusals++ })
		}
	}
	if got := strings.Join(q.next(), " "); got != "b100" || refusals != 0 || q.Lined() != 0 {
		t.Errorf("%s begin, %d refusals are answered, %d wait", got, refusals, q.Lined())
	}
	if n := q.Meter.Dropped.Value(); n != 201 { // 100 commands, as many refusals, and the one too many
		t.Errorf("%d are dropped", n)
	}
	q.now = q.now.Add(time.Minute)
	q.send("a", 1)
	if got := q.next(); len(got) != 1 || q.accounts["a"].waiting != 1 {
		t.Errorf("afterwards %q begin, and %d of its commands wait", got, q.accounts["a"].waiting)
	}
}

// Run begins what comes, and ends with its context.
func TestRun(t *testing.T) {
	q := newQueue(t, room.Limits{UserWaiting: 100})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); q.Guard.Run(ctx) }()
	begun := make(chan struct{})
	for range 3 {
		p, _ := q.Take(q.now, "a", room.Get, 10)
		q.Line(p, func() { begun <- struct{}{} })
		<-begun
		p.Done()
	}
	stop()
	<-ended
}

// Whoever is cut off does not read any more what waits for its turn.
func TestReadsOfTheCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, room.Limits{UserCommands: 50, UserWaiting: 100, UserReads: 1})
		q.send("a", 2)
		done, err := q.places["a0"].Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ended error
		go func() { _, ended = q.places["a1"].Read(t.Context()) }()
		if synctest.Wait(); ended != nil {
			t.Fatal("it does not wait for its turn")
		}
		for q.CutOff(q.now, "a").IsZero() {
			_, _ = q.Take(q.now, "a", room.Get, 10)
		}
		if synctest.Wait(); ended == nil {
			t.Error("it waits on")
		}
		if done(); len(q.readers) > 0 {
			t.Errorf("%d read", len(q.readers))
		}
	})
}
