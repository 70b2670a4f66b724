package roomsvc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// sayings are the messages that are to be stored and are not acknowledged yet, oldest first.
type sayings struct {
	mu   sync.Mutex
	open []*saying

	paceMu sync.Mutex
	paces  map[paceKey]*room.Pace
}

type paceKey struct {
	user subjects.User
	room subjects.Room
}

// saying is a message on its way into the stream. It goes out again, under the same
// message ID, until it is acknowledged or its time is over.
type saying struct {
	*call
	message *events.Message
	entry   []journal.Entry
	digest  string

	// Under the lock of sayings.
	next   time.Time
	tries  int
	forget func() // stops waiting for the answer to the last try
}

// say takes a send. A member's message is accepted from memory, a refusal is proved by
// a sync point.
func (s *Service) say(q *request) {
	body := &room.SendRequest{}
	if !parse(s, q, body) {
		return
	}
	cmd, err := s.start(q, &body.Caller, !q.userForm, body)
	if err == nil {
		err = setRoom(&cmd.Room, "roomID", body.RoomID)
	}
	if err != nil {
		s.sendError(q.call, err)
		return
	}
	q.state.Store(deciding)
	if cmd.RequestID != "" && s.repeated(q.call, nil) {
		return
	}
	m, err := cmd.Say(body, s.limits.Load())
	if err != nil {
		s.refuse(q.call, err)
		return
	}
	s.alive(q.call, func() { s.speak(q, m) })
}

