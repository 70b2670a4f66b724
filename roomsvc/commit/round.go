package commit

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/traces"
	"natsrooms/subjects"
)

// round is one decision about rooms whose batons are held, and what comes of it: the facts are
// appended together, all or none.
type round struct {
	k       *Committer
	rooms   []*replica.Room // by ID
	views   []replica.View  // of the rooms, while they are decided or settled
	facts   []*events.Fact  // one for each room, nil where it has none
	decided []decision      // to be settled with the facts
	failed  []Result        // to be refused without them
	open    []*Call         // to be decided again, after a sync point
	begun   *Call           // the facts are its first part, and it is decided again after them
	spans   []*traces.Span  // of the append, one in the trace of each of the calls
	calls   int             // that it stores
}

// decision is a call that was decided, and where its session was at that moment.
type decision struct {
	Result
	leaves []subjects.Room // the rooms that it leaves by the facts
	was    *replica.Place  // its room, where the facts say nothing about it
}

// carry decides, appends and settles one round. decide fills it in under the locks of its
// rooms. An error comes from the journal: the facts are not stored.
func (k *Committer) carry(r *round, decide func()) error {
	var fl *flight
	var err error
	var tell []func()
	replica.Decide(r.rooms, func(views []replica.View) []*replica.Append {
		r.views, r.facts = views, make([]*events.Fact, len(views))
		decide()
		if !r.changes() {
			r.settle(nil, 0)
			return nil
		}
		if fl, err = k.launch(views, r.facts, r.trace()); err != nil {
			r.traced(0, err)
			return nil
		}
		for i, f := range r.facts {
			if f == nil {
				continue
			}
			if t := k.PutOut(views[i].State, f); t != nil {
				tell = append(tell, t)
			}
		}
		return fl.appends
	})
	if err == nil && fl != nil {
		err = k.land(r, fl, tell)
	}
	if err == nil && r.begun != nil {
		r.begun.begins(r.facts[0].InstanceID)
	}
	for _, f := range r.failed {
		k.settle(f)
	}
	if len(r.open) > 0 {
		k.prove(r.open)
	}
	return err
}

// land waits until it is known what became of the flight, and applies and settles it.
func (k *Committer) land(r *round, fl *flight, tell []func()) error {
	k.Said(k.Life, r.facts)
	begun := time.Now()
	last, err := k.append(fl)
	k.count(r, fl, time.Since(begun), err)
	r.traced(last, err)
	if err != nil {
		replica.Failed(r.rooms)
		return err
	}
	err = k.Replica.Stored(r.rooms, r.facts, last, func(views []replica.View) {
		r.views = views
		for _, f := range tell {
			f()
		}
		r.settle(fl, last)
	})
	if err != nil { // it is stored: the end answers its calls UNAVAILABLE
		k.Life.Fail(err)
	}
	return nil
}

// trace begins the spans of an append. What it returns is the header of the facts: the span, if
// they come of a single command.
func (r *round) trace() (parent string) {
	begin := func(c *Call) {
		r.calls++
		if s := c.Span.Stores(); s != nil {
			r.spans = append(r.spans, s)
		}
	}
	for i := range r.decided {
		if r.decided[i].Changed {
			begin(r.decided[i].Call)
		}
	}
	if r.begun != nil {
		begin(r.begun)
	}
	if r.calls == 1 && len(r.spans) == 1 {
		parent = r.spans[0].Parent()
	}
	return parent
}

// traced ends the spans of an append; last is the revision of its last fact.
func (r *round) traced(last uint64, err error) {
	for _, s := range r.spans {
		s.Stored(last, r.calls)
		s.End(err)
	}
}

// count counts what became of a flight.
func (k *Committer) count(r *round, fl *flight, took time.Duration, err error) {
	switch {
	case errors.Is(err, journal.ErrConflict):
		k.Meter.Conflicts.Inc()
	case err != nil:
		k.Meter.Failed.Inc()
	default:
		k.Meter.Facts.Add(len(fl.entries))
		k.Meter.Took.Observe(took)
		if len(r.decided) > 0 { // else it is work of the service's own
			k.Meter.Batches.Observe(len(r.decided))
		}
	}
}

