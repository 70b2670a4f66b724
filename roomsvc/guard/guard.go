package guard

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Config is what a guard works with. All of it is needed.
type Config struct {
	Log     *slog.Logger
	Limits  func() *room.Limits            // as they are now
	Waiting int                            // how many of a user's commands may wait where the limit is not set
	End     func(subjects.User)            // ends a user's connections; must not wait
	Tell    func(subjects.User, time.Time) // tells other instances until when a user is cut off; must not wait
}

// Guard counts what end users ask for, at one instance. It is safe for concurrent use.
type Guard struct {
	Config
	Meter   meter.Guard
	readers chan struct{} // the turns to read

	mu       sync.Mutex          // guards the fields below, and everything in the accounts
	accounts map[string]*account // by the token that stands for the user in subjects
	lines    room.Usage          // of the log
	unsaid   int                 // lines that it had no space for
	called   []*account          // whose next commands are begun, in this order
	lined    int                 // commands in all lines

	wake chan struct{} // somebody is called
}

// readers is how many long reads of end users are at work at a time, at one instance.
const readers = 16

// New makes a guard.
func New(c Config) *Guard {
	return &Guard{Config: c, readers: make(chan struct{}, readers), accounts: map[string]*account{}, wake: make(chan struct{}, 1)}
}

// Place is the place of a command among those of its user. The nil Place is no command's.
type Place struct {
	guard *Guard
	*account
	*job
}

// Take decides about a command by the user whose token stands in its subject. It returns a
// place, with a refusal if it is refused, for [Guard.Line]; or neither: then the command is dropped
// without an answer. A refusal without a place is that of a subject that names no user.
func (g *Guard) Take(now time.Time, token string, verb room.Verb, size int) (*Place, *room.Error) {
	l := g.Limits()
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.accounts[token]
	if a == nil {
		user, err := subjects.UserOfToken(token)
		if err != nil {
			return nil, room.Invalid("userID", "in the subject %v", err)
		}
		a = &account{user: user}
		g.accounts[strings.Clone(token)] = a
	}
	f, wait := a.take(now.UnixMicro(), verb, int64(size), l)
	switch f {
	case passes:
		return g.wait(a, l)
	case refused:
		a.hits++
		g.Meter.Rate.Inc()
		return &Place{g, a, &job{}}, tooFast(a.user, wait, l)
	case cuts:
		a.hits++
		g.Meter.CutOff.Inc()
		g.leaveLine(a)
		g.say(now, a)
		g.End(a.user)
		g.Tell(a.user, until(a.cut))
	case goesOn:
		g.End(a.user)
	case dropped:
	}
	g.Meter.Dropped.Inc()
	return nil, nil
}

// wait lets a command in, unless too many of its user wait already.
func (g *Guard) wait(a *account, l *room.Limits) (*Place, *room.Error) {
	most := l.UserWaiting
	if most == 0 {
		most = g.Waiting
	}
	if a.waiting >= most {
		a.hits++
		g.Meter.Waiting.Inc()
		e := room.Refuse(room.ErrBusy, "nothing happened: %d commands of %q are being worked on here, which is the most allowed for one user; try again", most, a.user)
		e.RetryAfterMs = 100
		return &Place{g, a, &job{}}, e
	}
	a.waiting++
	return &Place{g, a, &job{counts: true}}, nil
}

// leaveLine drops everything in a user's line, and what waits for its turn to read.
func (g *Guard) leaveLine(a *account) {
	if a.over != nil {
		close(a.over)
		a.over = nil
	}
	for _, j := range a.line {
		a.leave(j)
	}
	g.lined -= len(a.line)
	g.Meter.Dropped.Add(len(a.line))
	a.line = nil
}

// User is whose command it is.
func (p *Place) User() subjects.User {
	if p == nil {
		return ""
	}
	return p.user
}

func tooFast(u subjects.User, wait int64, l *room.Limits) *room.Error {
	may, limit := fmt.Sprintf("%d commands", l.UserCommands), l.UserCommands
	switch {
	case limit == 0:
		may, limit = fmt.Sprintf("%d bytes", l.UserBytes), l.UserBytes
	case l.UserBytes > 0:
		may += fmt.Sprintf(" and %d bytes", l.UserBytes)
	}
	e := room.Refuse(room.ErrRateLimited, "%q may send %s a second, and has sent more; nothing happened; try again in %d ms", u, may, millis(wait))
	e.Limit, e.RetryAfterMs = int64(limit), millis(wait)
	return e
}

// Change counts a change of rooms by the user, or refuses it.
func (p *Place) Change(now time.Time, rooms []subjects.Room) *room.Error {
	if p == nil {
		return nil
	}
	limit := p.guard.Limits().UserChanges
	if limit == 0 {
		return nil
	}
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	r, wait := p.change(now.UnixMicro(), rooms, int64(limit))
	if wait == 0 {
		return nil
	}
	p.account.hits++
	p.guard.Meter.Changes.Inc()
	e := room.Refuse(room.ErrRateLimited, "%q may change %q %d times a second, and has done so more often; nothing happened; try again in %d ms", p.user, r, limit, millis(wait))
	e.Limit, e.RetryAfterMs = int64(limit), millis(wait)
	return e
}

// say logs that a user is cut off: the first few at once, then about one a second.
func (g *Guard) say(now time.Time, a *account) {
	if g.lines.Take(now.UnixMicro(), 1, 1, 10) > 0 {
		g.unsaid++
		return
	}
	details := []any{"user", a.user, "until", until(a.cut)}
	if g.unsaid > 0 {
		details = append(details, "others before it", g.unsaid)
	}
	g.unsaid = 0
	g.Log.Warn("an end user goes on far beyond its limits and is cut off: its connections are ended, and what it sends is dropped", details...)
}

// CutOff says until when a user is cut off; the zero time if it is not.
func (g *Guard) CutOff(now time.Time, u subjects.User) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.accounts[u.Token()]; a != nil && now.UnixMicro() < a.cut {
		return until(a.cut)
	}
	return time.Time{}
}

// Limited is a user who reached a limit lately.
type Limited struct {
	User    subjects.User
	Refused uint64    // requests, and times that it was cut off, since it is known here
	CutOff  time.Time // until when it is cut off; zero: it is not
}

// Limited lists at most that many users who reached a limit lately, those with the most refusals first.
func (g *Guard) Limited(now time.Time, most int) (list []Limited) {
	g.mu.Lock()
	for _, a := range g.accounts {
		if l := (Limited{User: a.user, Refused: a.hits}); a.hits > 0 {
			if now.UnixMicro() < a.cut {
				l.CutOff = until(a.cut)
			}
			list = append(list, l)
		}
	}
	g.mu.Unlock()
	slices.SortFunc(list, func(a, b Limited) int { return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.User, b.User)) })
	return list[:min(len(list), most)]
}

// CutOffUntil cuts off a user whom another instance has cut off.
func (g *Guard) CutOffUntil(u subjects.User, end time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := u.Token()
	a := g.accounts[token]
	if a == nil {
		a = &account{user: u}
		g.accounts[token] = a
	}
	a.cut = max(a.cut, end.UnixMicro())
}

// Forget drops what no longer counts.
func (g *Guard) Forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for token, a := range g.accounts {
		if a.forget(now.UnixMicro()) {
			delete(g.accounts, token)
		}
	}
}

func until(micro int64) time.Time { return time.UnixMicro(micro) }
