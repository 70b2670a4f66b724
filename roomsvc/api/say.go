package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// takeSend takes a send. A member's message is accepted from memory; a refusal is proved by a
// sync point.
func takeSend(a *API, q *request) {
	body := &room.SendRequest{}
	cmd, ok := begin(a, q, body, true)
	if !ok {
		return
	}
	if err := setRoom(&cmd.Room, "roomID", body.RoomID); err != nil {
		a.sendError(q, err)
		return
	}
	if cmd.RequestID != "" && a.Commit.Repeat(&q.Call) {
		return
	}
	m, err := cmd.Say(body, a.Limits())
	if err != nil {
		a.Commit.Refuse(&q.Call, err)
		return
	}
	a.alive(q, func() { a.speak(q, m) })
}

// repeatSend answers a repeated send of a live-only message; stored messages are known to the
// stream.
func repeatSend(a *API, q *request, r *commit.Result) {
	if r.Before.Said == nil {
		a.sendError(q, replica.OtherRequest(q.Cmd))
		return
	}
	a.reply(q, r.Before.Said)
}

// speak publishes a message, or refuses it once the refusal is proved.
func (a *API) speak(q *request, m *events.Message) {
	cmd := q.Cmd
	if a.mayTalk(cmd, m) == nil {
		a.publish(q, m)
		return
	}
	a.Life.Go(func() {
		ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
		defer cancel()
		if a.Sync.Pass(ctx) != nil {
			a.Commit.Refuse(&q.Call, room.Refuse(room.ErrBusy, "nothing happened: this instance could not make sure of who is in %q; try again", cmd.Room))
			return
		}
		refused := a.mayTalk(cmd, m)
		if refused == nil {
			a.publish(q, m)
		} else if !a.saidBefore(ctx, q, m) {
			a.Commit.Refuse(&q.Call, refused)
		}
	})
}

// saidBefore answers a request whose message was stored while its user was in the room.
func (a *API) saidBefore(ctx context.Context, q *request, m *events.Message) bool {
	if q.Cmd.RequestID == "" || !m.Type.Stored() {
		return false
	}
	seq, err := a.Messages.Find(ctx, q.Cmd.Room, messageID(q.Cmd))
	switch {
	case err != nil:
		a.Log.Debug("looking for a repeated message", "error", err)
		e := room.Refuse(room.ErrUnavailable, "%q is not in %q, and whether this was stored before is not known; send it again with the same requestID", q.Cmd.User, q.Cmd.Room)
		e.Outcome = room.Unknown
		a.Commit.Refuse(&q.Call, e)
	case seq == 0:
		return false
	default:
		a.Commit.TrackSent(&q.Call)
		a.repeatedMessage(q, q.Cmd.Digest, seq)
	}
	return true
}

