package follow

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// WatchRequest says what to watch.
type WatchRequest struct {
	RoomID string

	// MayNotExist waits for a room that does not exist yet. Without it, a missing room is
	// [room.ErrRoomNotExist].
	MayNotExist bool

	// Every is how often the watch asks for the room's position when it hears nothing of
	// the room and no renewal tells it. The last fact before a silence may be missing for
	// as long as that. Zero means 20 s.
	Every time.Duration
}

// Fresh says why a roster does not follow from the one before it.
type Fresh string

// Why a roster does not follow from the one before it.
const (
	FreshStart    Fresh = "start"    // the first one
	FreshInstance Fresh = "instance" // the room is another one of that name now
	FreshGap      Fresh = "gap"      // some facts were missed and can't be told: they are no longer kept, or of an instance whose first fact the caller may not read; or the journal has lost some since
)

// Update is one step of a [Source.Watch].
type Update struct {
	// Fact is what happened. It is nil if a snapshot takes its place, and if the room was
	// found to be gone. If this version does not know the fact's type, only the fields that
	// all facts have are set.
	Fact      *events.Fact
	Raw       jsontext.Value // the fact as it arrived
	Revision  uint64         // the fact's revision; 0 if it is not known, for example because the fact was recovered
	Recovered bool           // the fact was missed and then read by history

	Fresh  Fresh   // why the roster starts over; empty if it follows from the one before
	Roster *Roster // the room after the fact; nil, which has no members, if there is none
}

// Watch is the client's Watch: it yields a room as it is, and then every fact of it exactly
// once and in order, until the caller breaks out of the loop or there is an error:
//   - the cause that ctx or Life ended with, or [nats.ErrConnectionClosed];
//   - [room.ErrRoomNotExist] at the first step, see [WatchRequest.MayNotExist];
//   - any other refusal.
//
// Everything runs in the caller's goroutine.
func (s Source) Watch(ctx context.Context, q WatchRequest) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		ctx, cancel := Within(ctx, s.Life)
		defer cancel()
		w := &watch{ear: s.newEar(q.RoomID, q.Every, notMessages), yield: yield}
		defer w.close()
		if err := w.run(ctx, q); !errors.Is(err, errBrokenOff) {
			yield(Update{}, err)
		}
	}
}

// notMessages leaves out a subject that carries messages alone: facts and messages may have
// separate subjects or share one.
func notMessages(subject string) bool { _, is := subjects.RoomOfMessages(subject); return !is }

// endsWithin is how long to wait for the fact of a room's end after the service has
// answered that there is no such room. If the fact has not arrived by then, it is lost.
const endsWithin = 2 * time.Second

// watch is the state of one call of Watch.
type watch struct {
	*ear
	yield func(Update, error) bool

	roster   *Roster // nil if there is no room
	instance string  // the roster's, or that of the room that ended
	revision uint64  // the highest that was heard or in a snapshot
	missing  bool    // the service said that the room is gone, and nothing was heard since
	skipped  bool    // facts of instances after that one could not be told
}

func (w *watch) emit(u Update) error {
	if u.Roster = w.roster; w.yield(u, nil) {
		return nil
	}
	return errBrokenOff
}

