package messages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// A deletion is stored three times over, and each step may be repeated: as an intent, from
// which on it will be carried out whatever happens to whom; as an event on the room's own
// subject, for those who listen and those who read later; and by erasing the messages.

// Intent is messages that are to be deleted.
type Intent struct {
	*events.Deletion
	Key    string // the same for every try of the same request; no other intent has it
	Digest string // tells the request from another one with its ID
	At     uint64 // where the intent is stored
	Stored time.Time

	data []byte // the event
}

// ErrNotIntended says that a deletion under that key was stored before.
var ErrNotIntended = errors.New("another deletion was stored under its key")

// Intend stores an intent. If one is stored under its key already, the error is
// [ErrNotIntended].
func (s *Store) Intend(ctx context.Context, i *Intent, prefix string) (err error) {
	if i.data, err = i.Encode(prefix); err != nil {
		return err
	}
	h := nats.Header{"Content-Type": {events.ContentType}, jetstream.MsgIDHeader: {i.Key}}
	if i.Digest != "" {
		h[journal.DigestHeader] = []string{i.Digest}
	}
	entry := journal.Entry{Subject: subjects.DeletionsMarker, Header: h, Data: i.data}
	_, err = s.journal.Commit(ctx, []journal.Entry{entry}, journal.Resend{First: firstResend, Next: nextResend})
	if errors.Is(err, journal.ErrRepeated) {
		return ErrNotIntended
	}
	return err
}

// Intended returns the intents of the last minutes whose key begins like that, as far back as
// repeats are recognised.
func (s *Store) Intended(ctx context.Context, key string) (list []*Intent, err error) {
	err = s.deletions().Since(ctx, time.Now().Add(-Repeats), func(at uint64, m jetstream.Msg) bool {
		if strings.HasPrefix(m.Headers().Get(jetstream.MsgIDHeader), key) {
			if i := intent(at, m); i != nil {
				list = append(list, i)
			}
		}
		return true
	})
	return list, err
}

// Intents passes the intents on that are stored after a place, in order, until take returns
// false. Nil stands for one that cannot be read.
func (s *Store) Intents(ctx context.Context, after uint64, take func(at uint64, i *Intent) bool) error {
	return s.deletions().Whole(ctx, after+1, func(at uint64, m jetstream.Msg) bool { return take(at, intent(at, m)) })
}

// LastIntent is where the newest intent is stored; 0 if there is none.
func (s *Store) LastIntent(ctx context.Context) (uint64, error) {
	at, _, _, err := s.deletions().Last(ctx)
	return at, err
}

func (s *Store) deletions() *journal.Reader { return s.on(subjects.Deletions) }

func intent(at uint64, m jetstream.Msg) *Intent {
	d, err := events.DecodeDeletion(m.Data())
	meta, e := m.Metadata()
	if err != nil || e != nil {
		return nil
	}
	h := m.Headers()
	return &Intent{Deletion: d, Key: h.Get(jetstream.MsgIDHeader), Digest: h.Get(journal.DigestHeader), At: at, Stored: meta.Timestamp, data: m.Data()}
}

// Carry carries a stored intent out: its event is stored, unless it is already, and then its
// messages are erased, unless they are gone. It tries until ctx ends.
func (s *Store) Carry(ctx context.Context, i *Intent) error {
	if done, err := s.told(ctx, i); err != nil {
		return err
	} else if !done {
		if err := s.tell(ctx, i); err != nil {
			return err
		}
	}
	for _, seq := range i.MessageSeqs {
		if err := s.eraseSurely(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}

// told says whether an intent's event is stored already, where that is so long ago that the stream
// may not recognise it any more.
func (s *Store) told(ctx context.Context, i *Intent) (bool, error) {
	if i.Stored.IsZero() || time.Since(i.Stored) < Repeats/2 {
		return false, nil
	}
	seq, err := s.on(subjects.Messages(i.Room)).Find(ctx, i.ID, i.Stored)
	return seq > 0, err
}

// tell stores an intent's event.
func (s *Store) tell(ctx context.Context, i *Intent) error {
	event := journal.Entry{Subject: subjects.MessageJournal(i.Room), Header: nats.Header{"Content-Type": {events.ContentType}, jetstream.MsgIDHeader: {i.ID}}, Data: i.data}
	seq, err := s.journal.Commit(ctx, []journal.Entry{event}, journal.Resend{First: firstResend, Next: nextResend, Pause: eraseAgain, Refusal: journal.RefusalNever})
	if err != nil && !errors.Is(err, journal.ErrRepeated) {
		return err
	}
	s.Said(i.Room, seq)
	return nil
}

// How long to wait for one message to be erased, and after a failure.
const (
	eraseWithin = 5 * time.Second
	eraseAgain  = 250 * time.Millisecond
)

func (s *Store) eraseSurely(ctx context.Context, seq uint64) error {
	for {
		err := s.erase(ctx, seq)
		if err == nil {
			return nil
		}
		again := time.NewTimer(eraseAgain)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("erasing message %d: %w", seq, err)
		}
	}
}

// erase has the server overwrite a message where it is stored. A message that is gone already
// is no error.
func (s *Store) erase(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, eraseWithin)
	defer cancel()
	err := s.stream.SecureDeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	if _, e := s.stream.GetMsg(ctx, seq); errors.Is(e, jetstream.ErrMsgNotFound) {
		return nil
	}
	return err
}

// Carried is up to which place all intents have been carried out, as [Store.MarkCarried] noted
// it.
func (s *Store) Carried(ctx context.Context) (uint64, error) {
	_, data, ok, err := s.on(subjects.Deleted).Last(ctx)
	if err != nil || !ok {
		return 0, err
	}
	return strconv.ParseUint(string(data), 10, 64)
}

// MarkCarried notes that.
func (s *Store) MarkCarried(ctx context.Context, at uint64) error {
	_, err := s.journal.Store(ctx, []journal.Entry{{Subject: subjects.DeletedMarker, Data: strconv.AppendUint(nil, at, 10)}})
	return err
}

// FirstSince is the place of the first message of a room that was stored at or after a moment; 0 if
// there is none.
func (s *Store) FirstSince(ctx context.Context, r subjects.Room, at time.Time) (seq uint64, err error) {
	err = s.reader(r).Since(ctx, at, func(place uint64, _ jetstream.Msg) bool {
		seq = place
		return false
	})
	return seq, err
}

// Bounds of one search for a user's messages in all rooms.
const (
	searchRead   = 8 << 20 // bytes
	searchLooked = 20_000  // messages
	searchFor    = 3 * time.Second
)

// By returns messages that a user sent, in any room, which are stored after a place, oldest
// first: at most so many, and fewer if enough was read. next is the place to go on after; 0 at
// the end.
func (s *Store) By(ctx context.Context, u subjects.User, after uint64, most int) (list []*events.Message, next uint64, err error) {
	read, looked, begun := 0, 0, time.Now()
	err = s.on(subjects.MessagesPattern).Read(ctx, after+1, func(at uint64, data []byte) bool {
		read += len(data)
		looked++
		if said, err := events.DecodeAccepted(data); err == nil && said.Sender == string(u) {
			if m, err := events.DecodeMessage(data); err == nil {
				m.Seq = at
				list = append(list, m)
			}
		}
		if len(list) == most || read > searchRead || looked == searchLooked || time.Since(begun) > searchFor {
			next = at
		}
		return next == 0
	})
	return list, next, err
}