// speak publishes a message, or refuses it once that is proved.
func (s *Service) speak(q *request, m *events.Message) {
	cmd := q.cmd
	if s.mayTalk(cmd, m) == nil {
		s.publish(q.call, m)
		return
	}
	go func() {
		ctx, cancel := context.WithDeadline(s.life, q.deadline)
		defer cancel()
		if s.sync.pass(ctx) != nil {
			s.refuse(q.call, room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who is in %q; try again", cmd.Room))
			return
		}
		refused := s.mayTalk(cmd, m)
		if refused == nil {
			s.publish(q.call, m)
		} else if !s.saidBefore(ctx, q.call, m) {
			s.refuse(q.call, refused)
		}
	}()
}

// saidBefore answers a request whose message was stored while its user was in.
func (s *Service) saidBefore(ctx context.Context, c *call, m *events.Message) bool {
	if c.cmd.RequestID == "" || !m.Type.Stored() {
		return false
	}
	seq, err := s.messages.Find(ctx, c.cmd.Room, messageID(c.cmd))
	switch {
	case err != nil:
		s.log.Debug("looking for a repeated message", "error", err)
		e := room.Refuse(room.ErrUnavailable, "%q is not in %q, and whether this was stored before is not known; send it again with the same requestID", c.cmd.User, c.cmd.Room)
		e.Outcome = room.Unknown
		s.refuse(c, e)
	case seq == 0:
		return false
	default:
		s.track(c)
		s.repeatedMessage(&saying{call: c, digest: c.cmd.Digest}, seq)
	}
	return true
}

// messageID is the same for every try of a request.
func messageID(c *room.Command) string {
	sum := sha256.Sum256([]byte(string(c.User) + "\x00" + c.RequestID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// mayTalk says why the command's user may not send in its room, and names the room's
// instance in the message. Its time is none before the room's newest fact: whoever came in
// by that, where another clock is ahead, may read what is said from here on.
func (s *Service) mayTalk(c *room.Command, m *events.Message) *room.Error {
	refuse := func(code *room.Code, format string, args ...any) *room.Error {
		return room.Refuse(code, format+"; nothing was sent", args...)
	}
	mb := s.rep.find(c.Room)
	if mb != nil {
		mb.mu.Lock()
		defer mb.mu.Unlock()
	}
	switch {
	case mb == nil || mb.state == nil || mb.state.Ending():
		if c.User == "" {
			return refuse(room.ErrRoomNotExist, "there is no room %q", c.Room)
		}
		return refuse(room.ErrUserNotInRoom, "there is no room %q, so %q is not in it", c.Room, c.User)
	case c.User != "" && !in(mb.state, c):
		return refuse(room.ErrUserNotInRoom, "%q (session %s) is not in %q", c.User, c.Session, c.Room)
	}
	m.InstanceID, m.Time = mb.state.InstanceID, mb.state.FactAt
	return nil
}

// publish sends a message that may be sent.
func (s *Service) publish(c *call, m *events.Message) {
	if wait := s.tooFast(c.cmd, m); wait > 0 {
		ms := (wait + time.Millisecond - 1).Milliseconds() // not a moment too early
		e := room.Refuse(room.ErrRateLimited, "%q sends more than %d messages a second in %q; nothing was sent; go on in %d ms", c.cmd.User, s.limits.Load().MessageRate, c.cmd.Room, ms)
		e.Limit, e.RetryAfterMs = int64(s.limits.Load().MessageRate), ms
		s.refuse(c, e)
		return
	}
	m.ID, m.Time = nuid.Next(), max(m.Time, events.TimeOf(time.Now()))
	var err error
	if m.Type.Stored() {
		err = s.store(c, m)
	} else {
		err = s.shout(c, m)
	}
	if err != nil {
		s.refuse(c, notStored(fmt.Errorf("%w: %w", journal.ErrRefused, err)))
	}
}

// shout sends a message that is live only. A request ID is remembered where it was sent.
func (s *Service) shout(c *call, m *events.Message) error {
	data, err := m.Encode(s.cfg.SourcePrefix)
	if err != nil {
		return err
	}
	if err = s.nc.PublishMsg(&nats.Msg{Subject: subjects.Messages(m.Room), Header: noticeHeader, Data: data}); err != nil {
		return err
	}
	reply := &room.SendReply{MessageID: m.ID, Timestamp: int64(m.Time)}
	s.rep.requests.said(c.cmd, reply)
	s.answer(c, reply)
	return nil
}

// store appends a message to the stream.
func (s *Service) store(c *call, m *events.Message) error {
	id, digest := m.ID, ""
	if c.cmd.RequestID != "" {
		id, digest = messageID(c.cmd), c.cmd.Digest
	}
	entry, err := s.messages.Entry(m, s.cfg.SourcePrefix, id, digest)
	if err != nil {
		return err
	}
	y := &saying{call: c, message: m, entry: []journal.Entry{entry}, digest: digest}
	s.track(c)
	s.sayings.mu.Lock()
	defer s.sayings.mu.Unlock()
	s.sayings.open = append(s.sayings.open, y)
	s.offer(y, firstResend)
	return nil
}

// offer sends a message to the stream once more. The lock of sayings is held.
func (s *Service) offer(y *saying, patience time.Duration) {
	y.tries++
	y.next = time.Now().Add(patience)
	y.forget, _ = s.journal.Append(y.entry, func(seq uint64, err error) { s.stored(y, seq, err) })
}

// stored takes the stream's answer. One that proves nothing is waited out, and so is a
// refusal of what may have been stored by a try before it.
func (s *Service) stored(y *saying, seq uint64, err error) {
	switch {
	case err == nil:
		s.messages.Said(y.message.Room, seq)
		s.answer(y.call, &room.SendReply{MessageID: y.message.ID, MessageSeq: seq, Timestamp: int64(y.message.Time)})
	case errors.Is(err, journal.ErrRepeated):
		go s.repeatedMessage(y, seq)
	case errors.Is(err, journal.ErrRefused):
		s.sayings.mu.Lock()
		defer s.sayings.mu.Unlock()
		if y.tries == 1 {
			s.refuse(y.call, notStored(err))
		}
	}
}

// repeatedMessage answers with what is stored under the message's ID: it, by an earlier
// try, or that of an earlier request.
func (s *Service) repeatedMessage(y *saying, seq uint64) {
	ctx, cancel := context.WithDeadline(s.life, y.deadline)
	defer cancel()
	m, digest, err := s.messages.At(ctx, seq)
	switch {
	case errors.Is(err, messages.ErrDiscarded): // its ID went with it
		s.answer(y.call, &room.SendReply{MessageSeq: seq, Timestamp: int64(events.TimeOf(time.Now()))})
	case err != nil:
		s.log.Debug("reading a repeated message", "error", err) // it goes out again, or runs out of time
	case digest != y.digest:
		s.refuse(y.call, otherRequest(y.cmd))
	default:
		s.answer(y.call, &room.SendReply{MessageID: m.ID, MessageSeq: seq, Timestamp: int64(m.Time)})
	}
}

// answer sends a success, unless the call has been answered.
func (s *Service) answer(c *call, v any) {
	if c.state.Swap(answered) != answered {
		s.reply(c, v)
	}
}

// repeatSayings sends again what was not acknowledged in time.
func (s *Service) repeatSayings(now time.Time) {
	s.sayings.mu.Lock()
	defer s.sayings.mu.Unlock()
	s.sayings.open = slices.DeleteFunc(s.sayings.open, func(y *saying) bool {
		over := y.state.Load() == answered
		if over || now.After(y.next) {
			y.forget()
		}
		return over
	})
	for _, y := range s.sayings.open {
		if now.After(y.next) {
			s.offer(y, nextResend)
		}
	}
}

// tooFast counts a message against its sender's limit, if there is one.
func (s *Service) tooFast(c *room.Command, m *events.Message) time.Duration {
	limit := s.limits.Load().MessageRate
	if limit == 0 || c.User == "" {
		return 0
	}
	y := &s.sayings
	y.paceMu.Lock()
	defer y.paceMu.Unlock()
	key := paceKey{c.User, c.Room}
	p := y.paces[key]
	if p == nil {
		if y.paces == nil {
			y.paces = map[paceKey]*room.Pace{}
		}
		p = &room.Pace{}
		y.paces[key] = p
	}
	return time.Duration(p.Take(time.Now().UnixMicro(), limit, m.Priority)) * time.Microsecond
}

// forgetPaces drops what no longer counts.
func (s *Service) forgetPaces() {
	s.sayings.paceMu.Lock()
	defer s.sayings.paceMu.Unlock()
	now := time.Now().UnixMicro()
	for key, p := range s.sayings.paces {
		if p.Idle(now) {
			delete(s.sayings.paces, key)
		}
	}
}
