// Package talk decides what may be said in rooms, and has it stored or passed on.
//
// What is said has a place among the room's facts: after the newest fact of the moment in which
// it was accepted. To know that fact, no memory is good enough that may be out of date, so what
// is said waits for a sync point first; all that wait share one. From then on these hold:
//
//   - Whoever was told before that a user is out can rely on it: the place is after that fact.
//   - A message is stored before a fact that takes its sender out is appended by the same
//     instance ([messages.Outbox.Settled]), and none is accepted while such a fact is on its
//     way. Where two instances cross each other, the feeds drop the message, and those who
//     miss it find it by its place in the history.
package talk

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/clock"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/traces"
	"natsrooms/subjects"
)

// Config is what talk works with. All of it is needed.
type Config struct {
	Life     *life.Life
	Log      *slog.Logger
	Clock    *clock.Clock // of facts and messages
	Conn     *nats.Conn
	Replica  *replica.Replica
	Sync     *replica.Sync
	Commit   *commit.Committer
	Messages *messages.Store
	Outbox   *messages.Outbox
	Limits   func() *room.Limits                       // as they are now
	Prove    func(context.Context, *commit.Call) error // makes sure whether a token makes the call's user a host
	Source   string                                    // prefix of the source of every event
	Known    *messages.Known                           // what has been stored lately; nil: nobody needs to know
}

// Talk is what is being said through one instance.
type Talk struct {
	Config
	Meter meter.Talk
	paces paces

	mu      sync.Mutex // guards waiting and working
	waiting []*Saying
	working bool // a goroutine decides what waits
}

// Saying is a message on its way, with the send that it came by.
type Saying struct {
	*commit.Call
	Message *events.Message
	Heard   Moment                // when its turn came
	Silent  bool                  // it succeeds if it may be sent, and nobody hears it
	Said    func(*room.SendReply) // answers the send, unless it has been answered

	unproved bool // it is refused to a host by a token, as far as is known here
}

// Moment is how far a room had got, as this instance knew it.
type Moment struct {
	instance string
	sequence uint64
}

// Now is a room's moment.
func (t *Talk) Now(r subjects.Room) (m Moment) {
	if h := t.Replica.Head(r); h != nil {
		m = Moment{h.InstanceID, h.Sequence}
	}
	return m
}

// New makes a talk in which nothing has been said yet.
func New(c Config) *Talk { return &Talk{Config: c} }

// Say takes in a message. The caller has tracked its call, which is answered in any case.
func (t *Talk) Say(s *Saying) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, s)
	if !t.working {
		t.working = t.Life.Go(t.work)
	}
}

// work decides what waits as long as something does.
func (t *Talk) work() {
	for {
		t.mu.Lock()
		list := t.waiting
		t.waiting, t.working = nil, len(list) > 0
		t.mu.Unlock()
		if len(list) == 0 {
			return
		}
		later := t.decideAll(list)
		t.mu.Lock()
		t.waiting = append(later, t.waiting...)
		t.mu.Unlock()
	}
}

