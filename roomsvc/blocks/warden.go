package blocks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	sweepEvery  = 10 * time.Second // a command of a blocked user that was on its way has had its effect by then
	enforceTime = 5 * time.Second
	outTime     = time.Second // that users have to hear why they are put out, before their connections end
	atOnce      = 16          // users
)

// Config is what a warden works with. All of it is needed.
type Config struct {
	Life    *life.Life
	Log     *slog.Logger
	Replica *replica.Replica
	Sync    *replica.Sync
	Commit  *commit.Committer

	// End ends those connections of a user that the book bars; EndAll those of all users.
	End    func(context.Context, subjects.User) error
	EndAll func(context.Context) error
}

// Warden carries out what the book says.
type Warden struct {
	Config
	Book *Book
	wake chan struct{}
	busy chan struct{}

	mu   sync.Mutex // guards todo
	todo map[subjects.User]struct{}
}

// NewWarden makes a warden, which begins with [Warden.Start].
func NewWarden() *Warden {
	return &Warden{wake: make(chan struct{}, 1), busy: make(chan struct{}, atOnce), todo: map[subjects.User]struct{}{}}
}

// Look has the warden look at a user soon. It does not wait.
func (w *Warden) Look(u subjects.User) {
	w.mu.Lock()
	w.todo[u] = struct{}{}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Start begins, with everything that was refused before.
func (w *Warden) Start(c Config) {
	w.Config = c
	c.Life.Go(w.run)
}

func (w *Warden) run() {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	w.take() // what was read at the start is looked at all together
	w.sweep()
	if w.Book.count.Load() > 0 {
		w.Life.Go(w.endAll)
	}
	for {
		select {
		case <-w.wake:
			for u := range w.take() {
				w.look(u)
			}
		case now := <-sweep.C:
			w.Book.forget(now)
			w.sweep()
		case <-w.Life.Done():
			return
		}
	}
}

func (w *Warden) take() map[subjects.User]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	todo := w.todo
	w.todo = map[subjects.User]struct{}{}
	return todo
}

// sweep looks at users who are blocked and in rooms all the same.
func (w *Warden) sweep() {
	w.Book.mu.Lock()
	var users []subjects.User
	for u, r := range w.Book.barred {
		if r.Blocked {
			users = append(users, u)
		}
	}
	w.Book.mu.Unlock()
	for _, u := range users {
		if len(w.Replica.Users.Of(u)) > 0 {
			w.look(u)
		}
	}
}

func (w *Warden) endAll() {
	ctx, cancel := context.WithTimeout(w.Life, time.Minute)
	defer cancel()
	if err := w.EndAll(ctx); err != nil && !w.Life.Over() {
		w.Log.Warn("ending the connections of those who are blocked", "error", err)
	}
}

// look does what is to be done about a user, beside others.
func (w *Warden) look(u subjects.User) {
	select {
	case w.busy <- struct{}{}:
	case <-w.Life.Done():
		return
	}
	w.Life.Go(func() {
		defer func() { <-w.busy }()
		if err := w.Enforce(w.Life, u); err != nil && !w.Life.Over() {
			w.Log.Warn("carrying out what is refused to a user; that goes on", "user", u, "error", err)
		}
	})
}

// Enforce puts a user who is blocked out of its rooms, and ends the connections that are refused.
func (w *Warden) Enforce(ctx context.Context, u subjects.User) error {
	r := w.Book.Of(u)
	if !r.Anything() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, enforceTime)
	defer cancel()
	if !r.Blocked {
		return w.End(ctx, u)
	}
	left, err := w.putOut(ctx, u, r.Reason)
	heard, enough := context.WithTimeout(ctx, outTime)
	defer enough()
	_ = wait(heard, left)
	return errors.Join(err, w.End(ctx, u), wait(ctx, left))
}

// wait returns when all of these are closed.
func wait(ctx context.Context, all []chan struct{}) error {
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// putOut begins to take a user out of all rooms that it was in before the call. For each there is
// a channel, which is closed when the user is out.
func (w *Warden) putOut(ctx context.Context, u subjects.User, reason string) (left []chan struct{}, err error) {
	if err := w.Sync.Pass(ctx); err != nil {
		return nil, err
	}
	for _, known := range w.Replica.Users.Of(u) {
		done := make(chan struct{})
		left = append(left, done)
		w.Commit.Assign(known.ID, func(st *room.State, in room.Input) *events.Fact {
			f := room.Banish(st, u, reason, in)
			if f == nil {
				close(done)
			}
			return f
		})
	}
	return left, nil
}