// run watches until there is an error.
func (w *watch) run(ctx context.Context, q WatchRequest) error {
	reply, err := w.begin(ctx, q.MayNotExist)
	if err == nil {
		_, err = w.listen(ctx, reply.Subscribe)
	}
	if err != nil {
		return err
	}
	if err := w.refresh(ctx, FreshStart); err != nil {
		return err
	}
	for {
		m, head, err := w.next(ctx)
		switch {
		case err != nil:
		case m != nil:
			err = w.take(ctx, m)
		case head != nil:
			err = w.compare(ctx, head.InstanceID, head.Sequence, 0)
		default:
			err = w.look(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// refresh yields a fresh snapshot.
func (w *watch) refresh(ctx context.Context, why Fresh) error {
	roster, err := w.snapshot(ctx)
	if w.instance != "" && (gone(err) || err == nil && roster.InstanceID() != w.instance) {
		upTo := ""
		if err == nil {
			upTo = roster.InstanceID()
		}
		if e := w.leave(ctx, upTo); e != nil {
			return e
		}
		why = w.another()
	}
	switch {
	case gone(err) && why == FreshStart:
		return w.emit(Update{Fresh: why})
	case gone(err):
		return nil
	case err != nil:
		return err
	}
	// What was heard before is older, or of a journal that has lost its end since.
	w.roster, w.instance, w.revision, w.missing = roster, roster.InstanceID(), roster.revision, false
	return w.emit(Update{Fresh: why})
}

// take handles a copy that was heard. It ignores what is not a fact or cannot be read: if
// that was a fact, the next one shows that it is missing.
func (w *watch) take(ctx context.Context, m *nats.Msg) error {
	f, known, ok := readFact(m.Data)
	revision := number(m, nats.JSSequence)
	if !ok || string(f.Room) != w.roomID || revision > 0 && revision <= w.revision {
		return nil
	}
	u := Update{Fact: f, Raw: m.Data, Revision: revision}
	switch r := w.roster; {
	case r == nil && f.InstanceID == w.instance:
		return nil // the fact is of the room that ended
	case f.InstanceID != w.instance && f.Type == events.RoomCreated:
		if r != nil || w.instance != "" && number(m, nats.JSLastSequence) > w.revision { // or what was heard last is the fact before it
			if err := w.leave(ctx, f.InstanceID); err != nil {
				return err
			}
		}
		return w.bear(ctx, u)
	case r == nil || f.InstanceID != w.instance:
		return w.refresh(ctx, FreshInstance)
	case f.Sequence <= r.Sequence():
		return nil
	case f.Sequence > r.Sequence()+1:
		return w.fill(ctx, revision)
	}
	w.sure()
	return w.fold(ctx, u, known)
}

// readFact reads a fact, even one of an unknown type. ok is false for everything else.
func readFact(raw []byte) (f *events.Fact, known, ok bool) {
	f, err := events.DecodeFact(raw)
	known = err == nil
	return f, known, known || errors.Is(err, events.ErrUnknownType) && f.Sequence > 0
}

// bear starts over with a room that was just made.
func (w *watch) bear(ctx context.Context, u Update) (err error) {
	roster, err := born(u.Fact, u.Revision)
	if err != nil {
		return w.refresh(ctx, FreshInstance)
	}
	w.roster, w.instance, w.revision, w.missing, u.Fresh = roster, u.Fact.InstanceID, u.Revision, false, w.another()
	return w.emit(u)
}

// another is why the roster is that of another instance.
func (w *watch) another() Fresh {
	if !w.skipped {
		return FreshInstance
	}
	w.skipped = false
	return FreshGap
}

// fold applies the next fact.
func (w *watch) fold(ctx context.Context, u Update, known bool) error {
	w.revision, w.missing = max(w.revision, u.Revision), false
	in := w.in()
	if err := w.roster.fold(u.Fact, known, u.Revision); err != nil {
		return w.refresh(ctx, FreshGap)
	}
	if u.Fact.Type == events.RoomDestroyed {
		w.roster = nil
	} else if in && !w.in() {
		w.doubt = true // an end user may hear nothing more
	}
	return w.emit(u)
}

// in says whether the end user who watches is a member.
func (w *watch) in() bool {
	return w.from.User != "" && w.roster.state.Member(w.from.User) != nil
}

// leave tells what there is to tell before the watch goes on with the given instance of the
// room, or with none: the last facts of the one that it knows, and those of the instances after
// that.
func (w *watch) leave(ctx context.Context, upTo string) error {
	if w.roster != nil {
		if err := w.end(ctx); err != nil {
			return err
		}
	}
	return w.pass(ctx, upTo)
}

// pass tells the facts of the instances after one that has ended, up to the given one.
func (w *watch) pass(ctx context.Context, upTo string) error {
	for w.roster == nil && w.instance != "" {
		next, complete, err := w.after(ctx, w.instance)
		w.skipped = w.skipped || !complete
		if err != nil || next == "" || next == upTo {
			return err
		}
		w.instance = next
		whole, err := w.rest(ctx)
		if err != nil || whole && w.roster != nil { // it is the room that exists
			return err
		}
		if w.skipped = w.skipped || !whole; w.roster != nil {
			w.roster = nil
			if err := w.emit(Update{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// end tells the room's last facts and its end, as far as they are kept; the end comes without
// a fact if its fact is not.
func (w *watch) end(ctx context.Context) error {
	if _, err := w.rest(ctx); err != nil || w.roster == nil {
		return err
	}
	w.roster = nil
	return w.emit(Update{})
}

// rest reads what is left of a room that has ended, from its first fact on if there is no roster.
// If its end is among that, there is no roster any more. whole says that nothing was missing.
func (w *watch) rest(ctx context.Context) (whole bool, err error) {
	for {
		after := uint64(0)
		if w.roster != nil {
			after = w.roster.Sequence()
		}
		page, err := w.history(ctx, room.HistoryRequest{Freshness: room.Freshness{Sync: true}, InstanceID: w.instance, AfterSequence: &after})
		switch {
		case unreadable(err):
			return false, nil
		case err != nil:
			return false, err
		case page.InstanceID != w.instance:
			return false, nil
		}
		for _, raw := range page.Events {
			f, known, ok := readFact(raw)
			u := Update{Fact: f, Raw: raw, Recovered: true}
			if !ok || !w.step(&u, known) {
				return false, nil
			}
			if err := w.emit(u); err != nil || w.roster == nil {
				return true, err
			}
		}
		if page.NextFlag == "" {
			return page.Complete && w.roster != nil, nil
		}
	}
}

// step applies a fact that was read, the first one of a room also. It returns false if it is
// not the next one.
func (w *watch) step(u *Update, known bool) bool {
	f := u.Fact
	if w.roster == nil {
		if !known || f.Type != events.RoomCreated {
			return false
		}
		roster, err := born(f, 0)
		if err != nil {
			return false
		}
		w.roster, w.missing, u.Fresh = roster, false, w.another()
		return true
	}
	if f.Sequence != w.roster.Sequence()+1 || w.roster.fold(f, known, 0) != nil {
		return false
	}
	if f.Type == events.RoomDestroyed {
		w.roster = nil
	}
	return true
}

// fill reads the facts that were missed. revision is that of a fact after the missing ones,
// if it is known. If it is not, the instance that is asked may not have seen the facts yet,
// so it is told to look first.
func (w *watch) fill(ctx context.Context, revision uint64) error {
	for {
		after := w.roster.Sequence()
		page, err := w.history(ctx, room.HistoryRequest{Freshness: room.Freshness{MinRevision: revision, Sync: revision == 0}, InstanceID: w.instance, AfterSequence: &after})
		switch {
		case gone(err):
			return w.absent(ctx)
		case err != nil:
			return w.shutOut(ctx, err)
		case page.InstanceID != w.instance:
			return w.refresh(ctx, FreshInstance)
		case !page.Complete:
			return w.refresh(ctx, FreshGap)
		}
		for _, raw := range page.Events {
			f, known, ok := readFact(raw)
			if !ok || f.Sequence != w.roster.Sequence()+1 {
				return w.refresh(ctx, FreshGap)
			}
			if err := w.fold(ctx, Update{Fact: f, Raw: raw, Recovered: true}, known); err != nil || w.roster == nil || w.roster.Sequence() != f.Sequence {
				return err
			}
		}
		if page.NextFlag == "" {
			return nil
		}
	}
}

// look asks the service for the room's position.
func (w *watch) look(ctx context.Context) error {
	reply, err := w.get(ctx)
	switch {
	case gone(err):
		return w.absent(ctx)
	case err != nil:
		return w.shutOut(ctx, err)
	}
	if _, err := w.listen(ctx, reply.Subscribe); err != nil {
		return err
	}
	if w.roster != nil && reply.InstanceID == w.instance && reply.Sequence < w.roster.Sequence() { // the journal lost its end
		return w.refresh(ctx, FreshGap)
	}
	return w.compare(ctx, reply.InstanceID, reply.Sequence, reply.Revision)
}

// compare checks whether the watch lacks facts that the service knows. It handles what was
// heard meanwhile first. Without a revision the instance may be an earlier one.
func (w *watch) compare(ctx context.Context, instanceID string, sequence, revision uint64) error {
	if err := w.catchUp(ctx, w.take); err != nil {
		return err
	}
	switch {
	case (w.roster == nil || instanceID != w.instance) && revision == 0:
		return w.look(ctx)
	case w.roster == nil && instanceID == w.instance:
		return nil // the room ended since
	case w.roster == nil || instanceID != w.instance:
		return w.refresh(ctx, FreshInstance)
	case sequence > w.roster.Sequence():
		return w.fill(ctx, revision)
	}
	return nil
}

// absent handles the answer that there is no such room. The service also answers that for a
// room that is about to end, so the fact of its end gets a moment to arrive.
func (w *watch) absent(ctx context.Context) error {
	asked := w.instance
	if err := w.catchUp(ctx, w.take); err != nil || w.instance != asked { // there is another room since
		return err
	}
	if w.roster == nil {
		return w.pass(ctx, "")
	}
	if !w.missing {
		w.missing = true
		w.timer.Reset(endsWithin)
		return nil
	}
	return w.leave(ctx, "")
}

// shutOut handles the answer that the user may not read the room any more. The fact that
// the user itself left, which it may hear, gets a moment to arrive.
func (w *watch) shutOut(ctx context.Context, why error) error {
	switch {
	case !errors.Is(why, room.ErrNotAllowed):
		return why
	case w.missing: // the room may have ended, and be another one of that name now
		if w.roster != nil {
			if _, err := w.rest(ctx); err != nil {
				return err
			}
		}
		if err := w.pass(ctx, ""); err != nil {
			return err
		}
		return why
	}
	if err := w.catchUp(ctx, w.take); err != nil {
		return err
	}
	w.missing = true
	w.timer.Reset(endsWithin)
	return nil
}

// A snapshot is tried again after a pause. The pause doubles each time, and is shortened at
// random by up to a half so that many watches of a busy room do not read it in step.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = 2 * time.Second
)

// errMoved says that the room changed too much while it was read.
var errMoved = errors.New("the room changed while it was read")

// snapshot reads the room as it is at one moment.
func (w *watch) snapshot(ctx context.Context) (*Roster, error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		roster, err := w.read(ctx)
		switch {
		case err == nil:
			return roster, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.Is(err, errMoved):
			return nil, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// read is one try of a snapshot.
func (w *watch) read(ctx context.Context) (*Roster, error) {
	reply, err := w.get(ctx)
	for changed := true; err == nil && changed; {
		if changed, err = w.listen(ctx, reply.Subscribe); err == nil && changed { // something may have happened before it listened
			reply, err = w.get(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	p, err := w.pages(ctx, reply)
	if err != nil {
		return nil, err
	}
	state, err := w.level(ctx, p.state(), p.newest)
	if err != nil {
		return nil, err
	}
	if !state.Whole() {
		return nil, errMoved
	}
	return &Roster{state, reply.Revision}, nil
}

// pages reads all members.
func (w *watch) pages(ctx context.Context, reply *room.GetReply) (*pages, error) {
	p := newPages(subjects.Room(w.roomID), reply)
	for next := ""; ; {
		page, err := w.from.Members(ctx, room.MembersRequest{
			RoomID: w.roomID, Page: room.Page{NextFlag: next}, Freshness: room.Freshness{MinRevision: reply.Revision},
		})
		if err != nil {
			return nil, err
		}
		if !p.add(page) {
			return nil, errMoved
		}
		if next = page.NextFlag; next == "" {
			return p, nil
		}
	}
}

// level merges into a state made of pages the facts between the oldest and the newest page.
func (w *watch) level(ctx context.Context, s *room.State, newest uint64) (*room.State, error) {
	for s.Sequence < newest {
		after := s.Sequence
		page, err := w.history(ctx, room.HistoryRequest{Freshness: room.Freshness{Sync: true}, InstanceID: s.InstanceID, AfterSequence: &after})
		if err != nil {
			return nil, err
		}
		if page.InstanceID != s.InstanceID || !page.Complete {
			return nil, errMoved
		}
		for _, raw := range page.Events {
			f, known, ok := readFact(raw)
			if !ok || f.Sequence != s.Sequence+1 {
				return nil, errMoved
			}
			if s, err = merge(s, f, known); err != nil {
				return nil, errMoved
			}
			if s.Sequence == newest {
				break
			}
		}
	}
	return s, nil
}