// messageID is the same for every try of a request.
func messageID(c *room.Command) string {
	sum := sha256.Sum256([]byte(string(c.User) + "\x00" + c.RequestID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// mayTalk says why the command's user may not send in its room, and names the room's instance
// in the message. The message's time is never before the room's newest fact: a user that
// joined by that fact, where another clock is ahead, may read what is said from here on.
func (a *API) mayTalk(c *room.Command, m *events.Message) (refused *room.Error) {
	refuse := func(code *room.Code, format string, args ...any) *room.Error {
		return room.Refuse(code, format+"; nothing was sent", args...)
	}
	a.Replica.View(c.Room, func(st *room.State) {
		switch {
		case (st == nil || st.Ending()) && c.User == "":
			refused = refuse(room.ErrRoomNotExist, "there is no room %q", c.Room)
		case st == nil || st.Ending():
			refused = refuse(room.ErrUserNotInRoom, "there is no room %q, so %q is not in it", c.Room, c.User)
		case c.User != "" && !st.Has(c):
			refused = refuse(room.ErrUserNotInRoom, "%q (session %s) is not in %q", c.User, c.Session, c.Room)
		default:
			m.InstanceID, m.Time = st.InstanceID, st.FactAt
		}
	})
	return refused
}

// publish sends a message that may be sent.
func (a *API) publish(q *request, m *events.Message) {
	if wait := a.tooFast(q.Cmd, m); wait > 0 {
		ms := (wait + time.Millisecond - 1).Milliseconds() // rounded up, so as not to be too early
		e := room.Refuse(room.ErrRateLimited, "%q sends more than %d messages a second in %q; nothing was sent; try again in %d ms", q.Cmd.User, a.Limits().MessageRate, q.Cmd.Room, ms)
		e.Limit, e.RetryAfterMs = int64(a.Limits().MessageRate), ms
		a.Commit.Refuse(&q.Call, e)
		return
	}
	m.ID, m.Time = nuid.Next(), max(m.Time, events.TimeOf(time.Now()))
	var err error
	if m.Type.Stored() {
		err = a.store(q, m)
	} else {
		err = a.shout(q, m)
	}
	if err != nil {
		a.Commit.Refuse(&q.Call, commit.NotStored(fmt.Errorf("%w: %w", journal.ErrRefused, err)))
	}
}

// shout sends a live-only message. Its request ID is remembered where it was sent.
func (a *API) shout(q *request, m *events.Message) error {
	data, err := m.Encode(a.Source)
	if err != nil {
		return err
	}
	if err = a.Conn.PublishMsg(&nats.Msg{Subject: subjects.Messages(m.Room), Header: noticeHeader, Data: data}); err != nil {
		return err
	}
	reply := &room.SendReply{MessageID: m.ID, Timestamp: int64(m.Time)}
	a.Replica.Outcomes.Said(q.Cmd, reply)
	a.answer(q, reply)
	return nil
}

// store has a message stored in the stream.
func (a *API) store(q *request, m *events.Message) error {
	id, digest := m.ID, ""
	if q.Cmd.RequestID != "" {
		id, digest = messageID(q.Cmd), q.Cmd.Digest
	}
	entry, err := a.Messages.Entry(m, a.Source, id, digest)
	if err != nil {
		return err
	}
	a.Commit.TrackSent(&q.Call)
	a.Outbox.Send(entry, q.Answered, func(seq uint64, err error) {
		switch {
		case err == nil:
			a.Messages.Said(m.Room, seq)
			a.answer(q, &room.SendReply{MessageID: m.ID, MessageSeq: seq, Timestamp: int64(m.Time)})
		case errors.Is(err, journal.ErrRepeated):
			a.Life.Go(func() { a.repeatedMessage(q, digest, seq) })
		default:
			a.Commit.Refuse(&q.Call, commit.NotStored(err))
		}
	})
	return nil
}

// repeatedMessage answers with what is stored under the message's ID: this message, from an
// earlier try, or the message of an earlier request.
func (a *API) repeatedMessage(q *request, digest string, seq uint64) {
	ctx, cancel := context.WithDeadline(a.Life, q.Deadline)
	defer cancel()
	m, stored, err := a.Messages.At(ctx, seq)
	switch {
	case errors.Is(err, messages.ErrDiscarded): // its ID was discarded with it
		a.answer(q, &room.SendReply{MessageSeq: seq, Timestamp: int64(events.TimeOf(time.Now()))})
	case err != nil:
		a.Log.Debug("reading a repeated message", "error", err) // it is sent again, or runs out of time
	case stored != digest:
		a.Commit.Refuse(&q.Call, replica.OtherRequest(q.Cmd))
	default:
		a.answer(q, &room.SendReply{MessageID: m.ID, MessageSeq: seq, Timestamp: int64(m.Time)})
	}
}

// tooFast counts a message against its sender's limit, if there is one.
func (a *API) tooFast(c *room.Command, m *events.Message) time.Duration {
	limit := a.Limits().MessageRate
	if limit == 0 || c.User == "" {
		return 0
	}
	return a.paces.take(paceKey{c.User, c.Room}, limit, m.Priority)
}
