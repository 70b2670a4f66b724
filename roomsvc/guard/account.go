package guard

import (
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// account is what one user has used up. Its methods are the rules; they take the time as an
// argument and hold no lock.
type account struct {
	user     subjects.User
	commands room.Usage // of user-commands
	bytes    room.Usage // of user-bytes
	reserve  room.Usage // commands that keep a place or give it back
	patience room.Usage // refusals, each as many commands as it is worth
	changes  map[subjects.Room]*room.Usage
	waiting  int           // commands that are not answered
	working  int           // commands that are worked on
	line     []*job        // the others, and refusals that are not answered yet
	called   bool          // it stands in the guard's list of those whose turn comes
	reads    chan struct{} // its turns to read; nil: it has not read yet
	over     chan struct{} // closed when it is cut off; nil: nobody waits for that

	hits    uint64 // refusals and cuts, since it is known here
	cut     int64  // until when everything is dropped
	times   int64  // how often in a row
	lastCut int64  // when its connections were last to be ended
}

// job is a command in its user's line, or on its way through it, or a refusal that is to be answered.
type job struct {
	begin  func()
	counts bool // as one that is not answered
	works  bool // it is worked on
}

const second = 1_000_000 // in microseconds

const (
	burst    = 2        // seconds' worth of a rate that may come at once
	many     = 500      // but no more commands than these, or than a quarter of a second's
	least    = 100      // refusals at once until somebody is cut off: half of a second's commands, but at least these,
	most     = 500      // and at most these
	large    = 16       // a refusal counts as one in large of the commands that its bytes are worth, besides
	kept     = 5        // the reserve is a fifth of the commands
	keptSize = 32 << 10 // bytes of a command that the reserve is for

	firstCut = int64(10 * second)
	longest  = 300 * second
	forgives = 600 * second // how long after a cut the next is the first again
	cutAgain = 2 * second   // between attempts to end connections of somebody who is cut off
)

// fate is what becomes of a command.
type fate int

const (
	passes fate = iota
	refused
	dropped // without an answer
	cuts    // dropped, and from now on so is everything; the user's connections are to be ended
	goesOn  // dropped, and the user's connections are to be ended once more
)

// take decides about a command of that many bytes. wait says, for one that is refused, in how
// many microseconds it would pass.
func (a *account) take(now int64, verb room.Verb, size int64, l *room.Limits) (f fate, wait int64) {
	if now < a.cut {
		if now-a.lastCut < cutAgain {
			return dropped, 0
		}
		a.lastCut = now
		return goesOn, 0
	}
	rate, bytes := int64(l.UserCommands), int64(l.UserBytes)
	if rate > 0 {
		wait = a.commands.Wait(now, 1, rate, atOnce(rate))
	}
	if bytes > 0 {
		wait = max(wait, a.bytes.Wait(now, size, bytes, burst*bytes))
	}
	switch {
	case wait == 0:
		if rate > 0 {
			a.commands.Add(now, 1, rate)
		}
		if bytes > 0 {
			a.bytes.Add(now, size, bytes)
		}
		return passes, 0
	case rate > 0 && keeps(verb) && size <= keptSize && a.reserve.Take(now, 1, max(rate/kept, 1), atOnce(max(rate/kept, 1))) == 0:
		return passes, 0
	}
	return a.refuse(now, size, rate, bytes), wait
}

// atOnce is how many commands may come at once where a rate is allowed.
func atOnce(rate int64) int64 { return min(burst*rate, max(many, rate/4)) }

// keeps says whether a command keeps a place in rooms, or gives one back.
func keeps(v room.Verb) bool { return v == room.Renew || v == room.Leave || v == room.LeaveAll }

// refuse counts a refusal, and says whether that was enough of them.
func (a *account) refuse(now, size, rate, bytes int64) fate {
	if rate == 0 {
		rate = 1000 // only bytes are limited
	}
	worth := int64(1)
	if bytes > 0 {
		worth += size * rate / bytes / large
	}
	if a.patience.Take(now, worth, rate, min(max(rate/2, least), most)) == 0 {
		return refused
	}
	if now-a.cut > forgives {
		a.times = 0
	}
	a.cut = now + min(firstCut<<min(a.times, 10), longest)
	a.times, a.lastCut, a.patience = a.times+1, now, 0
	return cuts
}

// change counts a change of rooms; full is the room that it comes too early for.
func (a *account) change(now int64, rooms []subjects.Room, rate int64) (full subjects.Room, wait int64) {
	for _, r := range rooms {
		if b := a.changes[r]; b != nil {
			if wait := b.Wait(now, 1, rate, burst*rate); wait > 0 {
				return r, wait
			}
		}
	}
	for _, r := range rooms {
		b := a.changes[r]
		if b == nil {
			if a.changes == nil {
				a.changes = map[subjects.Room]*room.Usage{}
			}
			b = new(room.Usage)
			a.changes[r] = b
		}
		b.Add(now, 1, rate)
	}
	return "", 0
}

// forget drops what no longer counts, and says whether anything still does.
func (a *account) forget(now int64) (idle bool) {
	for r, b := range a.changes {
		if b.Idle(now) {
			delete(a.changes, r)
		}
	}
	for _, b := range []*room.Usage{&a.commands, &a.bytes, &a.reserve, &a.patience} {
		if !b.Idle(now) {
			return false
		}
	}
	return len(a.changes) == 0 && a.waiting == 0 && now-a.cut > forgives
}

// millis is microseconds in milliseconds, rounded up.
func millis(wait int64) int64 { return (wait + 999) / 1000 }

// leave notes that a command does not wait for its answer any more.
func (a *account) leave(j *job) {
	if j.counts {
		j.counts = false
		a.waiting--
	}
}
