// Package space keeps the service from filling the store that it stands on. A NATS server
// whose disk is full stops storing, and goes on not storing when there is space again, until it
// is started anew; so commands are refused before it comes to that: first messages, so that
// chat cannot keep people out, and at the end every change. Reads are answered all the time.
package space

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
)

// Timing of looks at the store.
const (
	lookEvery  = 250 * time.Millisecond
	askEvery   = 2 * time.Second  // how often to ask a server elsewhere for its limits
	silentFor  = 20 * time.Second // without an answer to an append for so long, which is longer than any command waits, the journal is suspect
	probeFor   = 2 * time.Second  // how long it may then take to answer a marker
	brokenFor  = 3 * time.Second  // how long a store stays broken, with space, before the service ends
	retryAfter = time.Second      // when a refused command may be tried again
)

// Store is what is known of where everything is stored.
type Store struct {
	Used, Free int64 // bytes that are stored, and that can be stored besides; both 0: not known
	Full       error // nothing more may be stored; nil: there is space for changes
	Broken     error // the store stores nothing any more until it is started anew
}

// Config is what a guard works with.
type Config struct {
	Life     *life.Life
	Health   *health.Book
	Journal  *journal.Journal
	Store    func() Store // looks at the store; nil: it is elsewhere, and its server is asked for its limits
	Messages int          // percentage of the store above which messages are refused
}

// Guard says what may be stored. It is safe for concurrent use.
type Guard struct {
	Config
	mu     sync.Mutex // guards the two fields below it
	known  Store      // what a server elsewhere said
	broken time.Time  // since when the store is broken and has space; zero: it is not

	silent atomic.Pointer[error] // why the journal is suspect
}

// New makes a guard. [Guard.Run] keeps it informed.
func New(c Config) *Guard { return &Guard{Config: c} }

// Run looks at the store as long as the life lasts.
func (g *Guard) Run() {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	full := newLimits(g.Journal, g.Health)
	for asked := (time.Time{}); ; {
		if g.Store == nil && time.Since(asked) > askEvery {
			asked = time.Now()
			g.ask()
		}
		g.listen()
		full.look(g.Life)
		g.note()
		select {
		case <-look.C:
		case <-g.Life.Done():
			return
		}
	}
}

// ask learns the limits of a server elsewhere.
func (g *Guard) ask() {
	ctx, cancel := context.WithTimeout(g.Life, askEvery)
	defer cancel()
	used, free, err := g.Journal.Space(ctx)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = Store{Used: used, Free: free}
}

// listen notices a journal that does not answer, and that it answers again. Nothing else shows
// that a server elsewhere has run out of space.
func (g *Guard) listen() {
	silence := g.Journal.Silence()
	if silence < silentFor && g.silent.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(g.Life, probeFor)
	defer cancel()
	if g.Journal.Probe(ctx) == nil {
		g.silent.Store(nil)
	} else if !g.Life.Over() {
		err := fmt.Errorf("the journal has not stored anything for %v; look at the NATS server: its disk may be full, and then it has to be started again once there is space", max(silence, silentFor).Round(time.Second))
		g.silent.Store(&err)
	}
}

// look is the store as of now.
func (g *Guard) look() Store {
	if g.Store != nil {
		return g.Store()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known
}

// note reports what is wrong, and ends the service where a store is broken that would store
// again if it were started anew.
func (g *Guard) note() {
	st := g.look()
	g.Health.Unfit("store", g.Message())
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case st.Broken == nil || st.Full != nil:
		g.broken = time.Time{}
	case g.broken.IsZero():
		g.broken = time.Now()
	case time.Since(g.broken) > brokenFor:
		g.Life.Fail(fmt.Errorf("the store of the NATS server failed and stays so, although there is space (%w); start again", st.Broken))
	}
}

// changes is why no change can be stored.
func (g *Guard) changes(st Store) error {
	if st.Full != nil {
		return st.Full
	}
	if st.Broken != nil {
		return fmt.Errorf("the store of the NATS server failed: %w", st.Broken)
	}
	if why := g.silent.Load(); why != nil && g.Journal.Silence() > 0 {
		return *why
	}
	return nil
}

// messages is why no message is stored although changes are.
func (g *Guard) messages(st Store) error {
	if total := st.Used + st.Free; total > 0 && float64(st.Used) > float64(total)/100*float64(g.Messages) {
		return fmt.Errorf("the store holds %d bytes and has space for %d more; above %d%% it takes no messages, so that there is space for people to come and go", st.Used, st.Free, g.Messages)
	}
	return nil
}

// Bytes is how many bytes are stored, and how many can be stored besides; both are 0 if that is
// not known.
func (g *Guard) Bytes() (used, free int64) {
	st := g.look()
	return st.Used, st.Free
}

// Change refuses a command that changes something if there is no space for it; nil if there is.
func (g *Guard) Change() *room.Error { return refusal(g.changes(g.look())) }

// Say does the same for a message that is to be stored.
func (g *Guard) Say() *room.Error { return refusal(g.Message()) }

func refusal(err error) *room.Error {
	if err == nil {
		return nil
	}
	e := room.Refuse(room.ErrBusy, "nothing happened: %v; try again later", err)
	e.RetryAfterMs = retryAfter.Milliseconds()
	return e
}

// Message is why no message may be stored; nil if one may.
func (g *Guard) Message() error {
	st := g.look()
	if err := g.changes(st); err != nil {
		return err
	}
	return g.messages(st)
}
