// Package turns makes the commands of one session on one room take effect, and be answered, in
// the order in which they came, whether or not the sender waits for the answers.
//
// A command waits for others only as far as it must: those of one kind are at work side by side.
// What they come to is in no order then, so their answers wait for each other instead.
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

// line is the commands of one session whose answers are not out, in the order in which they came.
type line struct {
	turns     []*Turn
	ready     []func() // begin these
	beginning bool     // somebody does
}

// Turn is a command from its arrival until its answer is out.
type Turn struct {
	From    any // whose turn it is; only the caller uses it
	Session leases.Session
	Rooms   []subjects.Room // what it is about; nil: all rooms of the session

	// Kind tells which commands need not wait for each other, because they pass through the
	// service in the order in which they begin. A command of the kind "" waits for every other.
	Kind string

	// Last: it waits until those of its kind ahead of it end, unless they are Last too.
	Last bool

	// Begin begins the command. It is called once at most, and not at all if the command is
	// answered before its turn, because its time ran out.
	Begin func()

	// Slow: the command has begun only when [Turns.Begun] says so, some time after Begin has
	// returned.
	Slow bool

	begun, over bool
	ahead       int     // how many it waits for before it begins
	begins      []*Turn // those that wait until it begins
	ends        []*Turn // those that wait until it ends

	unsent int     // how many answers have to go out before its own
	behind []*Turn // those whose answers wait for its own
}

// Take gives a command its turn. It begins the command unless an earlier one of the session is
// in its way; then whoever ends the last of those does. begun says that it was, or is being,
// begun.
func (t *Turns) Take(turn *Turn) (begun bool) {
	t.mu.Lock()
	l := t.line(turn.Session)
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

// Refused puts a command in line that was refused before its turn: nobody has to wait for it,
// but its answer waits for those ahead of it. What it returns is as for [Turns.End].
func (t *Turns) Refused(turn *Turn) (send bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[turn.Session] == nil {
		return true
	}
	turn.begun, turn.over = true, true
	l := t.line(turn.Session)
	l.follow(turn)
	l.turns = append(l.turns, turn)
	return turn.unsent == 0
}

// End notes that a command has its answer. The caller has to send that if send is true, and
// then call [Turns.Sent]; otherwise whoever sends the last of the answers ahead of it does. If it
// returns a function, the caller has to have it called, in another goroutine if it holds any
// lock: it begins those that waited.
func (t *Turns) End(turn *Turn) (send bool, begin func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[turn.Session]
	if l == nil || turn.over {
		return true, nil
	}
	turn.over = true
	l.release(turn.begins)
	l.release(turn.ends)
	turn.begins, turn.ends = nil, nil
	return turn.unsent == 0, t.beginner(l)
}

// Sent notes that the answer to a command is out. The caller has to send those of the commands
// that it returns, in that order, and to call Sent after each.
func (t *Turns) Sent(turn *Turn) (next []*Turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[turn.Session]
	if l == nil || !l.remove(turn) {
		return nil
	}
	if len(l.turns) == 0 {
		delete(t.of, turn.Session)
	}
	for _, e := range turn.behind {
		if e.unsent--; e.unsent == 0 && e.over {
			next = append(next, e)
		}
	}
	return next
}

// line is that of a session, under the lock.
func (t *Turns) line(s leases.Session) *line {
	l := t.of[s]
	if l == nil {
		if t.of == nil {
			t.of = map[leases.Session]*line{}
		}
		l = &line{}
		t.of[s] = l
	}
	return l
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
		case e.over || !turn.meets(e):
		case turn.Kind == "" || e.Kind != turn.Kind || turn.Last && !e.Last:
			e.ends = append(e.ends, turn)
			turn.ahead++
		case !e.begun:
			e.begins = append(e.begins, turn)
			turn.ahead++
		}
	}
	l.follow(turn)
	l.turns = append(l.turns, turn)
	if turn.ahead == 0 {
		l.let(turn)
	}
}

// follow has a command's answer wait for the nearest ones ahead of it, which wait for those
// before them.
func (l *line) follow(turn *Turn) {
	for _, e := range slices.Backward(l.turns) {
		if turn.meets(e) {
			e.behind = append(e.behind, turn)
			turn.unsent++
		}
		if e.covers(turn) {
			return
		}
	}
}

// remove returns false if the command is not in line.
func (l *line) remove(turn *Turn) bool {
	i := slices.Index(l.turns, turn)
	if i < 0 {
		return false
	}
	l.turns = slices.Delete(l.turns, i, i+1)
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

// covers says whether a command is about all rooms that another one is about.
func (t *Turn) covers(e *Turn) bool {
	return t.Rooms == nil || e.Rooms != nil && !slices.ContainsFunc(e.Rooms, func(r subjects.Room) bool { return !slices.Contains(t.Rooms, r) })
}
