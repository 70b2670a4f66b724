package inspector

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	mostWaiting = 4096                  // facts and messages that wait for a reader; what comes then is read from the history
	mostMissed  = 2000                  // facts, or messages, that are read from the history before the reader has to begin anew
	hearWithin  = 5 * time.Second       // for the server to take the subscriptions
	atATime     = 256                   // events that are sent together
	pace        = 50 * time.Millisecond // between two times that something is sent
)

// teller tells one page what happens in a room: each fact and each stored message once, in order.
type teller struct {
	*stream
	i     *Inspector
	b     *Backing
	room  subjects.Room
	at    spot
	heard chan *nats.Msg
}

// spot is how far a page has been told.
type spot struct {
	instance string // empty: there is no room
	sequence uint64 // of the newest fact
	message  uint64 // the newest message
	revision uint64 // of the newest fact, or of one that is as old; 0: not known
}

// id is the spot as the id of an event.
func (s spot) id() string {
	return s.instance + "." + strconv.FormatUint(s.sequence, 10) + "." + strconv.FormatUint(s.message, 10)
}

// spotOf reads an id.
func spotOf(id string) (s spot, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 || parts[0] == "" {
		return s, false
	}
	sequence, err1 := strconv.ParseUint(parts[1], 10, 64)
	message, err2 := strconv.ParseUint(parts[2], 10, 64)
	return spot{instance: parts[0], sequence: sequence, message: message}, err1 == nil && err2 == nil
}

// events answers GET events.
func (i *Inspector) events(w http.ResponseWriter, q *request) error {
	r, err := roomOf(q)
	if err != nil {
		return err
	}
	nc, err := i.link.get(q.Dial)
	if err != nil {
		return err
	}
	s, err := i.begin(w, q)
	if err != nil {
		return err
	}
	defer s.end()
	t := &teller{stream: s, i: i, b: q.Backing, room: r, heard: make(chan *nats.Msg, mostWaiting)}
	for _, subject := range []string{subjects.Facts(r), subjects.Messages(r)} {
		sub, err := nc.ChanSubscribe(subject, t.heard)
		if err != nil {
			return unavailable("the room cannot be heard: %v", err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	ctx, cancel := context.WithTimeout(s.life, hearWithin)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return unavailable("the room cannot be heard: %v", err)
	}
	s.retry()
	last, resumed := spotOf(cmp.Or(q.Header.Get("Last-Event-ID"), q.FormValue("lastEventID")))
	if err := t.start(last, resumed); err != nil {
		return err
	}
	if err := t.tell(); err != nil {
		i.cfg.Log.Debug("the stream of a room ends", "room", r, "because", err)
	}
	return nil // the answer has begun
}

// start finds out where the room is, and goes on from the last spot or begins anew.
func (t *teller) start(last spot, resumed bool) error {
	if !resumed {
		return t.hello("start")
	}
	t.at = last
	got, err := t.get()
	if err != nil {
		return err
	}
	if got == nil || got.Room.InstanceID != last.instance {
		return t.hello("instance")
	}
	return t.catchUp()
}

// tell tells until the stream ends.
func (t *teller) tell() error {
	quiet := time.NewTicker(sayAnything)
	defer quiet.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		if err := t.flush(); err != nil {
			return err
		}
		select { // a room that storms is told some twenty times a second, and each time a lot
		case <-rest.C:
		case <-t.life.Done():
			return nil
		}
		rest.Reset(pace)
		select {
		case <-t.life.Done():
			return nil
		case <-quiet.C:
			// What was said while the NATS server was away, or was lost on the way, shows by now.
			if err := t.catchUp(); err != nil {
				return err
			}
			t.comment()
		case m := <-t.heard:
			if err := t.some(m); err != nil {
				return err
			}
		}
	}
}

// some takes what has been heard, as much as is sent together.
func (t *teller) some(m *nats.Msg) error {
	for n := 0; ; {
		if err := t.take(m); err != nil {
			return err
		}
		if n++; n == atATime {
			return nil
		}
		select {
		case m = <-t.heard:
		default:
			return nil
		}
	}
}

// take tells a fact or a message that was heard.
func (t *teller) take(m *nats.Msg) error {
	stored, _ := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if m.Subject == subjects.Facts(t.room) {
		return t.fact(m.Data, stored)
	}
	if stored == 0 { // it is live only
		t.add("message", "", m.Data)
		return nil
	}
	before, _ := strconv.ParseUint(m.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	switch {
	case stored <= t.at.message:
		return nil
	case before > t.at.message:
		return t.catchUp()
	}
	data, err := numbered(m.Data, stored)
	if err != nil {
		return err
	}
	t.at.message = stored
	t.add("message", t.at.id(), data)
	return nil
}

// fact tells a fact that was heard.
func (t *teller) fact(data []byte, revision uint64) error {
	at, err := positionOf(data)
	switch {
	case err != nil:
		return err
	case revision <= t.at.revision, at.instance == t.at.instance && at.sequence <= t.at.sequence:
		return nil
	case at.instance != t.at.instance && at.sequence == 1:
		t.at = spot{instance: at.instance, message: t.at.message}
		if err := t.say(&Hello{RoomID: string(t.room), Exists: true, InstanceID: at.instance, Revision: revision, MessageSeq: t.at.message, Why: "instance"}); err != nil {
			return err
		}
	case at.instance != t.at.instance:
		return t.hello("instance")
	case at.sequence != t.at.sequence+1:
		return t.catchUp()
	}
	t.at.sequence, t.at.revision = at.sequence, revision
	t.add("fact", t.at.id(), data)
	return nil
}

// hello begins anew: the page has to read the room.
func (t *teller) hello(why string) error {
	h := Hello{RoomID: string(t.room), Why: why}
	got, err := t.get()
	if err != nil {
		return err
	}
	t.at = spot{message: t.at.message}
	if got != nil {
		t.at = spot{instance: got.Room.InstanceID, sequence: got.Sequence, revision: got.Revision}
		said, err := t.history(room.HistoryRequest{AfterMessageSeq: new(uint64), Count: 1})
		if err != nil {
			return err
		}
		if said.MessageSeq != nil {
			t.at.message = *said.MessageSeq
		}
		h.Exists, h.InstanceID, h.Sequence, h.Revision, h.MessageSeq = true, t.at.instance, t.at.sequence, t.at.revision, t.at.message
	}
	return t.say(&h)
}

func (t *teller) say(h *Hello) error {
	data, err := json.Marshal(h)
	if err == nil {
		t.add("hello", t.at.id(), data)
	}
	return err
}