// changes says whether any room has a fact.
func (r *round) changes() bool {
	return slices.ContainsFunc(r.facts, func(f *events.Fact) bool { return f != nil })
}

// index is where a room is in the round; -1 if it is not.
func (r *round) index(id subjects.Room) int {
	i, ok := slices.BinarySearchFunc(r.rooms, id, func(a *replica.Room, id subjects.Room) int { return cmp.Compare(a.ID, id) })
	if !ok {
		return -1
	}
	return i
}

// view is a room of the round; nil if the room is not in it.
func (r *round) view(id subjects.Room) *replica.View {
	if i := r.index(id); i >= 0 {
		return &r.views[i]
	}
	return nil
}

// settle settles what was decided. The facts, which are stored, prove what they follow, but
// know nothing of other rooms or of users' tokens; what they do not prove is left open.
func (r *round) settle(fl *flight, last uint64) {
	places := r.places(fl, last)
	results := make([]Result, 0, len(r.decided))
	for i := range r.decided {
		d := &r.decided[i]
		if !d.synced && (fl == nil || !proves(d.Refused)) {
			if d.Call.reopen() {
				r.open = append(r.open, d.Call)
			}
			continue
		}
		r.k.unreserve(d.Call)
		d.Late = !d.state.CompareAndSwap(deciding, answered)
		if d.Late && !d.Changed {
			continue
		}
		results = append(results, r.result(d, places))
	}
	r.k.Settle(results)
}

// proves says whether a stored fact proves a refusal that was decided with it.
func proves(e *room.Error) bool {
	return e == nil || !errors.Is(e, room.ErrUserRoomLimit) && !errors.Is(e, room.ErrRoomLimit) && !errors.Is(e, room.ErrNotAllowed)
}

// places is the rooms that have facts, as they are after them.
func (r *round) places(fl *flight, last uint64) map[subjects.Room]replica.Place {
	if fl == nil {
		return nil
	}
	places := make(map[subjects.Room]replica.Place, len(fl.entries))
	at := last - uint64(len(fl.entries)-1)
	for _, f := range r.facts {
		if f != nil {
			places[f.Room] = replica.PlaceOf(f, at)
			at++
		}
	}
	return places
}

// result is what became of a call that is to be answered now.
func (r *round) result(d *decision, places map[subjects.Room]replica.Place) Result {
	res := d.Result
	if v := r.view(d.Cmd.Room); v != nil {
		res.State = v.State
		res.At = replica.Place{Room: v.ID, Position: v.Position()}
	}
	if d.Refused != nil {
		return res
	}
	if d.was != nil {
		res.At = *d.was
	} else if p, ok := places[d.Cmd.Room]; ok && d.Changed {
		res.At = p
	}
	res.More = d.more
	for _, id := range d.leaves {
		res.Left = append(res.Left, places[id])
	}
	if !d.Changed {
		r.k.remember(res.Cmd, res.At, res.ErrorKeys)
	}
	return res
}

// remember keeps the outcome of a request that had nothing to change.
func (k *Committer) remember(c *room.Command, at replica.Place, errorKeys []string) {
	in := &at
	if c.Room == "" {
		in = nil
	}
	k.Replica.Outcomes.Content(c, in, errorKeys)
}

// decideOne decides what waits in a mailbox, as much as one fact can carry. If there is no fact,
// every call is refused or finds everything as it wants it.
func (r *round) decideOne(b *mailbox) {
	v := &r.views[0]
	in := r.k.input(v)
	queue, tasks := b.takeAll()
	l := line{ahead: queue}
	defer func() { b.putBack(l.rest(), tasks) }()
	for ; len(tasks) > 0; tasks = tasks[1:] {
		if r.facts[0] = tasks[0](v.State, in); r.facts[0] != nil {
			return
		}
	}
	if v.State != nil && v.State.Ending() {
		r.facts[0] = room.EndNext(v.State, in)
		return
	}
	run := room.NewRun(v.ID, v.State, in)
	for c := l.next(); c != nil; c = l.next() {
		if c.Begin() && !r.repeated(c) {
			r.decideCall(run, c, &l)
		}
	}
	r.facts[0] = run.Fact()
}

