package commit

import (
	"context"
	"errors"
	"slices"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// runMulti makes batches as long as the service lives.
func (k *Committer) runMulti() {
	for beaten := 0; !k.Life.Over(); {
		calls := k.multi.takeAll()
		if len(calls) == 0 {
			select {
			case <-k.multi.wake:
				continue
			case <-k.Life.Done():
				return
			}
		}
		most := journal.MaxBatch
		if beaten >= patientTries {
			most = 2 // alone it gets through sooner
			k.jitter()
		}
		k.multi.working.Store(true)
		again, ok := k.batch(calls, most)
		k.multi.working.Store(false)
		if beaten++; ok {
			beaten = 0
		}
		k.multi.putBack(again)
	}
}

// batch decides what one batch can carry and commits it. It returns the calls that are still
// to be decided; ok is false if another instance was faster.
func (k *Committer) batch(calls []*Call, most int) (again []*Call, ok bool) {
	if open := slices.DeleteFunc(slices.Clone(calls), func(c *Call) bool { return c.synced || c.Cmd.Named() != nil }); len(open) > 0 {
		k.prove(open) // which rooms a session is in must not come from the past
	}
	calls, ids, rest := k.choose(calls, most)
	r := &round{k: k}
	boxes := k.acquireAll(ids)
	for _, b := range boxes {
		r.rooms = append(r.rooms, b.room)
	}
	defer func() {
		for _, b := range boxes {
			k.release(b)
		}
	}()
	d := &batch{round: r, boxes: boxes}
	err := k.carry(r, func() {
		if d.decide(calls); r.changes() {
			d.fly(true)
		}
	})
	d.fly(false)
	rest = append(d.later, rest...)
	if err != nil {
		return append(r.open, append(k.unstoredBatch(d, err), rest...)...), false
	}
	if r.changes() {
		for i, b := range boxes {
			r.replaceDevices(b, r.facts[i])
		}
	}
	return append(r.open, rest...), true
}

// acquireAll takes the batons of rooms, by ID, and first ends those rooms that are to end.
func (k *Committer) acquireAll(ids []subjects.Room) (boxes []*mailbox) {
	for _, id := range ids {
		b := k.acquire(id)
		boxes = append(boxes, b)
		for beaten := 0; beaten < patientTries && b.ending() && !k.Life.Over(); {
			if !k.step(b) {
				beaten++
			}
		}
	}
	return boxes
}

// choose takes calls from the front that together need no more than most rooms, and returns
// those rooms in the order in which everybody takes them.
func (k *Committer) choose(calls []*Call, most int) (chosen []*Call, ids []subjects.Room, rest []*Call) {
	set := map[subjects.Room]struct{}{}
	for i, c := range calls {
		need := c.Cmd.Named()
		if need == nil {
			need, c.more = k.roomsOf(c.Cmd)
		}
		if len(set)+len(need) > most && i > 0 {
			rest = slices.Clone(calls[i:])
			calls = calls[:i]
			break
		}
		for _, id := range need {
			set[id] = struct{}{}
		}
	}
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return calls, ids, rest
}

// roomsOf is the rooms that the command's session is in, as many as fit in one batch; more
// says that it is in others, too.
func (k *Committer) roomsOf(c *room.Command) (ids []subjects.Room, more bool) {
	for _, known := range k.Replica.Users.Of(c.User) {
		in := false
		known.View(func(st *room.State) { in = leaves(st, c) })
		if in && len(ids) == journal.MaxBatch {
			return ids, true
		}
		if in {
			ids = append(ids, known.ID)
		}
	}
	return ids, false
}

// leaves says whether the command's session can leave the room: it is in, and the room is not
// about to end anyway.
func leaves(st *room.State, c *room.Command) bool { return st.Has(c) && !st.Ending() }

// batch is a round about several rooms while it is decided.
type batch struct {
	*round
	boxes []*mailbox
	runs  []*room.Run // one for each room
	later []*Call     // for a later batch
}

// fly notes in the rooms whether the append of the batch is on its way.
func (d *batch) fly(yes bool) {
	for _, b := range d.boxes {
		b.flies(yes)
	}
}

// decide takes calls into the rooms' runs.
func (d *batch) decide(calls []*Call) {
	for i := range d.views {
		d.runs = append(d.runs, room.NewRun(d.views[i].ID, d.views[i].State, d.k.input(&d.views[i])))
	}
	for _, c := range calls {
		if c.Begin() && !d.repeated(c) {
			d.decideCall(c)
		}
	}
	for i, run := range d.runs {
		d.facts[i] = run.Fact()
	}
}

func (d *batch) decideCall(c *Call) {
	in := d.roomsFor(c)
	to := d.view(c.Cmd.Room) // the room that a switch goes to
	stays := to != nil && to.State.Has(c.Cmd)
	switch {
	case stays && !c.synced:
		// It would only leave; but the batch has no fact in the room that it is already in,
		// which would prove that it is still there.
		d.wait(&d.open, c)
		return
	case to == nil && !c.synced:
		d.wait(&d.later, c)
		return
	case to != nil:
		d.k.reserve(to.State, c)
	}
	runs := make([]*room.Run, len(in))
	for i, n := range in {
		runs[i] = d.runs[n]
	}
	v := room.AddSeveral(runs, c.Cmd)
	d.k.spare(c, v)
	switch {
	case v.Later && to != nil && d.boxes[in[1]].refused() != nil: // the room's end comes first, and can't be stored
		d.failed = append(d.failed, Result{Call: c, Verdict: room.Verdict{Refused: NotStored(d.boxes[in[1]].refused())}})
	case v.Later:
		d.wait(&d.later, c)
	case v.Changed || c.synced:
		d.decided = append(d.decided, d.decision(c, v, in, stays))
	default:
		d.wait(&d.open, c)
	}
}

// wait puts a call that was not decided on a list of those that wait.
func (d *batch) wait(list *[]*Call, c *Call) {
	if c.reopen() {
		*list = append(*list, c)
	}
}

// roomsFor is which of the batch's rooms a call is about: the rooms that it names, or the
// rooms that its session is in and that were there when the batch was chosen.
func (d *batch) roomsFor(c *Call) (in []int) {
	if named := c.Cmd.Named(); named != nil {
		for _, id := range named {
			in = append(in, d.index(id))
		}
		return in
	}
	for _, known := range d.k.Replica.Users.Of(c.Cmd.User) {
		if n := d.index(known.ID); n >= 0 && leaves(d.views[n].State, c.Cmd) {
			in = append(in, n)
		}
	}
	return in
}

// decision is a call that was decided about rooms; stays says that it stays in the room it
// switches to.
func (d *batch) decision(c *Call, v room.Verdict, in []int, stays bool) decision {
	made := decision{Result: Result{Call: c, Verdict: v}}
	if stays {
		to := d.view(c.Cmd.Room)
		made.was = &replica.Place{Room: to.ID, Position: to.Position()}
	}
	if !v.Changed {
		return made
	}
	if c.Cmd.Room != "" {
		in = in[:1] // the other is the one that it joins
	}
	for _, n := range in {
		made.leaves = append(made.leaves, d.views[n].ID)
	}
	return made
}

// unstoredBatch deals with a batch that was not stored, and returns the calls to be decided
// again.
func (k *Committer) unstoredBatch(d *batch, err error) (again []*Call) {
	d.unreserve()
	if !errors.Is(err, journal.ErrConflict) {
		d.refuse(err)
		return nil
	}
	if !d.moved() {
		for i, b := range d.boxes {
			if d.facts[i] != nil {
				k.catchUp(b, d.views[i].Revision)
			}
		}
	}
	return d.reopen()
}

// moved says whether a room that has a fact in the batch is newer than what that fact was to
// follow, after a sync point if necessary.
func (d *batch) moved() bool {
	newer := func() bool {
		for i, f := range d.facts {
			if f != nil && d.rooms[i].Revision() != d.views[i].Revision {
				return true
			}
		}
		return false
	}
	ctx, cancel := context.WithTimeout(d.k.Life, Timeout)
	defer cancel()
	return newer() || d.k.Sync.Pass(ctx) == nil && newer()
}
