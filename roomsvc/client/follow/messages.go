package follow

import (
	"context"
	"errors"
	"iter"
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

	MayNotExist bool          // see [WatchRequest]
	Every       time.Duration // see [WatchRequest]
}

// Heard is one step of [Source.Messages].
type Heard struct {
	// Message is what was said; its Seq is set if it is stored. Message is nil in the first
	// step, which says that the messages after After come from here on, and in a step that
	// says that some were lost.
	Message   *events.Message
	Raw       jsontext.Value // the message as it arrived
	Recovered bool           // the message was missed and then read by history

	After uint64 // the newest message before this step, 0 if there is none
	Lost  bool   // some messages after After may have been missed and are no longer kept
}

// Messages is the client's Messages: it yields every stored message of a room exactly once,
// in order of its messageSeq, and those that are live only as they arrive. It stops as
// [Source.Watch] does.
func (s Source) Messages(ctx context.Context, q MessagesRequest) iter.Seq2[Heard, error] {
	return func(yield func(Heard, error) bool) {
		ctx, cancel := Within(ctx, s.Life)
		defer cancel()
		h := &hearing{ear: s.newEar(q.RoomID, q.Every, notFacts), yield: yield}
		defer h.close()
		if err := h.run(ctx, q); !errors.Is(err, errBrokenOff) {
			yield(Heard{}, err)
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
	instance string // the instance of the newest message, or as the service said
	last     uint64
	lost     bool // the caller was told that some messages after last may be lost
}

func (h *hearing) emit(n Heard) error {
	if n.After = h.last; !h.yield(n, nil) {
		return errBrokenOff
	}
	return nil
}

// run listens until there is an error.
func (h *hearing) run(ctx context.Context, q MessagesRequest) error {
	reply, err := h.begin(ctx, q.MayNotExist)
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
	if err := h.emit(Heard{}); err != nil {
		return err
	}
	if err := h.look(ctx); err != nil { // for what was said before it listened
		return err
	}
	for {
		m, head, err := h.next(ctx)
		switch {
		case err != nil:
		case m != nil:
			err = h.take(ctx, m)
		case head == nil:
			err = h.look(ctx)
		case head.MessageSeq > h.last:
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

// take handles a copy that was heard. It ignores what is not a message or cannot be read.
func (h *hearing) take(ctx context.Context, n *nats.Msg) error {
	m, err := events.DecodeMessage(n.Data)
	if err != nil || string(m.Room) != h.roomID {
		return nil
	}
	seq, before := number(n, nats.JSSequence), number(n, nats.JSLastSequence)
	switch {
	case seq == 0:
		return h.emit(Heard{Message: m, Raw: n.Data})
	case seq <= h.last:
		return nil
	case before > h.last:
		if err := h.fill(ctx, m.InstanceID, true); err != nil || seq <= h.last {
			return err
		}
	}
	h.sure()
	h.instance, m.Seq = m.InstanceID, seq
	return h.give(Heard{Message: m, Raw: n.Data})
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
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.catchUp(ctx, h.take); err != nil {
		return err
	}
	return h.fill(ctx, reply.InstanceID, false)
}

// fill reads what was said in an instance of the room after the last message. If something
// is certainly missing, or if anything was said at all, then the end of the instance before
// may have been missed, and it cannot be read any more.
func (h *hearing) fill(ctx context.Context, instanceID string, missing bool) error {
	other := h.instance != "" && h.instance != instanceID
	for {
		after := h.last
		page, err := h.history(ctx, room.HistoryRequest{Freshness: room.Freshness{Sync: true}, InstanceID: instanceID, AfterMessageSeq: &after})
		switch {
		case gone(err):
			return h.lose(missing)
		case err != nil:
			return err
		case page.InstanceID != instanceID:
			return h.lose(missing || page.MessageSeq != nil && *page.MessageSeq > h.last)
		}
		news := page.MessageSeq != nil && *page.MessageSeq > h.last
		if err := h.lose(news && (other || !page.Complete)); err != nil {
			return err
		}
		h.instance, other = instanceID, false
		for _, raw := range page.Events {
			m, err := events.DecodeMessage(raw)
			if err != nil || m.Seq <= h.last {
				continue
			}
			if err := h.give(Heard{Message: m, Raw: raw, Recovered: true}); err != nil {
				return err
			}
		}
		if page.NextFlag == "" || h.last == after {
			return nil
		}
	}
}

// lose says that some messages may be lost for good. It says so once after each message.
func (h *hearing) lose(some bool) error {
	if !some || h.lost {
		return nil
	}
	h.lost = true
	return h.emit(Heard{Lost: true})
}
