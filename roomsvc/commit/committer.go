package commit

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Config is what a committer works with. All of it is needed.
type Config struct {
	Life    *life.Life
	Log     *slog.Logger
	Clock   *clock.Clock // of facts
	Journal *journal.Journal
	Replica *replica.Replica
	Sync    *replica.Sync
	Source  string              // prefix of the source of every event
	Limits  func() *room.Limits // as they are now

	// Prove looks, after a sync point, for what a refusal of the call depends on besides the
	// rooms, and puts it into the call's command.
	Prove func(context.Context, *Call) error

	// PutOut prepares what is told to the sessions that a fact puts out of a room; st is the
	// room's state before the fact. The function that it returns is called once the fact is
	// stored; nil: nobody is put out.
	PutOut func(st *room.State, f *events.Fact) (tell func())

	// Said returns once everything is stored that those who leave by the facts, some of which
	// may be nil, said before these were decided, or after a short while.
	Said func(context.Context, []*events.Fact)

	// Settle answers calls. The lock of each call's room is held; it must not wait.
	Settle func([]Result)
}

// Committer commits for one instance.
type Committer struct {
	Config
	Meter   meter.Commit
	making  atomic.Int64 // rooms that are being created
	multi   multi
	tracked tracked

	mu    sync.Mutex // guards boxes
	boxes map[subjects.Room]*mailbox
}

// Repeat answers a call whose request was carried out before, with the first outcome. It
// returns whether the call is answered.
func (k *Committer) Repeat(c *Call) bool {
	if !c.Begin() {
		return true
	}
	o, refused := k.Replica.Outcomes.Look(c.Cmd)
	if o == nil && refused == nil {
		return !c.reopen()
	}
	k.settle(Result{Call: c, Repeat: true, Before: o, Verdict: room.Verdict{Refused: refused}})
	return true
}

// Refuse refuses a call that nobody else decides any more, unless it has been answered.
func (k *Committer) Refuse(c *Call, e *room.Error) {
	k.settle(Result{Call: c, Verdict: room.Verdict{Refused: e}})
}

// settle settles one call, unless it has been answered.
func (k *Committer) settle(r Result) {
	if r.Answer() {
		k.answer(r)
	}
}

// answer settles a call; only the one that took the right to answer calls it.
func (k *Committer) answer(r Result) {
	k.Replica.View(r.Cmd.Room, func(st *room.State) {
		r.State = st
		k.Settle([]Result{r})
	})
}

// input is the input to a decision on a room. Time never goes back in a room, not even from
// one instance of it to the next.
func (k *Committer) input(v *replica.View) room.Input {
	now := max(k.Clock.Now(), v.FactAt)
	return room.Input{Now: now, FactID: nuid.Next(), InstanceID: room.InstanceID(now, nuid.Next()), Limits: k.Limits()}
}

// Another instance may be faster many times in a row; then a pause lets one of the two
// through.
const (
	patientTries = 5
	jitterLow    = 2 * time.Millisecond
	jitterHigh   = 20 * time.Millisecond
)

func (k *Committer) jitter() { k.Life.Pause(jitterLow + rand.N(jitterHigh-jitterLow)) }
