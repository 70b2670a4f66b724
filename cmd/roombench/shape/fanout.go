package shape

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go/micro"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Said is what came of an audience.
type Said struct {
	Measured
	Replies      [][]byte // to the sender's commands
	Header, Data []byte   // of one message, as it was heard
}

// hall is a room with an audience, and one who speaks.
type hall struct {
	*audience
	feeds   bool
	ears    []*ear
	sender  *client
	turns   []chan struct{} // closed when it is somebody's turn to begin: the ears, the sender, who takes its replies
	came    atomic.Int64
	text    string
	replies [][]byte
}

// ear is one of the audience.
type ear struct {
	*client
	next         uint64 // the number of the message that it should hear next
	header, data []byte // of the first one
}

// Fanout measures n messages of one member that all the audience hears: end users on their feeds,
// who are members, or trusted callers on the room's subject. Each message is its number and text.
func Fanout(ctx context.Context, cfg Config, prefix string, size, n int, text string) (Said, error) {
	h := &hall{audience: newAudience(&cfg, size, n), feeds: cfg.Feeds, text: text}
	at := newNames(prefix, 1)
	all, err := dialAll(size+1, func(i int) (*client, error) { return newClient(&cfg, at, i, listenersLease) }, func(c *client) { c.Close() })
	if err != nil {
		return Said{}, err
	}
	defer hangUp(all)
	for _, c := range all {
		h.turns = append(h.turns, make(chan struct{}))
		h.ears = append(h.ears, &ear{client: c})
	}
	h.turns, h.sender, h.ears = append(h.turns, make(chan struct{})), all[size], h.ears[:size]
	h.sender.hear = func(*wire.Msg) error { return nil }
	close(h.turns[0])
	stop := func() {
		close(h.ended)
		hangUp(all)
	}
	progress := func() int64 { return h.came.Load() + h.answers.Load() }
	err = together(ctx, size+2, progress, stop, func(i int) error {
		select {
		case <-h.turns[i]:
		case <-h.ended:
			return errOver
		}
		switch i {
		case size:
			return h.speak()
		case size + 1:
			return h.takeReplies()
		}
		return h.listen(i)
	})
	if err != nil {
		return Said{}, err
	}
	s := Said{Measured: h.measured(nil), Replies: h.replies, Header: h.ears[0].header, Data: h.ears[0].data}
	s.Copies = int(h.answers.Load())
	return s, nil
}

// listen comes in, lets the next one come, and hears all messages.
func (h *hall) listen(i int) error {
	e := h.ears[i]
	e.hear = func(m *wire.Msg) error { return h.take(e, m) }
	var err error
	if h.feeds {
		_, err = e.move(e.lines, room.Enter, 0)
	} else if err = e.Write(wire.AppendSub(e.lines, subjects.Messages(subjects.Room(e.at.rooms[0])), roomSID)); err == nil {
		err = e.Flush()
	}
	if err != nil {
		return err
	}
	h.came.Add(1)
	close(h.turns[i+1])
	for e.next < uint64(h.total()) {
		var m wire.Msg
		if err := e.Read(&m); err != nil {
			return e.cut(err)
		}
		if err := e.hear(&m); err != nil {
			return err
		}
	}
	return nil
}

var (
	messageType = []byte(`"type":"` + events.MessageSent)
	textKey     = []byte(`"data":"`)
)

// take checks that a message is the next one.
func (h *hall) take(e *ear, m *wire.Msg) error {
	if e.at.of(m.Subject) < 0 || !bytes.Contains(m.Data, messageType) {
		return nil
	}
	i := bytes.Index(m.Data, textKey)
	if i < 0 {
		return fmt.Errorf("a message without data: %.200q", m.Data)
	}
	if n := wire.Number(m.Data[i+len(textKey):]); n != e.next {
		return fmt.Errorf("%s heard message %d of %s, and the next one should be %d", e.user, n, e.at.rooms[0], e.next)
	}
	if e.next == 0 {
		e.header, e.data = bytes.Clone(m.Header), bytes.Clone(m.Data)
	}
	e.next++
	h.heard()
	return nil
}

// speak enters, and says everything.
func (h *hall) speak() error {
	if _, err := h.sender.move(h.sender.lines, room.Enter, 0); err != nil {
		return err
	}
	close(h.turns[len(h.ears)+1])
	var lines []byte
	for i := range h.total() {
		if err := h.wait(i); err != nil {
			return err
		}
		body := fmt.Sprintf(`{"roomID":"%s"%s,"type":"%s","data":"%08d %s"}`, h.sender.at.rooms[0], h.sender.more, events.Text, i, h.text)
		lines = wire.AppendPub(lines[:0], h.sender.verbs[room.Send], h.sender.inbox+strconv.Itoa(i), nil, []byte(body))
		if err := h.sender.Write(lines); err != nil {
			return h.sender.cut(err)
		}
	}
	return nil
}

func (h *hall) takeReplies() error {
	for len(h.replies) < h.total() {
		var m wire.Msg
		if err := h.sender.Read(&m); err != nil {
			return h.sender.cut(err)
		}
		switch {
		case m.SID != inboxSID:
		case bytes.Contains(m.Header, []byte(micro.ErrorHeader)):
			return fmt.Errorf("a message was refused: %s", m.Data)
		default:
			h.replies = append(h.replies, bytes.Clone(m.Data))
		}
	}
	return nil
}

// RawFanout measures n plain messages with these bytes on a subject with as many subscribers.
func RawFanout(ctx context.Context, cfg Config, subject string, size, n int, header, data []byte) (Measured, error) {
	a := newAudience(&cfg, size, n)
	all, err := dialAll(size+1, func(i int) (*wire.Conn, error) {
		if i == size {
			return wire.Dial(cfg.Address, cfg.Login)
		}
		return subscribed(&cfg, subject)
	}, (*wire.Conn).Close)
	if err != nil {
		return Measured{}, err
	}
	stop := func() {
		close(a.ended)
		hangUp(all)
	}
	defer hangUp(all)
	line := wire.AppendPub(nil, subject, "", header, data)
	err = together(ctx, size+1, a.answers.Load, stop, func(i int) error {
		for k := range a.total() {
			if i == size {
				if err := a.wait(k); err != nil {
					return err
				}
				if err := all[i].Write(line); err != nil {
					return err
				}
				continue
			}
			var m wire.Msg
			if err := all[i].Read(&m); err != nil {
				return err
			}
			a.heard()
		}
		return nil
	})
	if err != nil {
		return Measured{}, fmt.Errorf("raw fan-out: %w", err)
	}
	return a.measured(nil), nil
}
