package guard

import "context"

// atWork is how many commands of one user are worked on at a time, at one instance, without those
// that wait for something else. The others of that user wait in its line.
const atWork = 32

// mostInLines is how many commands may wait in all lines together.
const mostInLines = 1 << 16

// Line puts a command at the end of its user's line; begin begins it, or answers why it is
// refused. If very many wait in all lines together, it is dropped.
func (g *Guard) Line(p *Place, begin func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lined >= mostInLines {
		p.done()
		g.Meter.Dropped.Inc()
		return
	}
	g.lined++
	p.begin = begin
	p.line = append(p.line, p.job)
	g.call(p.account)
}

// Lined is how many commands wait in lines, or are just being begun.
func (g *Guard) Lined() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lined
}

// Run begins the commands in the lines, one of each user after the other, until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	for {
		for g.next(false) {
			if ctx.Err() != nil {
				return
			}
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return
		}
	}
}

// Rest begins everything that is left in the lines.
func (g *Guard) Rest() {
	for g.next(true) {
	}
}

// next begins a command. all: also of users of whom enough are worked on.
func (g *Guard) next(all bool) bool {
	g.mu.Lock()
	if all {
		for _, a := range g.accounts {
			if len(a.line) > 0 && !a.called {
				a.called, g.called = true, append(g.called, a)
			}
		}
	}
	if len(g.called) == 0 {
		g.mu.Unlock()
		return false
	}
	a := g.called[0]
	g.called[0] = nil
	g.called, a.called = g.called[1:], false
	if len(a.line) == 0 { // it was cut off
		g.mu.Unlock()
		return true
	}
	j := a.line[0]
	a.line[0] = nil
	if a.line = a.line[1:]; len(a.line) == 0 {
		a.line = nil
	}
	j.works = true
	a.working++
	g.call(a)
	g.mu.Unlock()
	j.begin()
	g.mu.Lock()
	g.lined--
	g.mu.Unlock()
	return true
}

// call has the next command in a user's line begun, once it is the user's turn, unless enough of
// its commands are worked on.
func (g *Guard) call(a *account) {
	if len(a.line) == 0 || a.called || a.working >= atWork {
		return
	}
	a.called, g.called = true, append(g.called, a)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Aside notes that the command waits for something else than to be worked on.
func (p *Place) Aside() {
	if p == nil {
		return
	}
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	p.stops()
}

// Done notes that the command is answered.
func (p *Place) Done() {
	if p == nil {
		return
	}
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	p.done()
}

func (p *Place) done() {
	p.leave(p.job)
	p.stops()
}

// stops notes that nobody works on the command any more.
func (p *Place) stops() {
	if p.works {
		p.works = false
		p.working--
		p.guard.call(p.account)
	}
}
