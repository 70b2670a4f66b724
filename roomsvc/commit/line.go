package commit

import (
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// mostMissed is how many calls in a row may have to wait until a round ends: its fact is full, or is not
// what the others wait for.
const mostMissed = 64

// line is the calls that wait for a room, while they are decided. A fact says that some came, or that
// some left, but not both; in a crowded room, where everybody comes and goes, taking turns would make
// one fact of every two or three calls. So one that comes may pass others that leave, and the other way
// round, as if it had been a moment faster. It does not pass one of its own user, and none passes a
// call that does anything else.
type line struct {
	ahead  []*Call
	waits  []*Call                    // those that were reached and have to wait for the next fact
	users  map[subjects.User]struct{} // theirs
	missed int                        // how many in a row had to wait
	over   bool                       // nobody may pass them
}

// next is the next call that may be decided; nil: there is none.
func (l *line) next() *Call {
	for len(l.ahead) > 0 && !l.over {
		c := l.ahead[0]
		if l.passed() && !passes(c) {
			return nil
		}
		l.ahead = l.ahead[1:]
		if _, behind := l.users[c.Cmd.User]; !behind {
			return c
		}
		l.wait(c)
	}
	return nil
}

// passed says whether the next call passes others.
func (l *line) passed() bool { return len(l.waits) > 0 }

// wait has a call wait for the next fact.
func (l *line) wait(c *Call) {
	if l.users == nil {
		l.users = map[subjects.User]struct{}{}
	}
	l.waits, l.users[c.Cmd.User] = append(l.waits, c), struct{}{}
	l.missed++
	l.over = l.over || !passes(c) || l.missed >= mostMissed
}

// took notes that a call need not wait.
func (l *line) took() { l.missed = 0 }

// rest is all that is left, in the order in which it came.
func (l *line) rest() []*Call { return append(l.waits, l.ahead...) }

// passes says whether a call may pass others, and be passed.
func passes(c *Call) bool {
	switch c.Cmd.Verb {
	case room.Join, room.Enter, room.Leave:
		return true
	}
	return false
}