// decideCall decides the next call of a line, unless it has to wait. One that passes others is
// decided only if the fact carries it: otherwise those may make a difference. Nor does it leave them an
// empty room, which may end before they come.
func (r *round) decideCall(run *room.Run, c *Call, l *line) {
	r.k.reserve(r.views[0].State, c)
	verdict := room.Verdict{Later: true}
	if !l.passed() || c.Cmd.Verb != room.Leave || run.Count() > 1 {
		verdict = run.Add(c.Cmd)
	}
	if verdict.Later || l.passed() && !verdict.Changed {
		r.k.unreserve(c)
		if verdict.Begun {
			r.begun, l.over = c, true
		}
		if c.reopen() {
			l.wait(c)
		}
		return
	}
	r.k.spare(c, verdict)
	l.took()
	d := decision{Result: Result{Call: c, Verdict: verdict}}
	if c.Cmd.Verb == room.Leave {
		d.leaves = []subjects.Room{c.Cmd.Room}
	}
	r.decided = append(r.decided, d)
}

// repeated answers a call whose request was carried out before, with the first outcome.
func (r *round) repeated(c *Call) bool {
	o, refused := r.k.Replica.Outcomes.Look(c.Cmd)
	if o == nil && refused == nil {
		return false
	}
	if c.state.CompareAndSwap(deciding, answered) {
		res := Result{Call: c, Repeat: true, Before: o, Verdict: room.Verdict{Refused: refused}}
		if v := r.view(c.Cmd.Room); v != nil {
			res.State = v.State
		}
		r.k.Settle([]Result{res})
	}
	return true
}

// replaceDevices has sessions put out that those of a stored fact replace, where a member may
// have only one.
func (r *round) replaceDevices(b *mailbox, f *events.Fact) {
	if f == nil || f.Type != events.SessionJoined || r.k.Limits().ReplaceDevices == 0 {
		return
	}
	var outs []room.Out
	b.room.View(func(st *room.State) { outs = room.Replaced(st, f) })
	if len(outs) > 0 {
		b.putBack(nil, []Task{func(st *room.State, in room.Input) *events.Fact { return room.Expel(st, outs, in) }})
	}
}

// unreserve gives back what the round's calls hold: their facts will not be stored.
func (r *round) unreserve() {
	for i := range r.decided {
		r.k.unreserve(r.decided[i].Call)
	}
}

// reopen makes the round's calls wait again, and returns those whose time is not over.
func (r *round) reopen() []*Call {
	calls := make([]*Call, 0, len(r.decided)+8)
	for i := range r.decided {
		if c := r.decided[i].Call; c.reopen() {
			calls = append(calls, c)
		}
	}
	return calls
}

// refuse refuses the round's calls, whose facts were not stored.
func (r *round) refuse(err error) {
	for i := range r.decided {
		c, e := r.decided[i].Call, NotStored(err)
		if c.begun.Load() && e.Outcome != room.Unknown {
			e = unknown("only the first part of this was stored, and the rest not: %v; send it again with the same requestID", err)
		}
		r.k.Refuse(c, e)
	}
}

// NotStored is the refusal of a command whose fact or message was not stored, or may not have
// been.
func NotStored(err error) *room.Error {
	if errors.Is(err, journal.ErrUnknown) {
		return unknown("the service is ending and could not learn whether this was stored; send it again with the same requestID")
	}
	e := room.Refuse(room.ErrBusy, "nothing happened: %v; try again later", err)
	e.RetryAfterMs = 1000
	return e
}

// unknown is the refusal of a command of which something may be stored, or is.
func unknown(format string, args ...any) *room.Error {
	e := room.Refuse(room.ErrUnavailable, format, args...)
	e.Outcome = room.Unknown
	return e
}
