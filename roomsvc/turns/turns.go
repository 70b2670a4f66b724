// Package turns makes the commands of one session on one room take effect in the order in
// which they came, whether or not the sender waits for the answers.
package turns

import (
	"slices"
	"sync"

	"natsrooms/roomsvc/leases"
	"natsrooms/subjects"
)

// Turns are the commands in flight of all sessions. The zero value is ready for use.
type Turns struct {
	mu sync.Mutex // guards of and everything in it
	of map[leases.Session]*line
}

// line is the commands of one session that are not answered, in the order in which they came.
type line struct {
	turns     []*Turn
	ready     []func() // begin these
	beginning bool     // somebody does
}

// Turn is a command from its arrival to its answer.
type Turn struct {
	Session leases.Session
	Rooms   []subjects.Room // what it is about; nil: all rooms of the session

	// Kind tells which commands need not wait for each other, because they pass through the
	// service in the order in which they begin. A command of the kind "" waits for every other.
	Kind string

	// Begin begins the command. It is called once at most, and not at all if the command is
	// answered before its turn, because its time ran out.
	Begin func()

	// Slow: the command has begun only when [Turns.Begun] says so, some time after Begin has
	// returned.
	Slow bool

	begun, over bool
	ahead       int     // how many it waits for
	begins      []*Turn // those that wait until it begins
	ends        []*Turn // those that wait until it ends
}

// Take gives a command its turn. It begins the command unless an earlier one of the session is
// in its way; then whoever ends the last of those does. begun says that it was, or is being,
// begun.
func (t *Turns) Take(turn *Turn) (begun bool) {
	t.mu.Lock()
	l := t.of[turn.Session]
	if l == nil {
		if t.of == nil {
			t.of = map[leases.Session]*line{}
		}
		l = &line{}
		t.of[turn.Session] = l
	}
	l.add(turn)
	begun = turn.begun
	begin := l.starts()
	t.mu.Unlock()
	if begin {
		t.begin(l)
	}
	return begun
}

// Begun notes that a slow command has begun. What it returns is as for [Turns.End].
func (t *Turns) Begun(turn *Turn) (begin func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[turn.Session]
	if l == nil || turn.over || turn.begun {
		return nil
	}
	l.begun(turn)
	return t.beginner(l)
}

// End notes that a command is answered. If it returns a function, the caller has to have it
// called, in another goroutine if it holds any lock: it begins those that waited.
func (t *Turns) End(turn *Turn) (begin func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[turn.Session]
	if l == nil || !l.remove(turn) {
		return nil
	}
	if len(l.turns) == 0 {
		delete(t.of, turn.Session)
	}
	return t.beginner(l)
}

// beginner is what begins what is ready, under the lock; nil if the caller need not.
func (t *Turns) beginner(l *line) func() {
	if !l.starts() {
		return nil
	}
	return func() { t.begin(l) }
}

// begin begins, in order, what is ready.
func (t *Turns) begin(l *line) {
	for {
		t.mu.Lock()
		ready := l.ready
		l.ready, l.beginning = nil, len(ready) > 0
		t.mu.Unlock()
		if len(ready) == 0 {
			return
		}
		for _, begin := range ready {
			begin()
		}
	}
}

// starts says, under the lock, that the caller must begin what is ready.
func (l *line) starts() bool {
	start := len(l.ready) > 0 && !l.beginning
	l.beginning = l.beginning || start
	return start
}

// add puts a command at the end of the line, behind those that it must wait for. One of the same
// kind is waited for only until it begins.
func (l *line) add(turn *Turn) {
	for _, e := range l.turns {
		switch {
		case !turn.meets(e):
		case turn.Kind == "" || e.Kind != turn.Kind:
			e.ends = append(e.ends, turn)
			turn.ahead++
		case !e.begun:
			e.begins = append(e.begins, turn)
			turn.ahead++
		}
	}
	l.turns = append(l.turns, turn)
	if turn.ahead == 0 {
		l.let(turn)
	}
}

// remove returns false if the command is not in line.
func (l *line) remove(turn *Turn) bool {
	i := slices.Index(l.turns, turn)
	if i < 0 {
		return false
	}
	l.turns = slices.Delete(l.turns, i, i+1)
	turn.over = true
	l.release(turn.begins)
	l.release(turn.ends)
	return true
}

// release lets those begin that have nothing else to wait for.
func (l *line) release(turns []*Turn) {
	for _, turn := range turns {
		if turn.ahead--; turn.ahead == 0 && !turn.over {
			l.let(turn)
		}
	}
}

// let makes a command ready.
func (l *line) let(turn *Turn) {
	l.ready = append(l.ready, turn.Begin)
	if !turn.Slow {
		l.begun(turn)
	}
}

// begun makes those ready that waited for a command to begin.
func (l *line) begun(turn *Turn) {
	turn.begun = true
	begins := turn.begins
	turn.begins = nil
	l.release(begins)
}

// meets says whether two commands are about the same room.
func (t *Turn) meets(e *Turn) bool {
	return e.Rooms == nil || t.Rooms == nil || slices.ContainsFunc(t.Rooms, func(r subjects.Room) bool { return slices.Contains(e.Rooms, r) })
}
