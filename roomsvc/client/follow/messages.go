package follow

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// MessagesRequest says which room's messages to listen to, and where to start.
type MessagesRequest struct {
	RoomID string

	// AfterMessageSeq starts with the messages after this one, as far as they are kept, and
	// 0 with the oldest. Nil starts with those that are sent from now on.
	AfterMessageSeq *uint64

	// InstanceID is the instance of the room that the message AfterMessageSeq was said in. If
	// it has ended, what else was said in it comes first. Empty: the room as it is now.
	InstanceID string

	MayNotExist bool          // see [WatchRequest]
	Every       time.Duration // see [WatchRequest]

	// Note, unless it is nil, is called for what is not a message. Like the loop's body, it
	// runs in the caller's goroutine.
	Note func(Note)
}

// Heard is a message.
type Heard struct {
	Message   *events.Message // never nil, but empty beside an error; its Seq is set if it is stored
	Raw       jsontext.Value  // the message as it arrived
	Recovered bool            // the message was missed and then read by history

	After uint64 // the newest message before it, 0 if there is none
	Lost  bool   // some messages between After and it may have been missed and are no longer kept
}

// NoteKind says what a [Note] is about.
type NoteKind string

// What a note is about.
const (
	NoteListening NoteKind = "listening" // what was said before has been yielded; from here on messages come as they are said
	NoteLost      NoteKind = "lost"      // some messages after After may have been missed and are no longer kept
	NoteEnded     NoteKind = "ended"     // the room has ended, and everything that was said in it has been yielded
	NoteDeleted   NoteKind = "deleted"   // the messages in Deleted were deleted; it may be told more than once
)

// Note is what [Source.Messages] tells besides messages.
type Note struct {
	Kind       NoteKind
	InstanceID string // of the room; empty if there is none yet
	After      uint64 // the newest message so far, 0 if there is none

	// With [NoteDeleted]: the messages. Who deleted them, and the event, are known only if it was
	// heard live; nobody is a trusted caller that named no user.
	Deleted  []uint64
	Operator string
	Raw      jsontext.Value
}

// Messages is the client's Messages: it yields every stored message of a room exactly once,
// in order of its messageSeq, and those that are live only as they arrive. It stops as
// [Source.Watch] does.
func (s Source) Messages(ctx context.Context, q MessagesRequest) iter.Seq2[Heard, error] {
	return func(yield func(Heard, error) bool) {
		ctx, cancel := Within(ctx, s.Life)
		defer cancel()
		h := &hearing{ear: s.newEar(q.RoomID, q.Every, notFacts), yield: yield, tell: q.Note, instance: q.InstanceID}
		defer h.close()
		if err := h.run(ctx, q); !errors.Is(err, errBrokenOff) {
			yield(Heard{Message: &events.Message{}}, err)
		}
	}
}

// notFacts leaves out a subject that carries facts alone: facts and messages may have
// separate subjects or share one.
func notFacts(subject string) bool { _, is := subjects.RoomOfFacts(subject); return !is }

// hearing is the state of one call of Messages.
type hearing struct {
	*ear
	yield    func(Heard, error) bool
	tell     func(Note)
	instance string // the instance of the newest message, or as the service said
	over     bool   // its end was told
	last     uint64
	lost     bool // the caller was told that some messages after last may be lost
}

func (h *hearing) emit(n Heard) error {
	if n.After, n.Lost = h.last, h.lost; !h.yield(n, nil) {
		return errBrokenOff
	}
	return nil
}

func (h *hearing) note(kind NoteKind) {
	if h.tell != nil {
		h.tell(Note{Kind: kind, InstanceID: h.instance, After: h.last})
	}
}

func (h *hearing) noteDeleted(n Note) {
	if n.Kind, n.After = NoteDeleted, h.last; h.tell != nil && len(n.Deleted) > 0 {
		h.tell(n)
	}
}