// decideAll decides messages after a sync point, and returns those to be decided later: while a
// sender may be about to be out of its room, nothing that it says there is accepted.
func (t *Talk) decideAll(list []*Saying) (later []*Saying) {
	ctx, cancel := context.WithTimeout(t.Life, commit.Timeout)
	defer cancel()
	err := t.Sync.Pass(ctx)
	leaving, sure := map[paceKey]bool{}, map[paceKey]bool{}
	for _, s := range list {
		key := paceKey{s.Cmd.User, s.Cmd.Room}
		switch {
		case s.Answered(): // its time ran out
		case err != nil:
			t.Commit.Refuse(s.Call, room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who is in %q; try again", s.Cmd.Room))
		case leaving[key] || t.decide(ctx, s, sure):
			leaving[key] = true
			later = append(later, s)
		}
	}
	return later
}

// decide accepts a message or refuses it, unless its sender may be about to be out. That a token
// makes its sender a host no more must be sure, for each sender once; another instance may have
// heard of a newer one.
func (t *Talk) decide(ctx context.Context, s *Saying, sure map[paceKey]bool) (later bool) {
	place, later, refused := t.place(s)
	if key := (paceKey{s.Cmd.User, s.Cmd.Room}); refused != nil && s.unproved && !sure[key] {
		if sure[key] = true; t.Prove(ctx, s.Call) != nil {
			refused = room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who may send in %q; try again", s.Cmd.Room)
		} else if s.Cmd.HostByToken {
			place, later, refused = t.place(s)
		}
	}
	switch {
	case later:
	case refused != nil:
		t.refuse(s, refused)
	default:
		t.publish(s, place)
	}
	return later
}

// place says why the command's user may not send in its room, or gives the message its place
// among the room's facts. Until the place is closed, no fact takes the sender out. The
// message's time is never before the room's newest fact.
func (t *Talk) place(s *Saying) (place *messages.Place, later bool, refused *room.Error) {
	c, m := s.Cmd, s.Message
	refuse := func(code *room.Code, format string, args ...any) *room.Error {
		return room.Refuse(code, format+"; nothing was sent", args...)
	}
	t.Replica.Speak(c.Room, func(in replica.Spoken) {
		st, now := in.State, t.Clock.Now()
		switch {
		case st == nil || st.Ending():
			refused = refuse(room.ErrRoomNotExist, "there is no room %q", c.Room)
		case c.User != "" && !st.Has(c):
			refused = refuse(room.ErrUserNotInRoom, "%q (session %s) is not in %q", c.User, c.Session, c.Room)
		case in.Leaving(c.User):
			later = true
		case c.UserForm && st.Silent(c, now) != nil:
			refused = st.Silent(c, now)
			s.unproved = c.OwnForm && st.IsHost(c.User) && !st.Runs(c)
		default:
			m.InstanceID, m.After, m.Time = st.InstanceID, after(s, &in), max(st.FactAt, now)
			place = t.Outbox.Place(c.Room, c.User)
		}
	})
	return place, later, refused
}

// after is the sequence of the fact that a message comes after. Facts that this instance has
// appended since the message's turn came are later. Whether one of another instance does is
// not known: it may have been there before, and somebody may rely on it. The sender's coming is
// before what it says in any case.
func after(s *Saying, in *replica.Spoken) uint64 {
	at := in.Foreign
	if s.Heard.instance == in.State.InstanceID {
		at = max(at, s.Heard.sequence)
	}
	if m := in.State.Member(s.Cmd.User); m != nil {
		at = max(at, m.JoinedIn())
	}
	return max(at, 1)
}

// refuse refuses a message, unless it was stored by an earlier try, while its user was in.
func (t *Talk) refuse(s *Saying, refused *room.Error) {
	if s.Cmd.RequestID == "" || !s.Message.Type.Stored() {
		t.Commit.Refuse(s.Call, refused)
		return
	}
	if !s.Begin() { // its time ran out
		return
	}
	t.Life.Go(func() {
		ctx, cancel := context.WithDeadline(t.Life, s.Deadline)
		defer cancel()
		seq, err := t.Messages.Find(ctx, s.Cmd.Room, messageID(s.Cmd))
		switch {
		case err != nil:
			t.Log.Debug("looking for a repeated message", "error", err)
			e := room.Refuse(room.ErrUnavailable, "%s, and whether this was stored before is not known; send it again with the same requestID", refused.Message)
			e.Outcome = room.Unknown
			t.Commit.Refuse(s.Call, e)
		case seq == 0:
			t.Commit.Refuse(s.Call, refused)
		default:
			t.repeated(s, s.Cmd.Digest, seq)
		}
	})
}

// messageID is the same for every try of a request.
func messageID(c *room.Command) string {
	sum := sha256.Sum256([]byte(string(c.User) + "\x00" + c.RequestID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// publish sends a message that may be sent.
func (t *Talk) publish(s *Saying, place *messages.Place) {
	if refused := t.tooFast(s); refused != nil {
		place.Close()
		t.Commit.Refuse(s.Call, refused)
		return
	}
	if !s.Begin() { // its time ran out
		place.Close()
		return
	}
	s.Message.ID = nuid.Next()
	if s.Silent {
		place.Close()
		s.Said(&room.SendReply{MessageID: s.Message.ID, Timestamp: int64(s.Message.Time)})
		return
	}
	var err error
	if s.Message.Type.Stored() {
		err = t.store(s, place)
	} else {
		err = t.shout(s)
		place.Close()
	}
	if err != nil {
		place.Close()
		t.Commit.Refuse(s.Call, commit.NotStored(fmt.Errorf("%w: %w", journal.ErrRefused, err)))
	}
}

// shout sends a live-only message. Its request ID is remembered where it was sent.
func (t *Talk) shout(s *Saying) error {
	m := s.Message
	data, err := m.Encode(t.Source)
	if err != nil {
		return err
	}
	h := shouted
	if s.Span != nil {
		h = maps.Clone(shouted)
		h[traces.Header] = []string{s.Span.Parent()}
	}
	if err = t.Conn.PublishMsg(&nats.Msg{Subject: subjects.Messages(m.Room), Header: h, Data: data}); err != nil {
		return err
	}
	reply := &room.SendReply{MessageID: m.ID, Timestamp: int64(m.Time)}
	t.Replica.Outcomes.Said(s.Cmd, reply)
	t.Meter.Live.Inc()
	s.Said(reply)
	return nil
}

var shouted = nats.Header{"Content-Type": {events.ContentType}}

// store has a message stored in the stream.
func (t *Talk) store(s *Saying, place *messages.Place) error {
	m := s.Message
	id, digest := m.ID, ""
	if s.Cmd.RequestID != "" {
		id, digest = messageID(s.Cmd), s.Cmd.Digest
	}
	entry, err := t.Messages.Entry(m, t.Source, id, digest)
	if err != nil {
		return err
	}
	span := s.Span.Stores()
	if span != nil {
		entry.Header[traces.Header] = []string{span.Parent()}
	}
	t.Outbox.Send(place, entry, s.Answered, func(seq uint64, err error) {
		span.Stored(seq, 1)
		if errors.Is(err, journal.ErrRepeated) { // it is stored
			span.End(nil)
		} else {
			span.End(err)
		}
		switch {
		case err == nil:
			t.Messages.Said(m.Room, seq)
			if digest != "" {
				t.Known.Note(id, seq, time.Now())
			}
			t.Meter.Stored.Inc()
			s.Said(&room.SendReply{MessageID: m.ID, MessageSeq: seq, Timestamp: int64(m.Time)})
		case errors.Is(err, journal.ErrRepeated):
			t.Life.Go(func() { t.repeated(s, digest, seq) })
		default:
			t.Meter.Failed.Inc()
			t.Commit.Refuse(s.Call, commit.NotStored(err))
		}
	})
	return nil
}

// Repeated answers a send whose message is known to have been stored by an earlier try; it
// returns whether the send is answered. If that is to be sure, it makes sure first that it knows
// what other instances have stored. The message of the saying need not be there.
func (t *Talk) Repeated(ctx context.Context, s *Saying, sure bool) bool {
	if sure && t.Known.Catch(ctx, s.Cmd.Room) != nil {
		e := room.Refuse(room.ErrUnavailable, "whether this was stored before is not known; send it again with the same requestID")
		e.Outcome = room.Unknown
		t.Commit.Refuse(s.Call, e)
		return true
	}
	seq := t.Known.Find(messageID(s.Cmd))
	if seq == 0 {
		return s.Answered()
	}
	if s.Begin() { // or its time ran out
		t.repeated(s, s.Cmd.Digest, seq)
	}
	return true
}

// repeated answers with what is stored under the message's ID: this message, from an earlier
// try, or the message of an earlier request.
func (t *Talk) repeated(s *Saying, digest string, seq uint64) {
	ctx, cancel := context.WithDeadline(t.Life, s.Deadline)
	defer cancel()
	m, stored, err := t.Messages.At(ctx, seq)
	switch {
	case errors.Is(err, messages.ErrDiscarded): // its ID was discarded with it
		s.Said(&room.SendReply{MessageSeq: seq, Timestamp: int64(t.Clock.Now())})
	case err != nil:
		t.Log.Debug("reading a repeated message", "error", err) // it is sent again, or runs out of time
	case stored != digest:
		t.Commit.Refuse(s.Call, replica.OtherRequest(s.Cmd))
	default:
		s.Said(&room.SendReply{MessageID: m.ID, MessageSeq: seq, Timestamp: int64(m.Time)})
	}
}

// tooFast counts a message against its sender's limit, if there is one.
func (t *Talk) tooFast(s *Saying) *room.Error {
	limit := t.Limits().MessageRate
	if limit == 0 || s.Cmd.User == "" {
		return nil
	}
	wait := t.paces.take(paceKey{s.Cmd.User, s.Cmd.Room}, limit, s.Message.Priority)
	if wait <= 0 {
		return nil
	}
	ms := (wait + time.Millisecond - 1).Milliseconds() // rounded up, so as not to be too early
	e := room.Refuse(room.ErrRateLimited, "%q sends more than %d messages a second in %q; nothing was sent; try again in %d ms", s.Cmd.User, limit, s.Cmd.Room, ms)
	e.Limit, e.RetryAfterMs = int64(limit), ms
	return e
}

// Forget drops what no longer counts for the pace of senders.
func (t *Talk) Forget() { t.paces.forget(time.Now()) }