// run listens until there is an error.
func (h *hearing) run(ctx context.Context, q MessagesRequest) error {
	reply, err := h.begin(ctx, q.MayNotExist || q.InstanceID != "")
	if err != nil {
		return err
	}
	if q.AfterMessageSeq != nil {
		h.last = *q.AfterMessageSeq
	} else if err := h.start(ctx, reply.InstanceID); err != nil {
		return err
	}
	if _, err := h.listen(ctx, reply.Subscribe); err != nil {
		return err
	}
	if err := h.look(ctx); err != nil { // for what was said before it listened
		return err
	}
	h.note(NoteListening)
	for {
		m, head, err := h.next(ctx)
		switch {
		case err != nil:
		case m != nil:
			err = h.take(ctx, m)
		case head == nil:
			err = h.look(ctx)
		case head.MessageSeq > h.last || head.InstanceID != h.instance:
			err = h.look(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// start starts after the room's newest message, if there is a room.
func (h *hearing) start(ctx context.Context, instanceID string) error {
	if instanceID == "" {
		return nil
	}
	page, err := h.history(ctx, room.HistoryRequest{Freshness: room.Freshness{Sync: true}, InstanceID: instanceID, BeforeMessageSeq: new(uint64), Count: 1})
	if err == nil && page.MessageSeq != nil {
		h.instance, h.last = page.InstanceID, *page.MessageSeq
	}
	if gone(err) {
		return nil
	}
	return err
}

// take handles a copy that was heard. It ignores what is not a message or cannot be read,
// except for the fact that the room has ended.
func (h *hearing) take(ctx context.Context, n *nats.Msg) error {
	m, err := events.DecodeMessage(n.Data)
	if d, e := events.DecodeDeletion(n.Data); e == nil {
		return h.delete(ctx, d, n)
	}
	if err != nil {
		f, _, ok := readFact(n.Data)
		h.doubt = h.doubt || ok && f.Type == events.RoomDestroyed && f.InstanceID == h.instance
		return nil
	}
	seq, before := number(n, nats.JSSequence), number(n, nats.JSLastSequence)
	switch {
	case string(m.Room) != h.roomID || seq > 0 && seq <= h.last:
		return nil
	case seq == 0:
		return h.emit(Heard{Message: m, Raw: n.Data})
	}
	if h.over && before <= h.last && h.instance != m.InstanceID { // nothing was said between
		h.instance, h.over = m.InstanceID, false
	}
	if err := h.enter(ctx, m.InstanceID); err != nil {
		return err
	}
	if before > h.last {
		if err := h.fill(ctx, seq); err != nil {
			return err
		}
	}
	if seq <= h.last {
		return nil
	}
	h.sure()
	m.Seq = seq
	return h.give(Heard{Message: m, Raw: n.Data})
}

// delete handles the deletion of messages, which has a place of its own among them.
func (h *hearing) delete(ctx context.Context, d *events.Deletion, n *nats.Msg) error {
	seq, before := number(n, nats.JSSequence), number(n, nats.JSLastSequence)
	switch {
	case string(d.Room) != h.roomID || seq <= h.last:
		return nil
	case before <= h.last:
	case d.InstanceID != h.instance: // what is missing shows at the next message
		return nil
	default:
		if err := h.fill(ctx, seq); err != nil {
			return err
		}
	}
	h.sure()
	h.last, h.lost = max(h.last, seq), false
	h.noteDeleted(Note{InstanceID: d.InstanceID, Deleted: d.MessageSeqs, Operator: d.Operator, Raw: n.Data})
	return nil
}

// give yields a stored message.
func (h *hearing) give(n Heard) error {
	err := h.emit(n)
	h.last, h.lost = n.Message.Seq, false
	return err
}

// look reads what was said after the last message. It handles what was heard first.
func (h *hearing) look(ctx context.Context) error {
	reply, err := h.get(ctx)
	if err == nil {
		_, err = h.listen(ctx, reply.Subscribe)
	}
	switch {
	case gone(err):
		if err := h.catchUp(ctx, h.take); err != nil {
			return err
		}
		return h.end(ctx, true, "")
	case errors.Is(err, room.ErrNotAllowed): // it is another room of that name, or one that the user has left
		if e := h.end(ctx, false, ""); e != nil {
			return e
		}
		return err
	case err != nil:
		return err
	}
	if err := h.catchUp(ctx, h.take); err != nil {
		return err
	}
	if err := h.enter(ctx, reply.InstanceID); err != nil {
		return err
	}
	return h.fill(ctx, 0)
}

// enter goes on with an instance of the room, after all that was said in those before it.
func (h *hearing) enter(ctx context.Context, instanceID string) error {
	if instanceID == h.instance {
		return nil
	}
	err := h.end(ctx, true, instanceID)
	h.instance, h.over = instanceID, false
	return err
}

// end reads what is left of an instance and of those after it, up to the given one, and tells
// of each that it has ended. If that is not certain of the first, it has if the service tells
// its past: that of a room is only for its members.
func (h *hearing) end(ctx context.Context, certain bool, upTo string) error {
	for h.instance != "" {
		next, err := "", error(nil)
		if h.over {
			next, err = h.after(ctx)
		} else {
			next, err = h.rest(ctx, certain)
		}
		if err != nil || next == "" || next == upTo {
			return err
		}
		h.instance, h.over, certain = next, false, false
	}
	return nil
}

// after says which instance comes after one whose end was told.
func (h *hearing) after(ctx context.Context) (next string, err error) {
	next, complete, err := h.ear.after(ctx, h.instance)
	if !complete {
		h.lose()
	}
	return next, err
}

// rest reads what is left of an instance, and tells that it has ended, if that is certain or
// turns out. next is the one after it.
func (h *hearing) rest(ctx context.Context, certain bool) (next string, err error) {
	for at, more := h.last, true; more; {
		page, err := h.past(ctx, at)
		switch {
		case err == nil && page.InstanceID == h.instance && page.MessageSeq != nil: // it is the room that exists, and the next look tells
			h.doubt = true
			return "", nil
		case err == nil && page.InstanceID == h.instance:
			to, err := h.page(page, 0, page.Complete)
			if err != nil {
				return "", err
			}
			certain, next = true, page.NextInstanceID
			more, at = to > at, max(at, to) // what was said there in other instances is not skipped by this
		case err == nil, unreadable(err):
			if !certain {
				return "", nil
			}
			h.lose() // nothing is kept of it
			more = false
		default:
			return "", err
		}
	}
	h.over = true
	h.note(NoteEnded)
	return next, nil
}

// past reads a page of what was said after a message.
func (h *hearing) past(ctx context.Context, after uint64) (*room.HistoryReply, error) {
	return h.history(ctx, room.HistoryRequest{Freshness: room.Freshness{Sync: true}, InstanceID: h.instance, AfterMessageSeq: &after})
}

// fill reads what was said after the last message, and before the message live that was heard;
// if live is 0, everything.
func (h *hearing) fill(ctx context.Context, live uint64) error {
	for more := true; more; {
		after := h.last
		page, err := h.past(ctx, after)
		switch {
		case gone(err), err == nil && page.InstanceID != h.instance: // it has ended since, and the next look tells
			h.doubt = true
			if live > 0 {
				h.lose()
			}
			return nil
		case err != nil:
			return err
		}
		news := page.MessageSeq == nil || *page.MessageSeq > h.last
		next, err := h.page(page, live, page.Complete || !news)
		if err != nil {
			return err
		}
		h.last = max(h.last, next) // what is not for this user is not on the page, but has been looked at
		more = next > 0 && h.last > after
	}
	return nil
}

// page gives the messages of a page, up to live if that is not 0. next is where another page
// begins; 0: there is none.
func (h *hearing) page(page *room.HistoryReply, live uint64, complete bool) (next uint64, err error) {
	if !complete {
		h.lose()
	}
	h.noteDeleted(Note{InstanceID: page.InstanceID, Deleted: page.Deleted})
	for _, raw := range page.Events {
		m, err := events.DecodeMessage(raw)
		if err != nil || m.Seq <= h.last {
			continue
		}
		if live > 0 && m.Seq >= live {
			return 0, nil
		}
		if err := h.give(Heard{Message: m, Raw: raw, Recovered: true}); err != nil {
			return 0, err
		}
	}
	next, _ = strconv.ParseUint(page.NextFlag, 10, 64)
	if live > 0 && next >= live {
		return 0, nil
	}
	return next, nil
}

// lose says that some messages may be lost for good. It says so once after each message.
func (h *hearing) lose() {
	if !h.lost {
		h.lost = true
		h.note(NoteLost)
	}
}
