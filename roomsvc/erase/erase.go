// Package erase deletes messages, so that nobody can read them any more: those that their
// senders take back, those that somebody may delete who runs the room, and all of one user.
//
// What is to be deleted is stored first, as an intent. From then on it happens: the event is
// stored that tells everybody, the server overwrites the messages, and the command is answered.
// If the instance dies in between, the one that leads finds the intent and does the rest, and so
// does whichever instance gets the same request again.
package erase

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Config is what an eraser works with. All of it is needed.
type Config struct {
	Life     *life.Life
	Log      *slog.Logger
	Replica  *replica.Replica
	Messages *messages.Store
	Limits   func() *room.Limits // as they are now
	Source   string              // prefix of the source of every event
}

// Eraser deletes messages for one instance.
type Eraser struct {
	Config

	// The server rewrites a file for each message, so that commands take turns: those of senders
	// who take their own back, and those of everybody else.
	own, any turn
}

type turn chan struct{}

// New makes an eraser.
func New(c Config) *Eraser { return &Eraser{c, make(turn, 1), make(turn, 1)} }

// carryFor is how long a deletion is worked on after its intent is stored, however long its
// caller waits.
const carryFor = 30 * time.Second

// Asked is a command that deletes messages.
type Asked struct {
	*commit.Call
	Trusted bool // a back end asks, which may delete any

	Reading func(context.Context) (done func(), err error) // begins a search, once it is its turn to read
	Read    int                                            // bytes that were read for it
}

// able refuses if the stream denies deletion.
func (e *Eraser) able() *room.Error {
	if e.Messages.Erases {
		return nil
	}
	return room.Refuse(room.ErrNotAllowed, "nothing happened: the stream %s was made by an earlier version, and nothing can be deleted from it; start one roomd with --take-over", subjects.StreamMessages)
}

// work takes a turn to erase. The command is worked on until done is called, or ctx ends.
func work(ctx context.Context, t turn) (done func(), refused *room.Error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, room.Refuse(room.ErrBusy, "nothing happened: other deletions took all the time; try again")
	}
}

// before returns what the request came to when it was sent before, one intent for each room.
func (e *Eraser) before(ctx context.Context, c *room.Command) ([]*messages.Intent, *room.Error) {
	if c.RequestID == "" {
		return nil, nil
	}
	list, err := e.Messages.Intended(ctx, key(c))
	if err != nil {
		return nil, e.unread(err)
	}
	for _, i := range list {
		if i.Digest != c.Digest {
			return nil, replica.OtherRequest(c)
		}
	}
	return list, nil
}

// key begins the keys of a request's intents.
func key(c *room.Command) string {
	sum := sha256.Sum256([]byte(string(c.Verb) + "\x00" + string(c.User) + "\x00" + c.RequestID))
	return base64.RawURLEncoding.EncodeToString(sum[:16]) + "."
}

// begin stores what is to be deleted; n is the number of the request's intents before it.
func (e *Eraser) begin(ctx context.Context, c *room.Command, n int, d *events.Deletion) (*messages.Intent, *room.Error) {
	d.ID, d.Time, d.RequestID = nuid.Next(), events.TimeOf(time.Now()), c.RequestID
	i := &messages.Intent{Deletion: d, Key: d.ID + ".", Digest: c.Digest}
	if c.RequestID != "" {
		i.Key = key(c) + strconv.Itoa(n)
	}
	err := e.Messages.Intend(ctx, i, e.Source)
	if errors.Is(err, messages.ErrNotIntended) { // by the same request, which another instance works on
		list, refused := e.before(ctx, c)
		if refused == nil && n < len(list) {
			return list[n], nil
		}
	}
	if err != nil {
		return nil, commit.NotStored(err)
	}
	return i, nil
}

// carryOut stores what is to be deleted, and deletes it.
func (e *Eraser) carryOut(ctx context.Context, c *room.Command, n int, d *events.Deletion) (*messages.Intent, *room.Error) {
	d.Operator = string(c.User)
	i, refused := e.begin(ctx, c, n, d)
	if refused == nil {
		refused = e.finish(i)
	}
	return i, refused
}

// finish does the rest, and goes on with that when the caller waits no longer.
func (e *Eraser) finish(i *messages.Intent) *room.Error {
	ctx, cancel := context.WithTimeout(e.Life, carryFor)
	defer cancel()
	if err := e.Messages.Carry(ctx, i); err != nil {
		e.Log.Warn("a deletion of messages is left to the instance that leads", "room", i.Room, "error", err)
		refused := room.Refuse(room.ErrUnavailable, "the messages will be deleted, but are not yet; send it again with the same requestID to learn when")
		refused.Outcome = room.Unknown
		return refused
	}
	return nil
}

func (e *Eraser) unread(err error) *room.Error {
	e.Log.Warn("reading messages to delete", "error", err)
	return room.Refuse(room.ErrBusy, "nothing happened: the stream did not answer in time; try again")
}

// late is for a call that was answered when its time ran out; nobody gets this.
func late() *room.Error { return room.Refuse(room.ErrBusy, "nothing happened: its time ran out") }

// User erases a part of a user's messages in all rooms: those of the next messages that are
// kept, in their order.
func (e *Eraser) User(ctx context.Context, a *Asked, u subjects.User, q *room.EraseUserRequest) (*room.EraseUserReply, *room.Error) {
	at, erased, refused := position(q.NextFlag)
	if refused != nil {
		return nil, refused
	}
	if refused := e.able(); refused != nil {
		return nil, refused
	}
	done, refused := work(ctx, e.any)
	if refused != nil {
		return nil, refused
	}
	defer done()
	before, refused := e.before(ctx, a.Cmd)
	if refused != nil {
		return nil, refused
	}
	list, next, err := e.Messages.By(ctx, u, at, room.MaxMessageSeqs)
	if err != nil {
		return nil, e.unread(err)
	}
	if !a.Begin() {
		return nil, late()
	}
	for _, i := range before {
		if refused = e.finish(i); refused != nil {
			return nil, refused
		}
		erased += len(i.MessageSeqs)
	}
	for n, d := range deletions(list) {
		i, refused := e.carryOut(ctx, a.Cmd, len(before)+n, d)
		if refused != nil {
			return nil, refused
		}
		erased += len(i.MessageSeqs)
	}
	reply := &room.EraseUserReply{UserID: string(u), Erased: erased}
	if next > 0 {
		reply.NextFlag = fmt.Sprintf("%d.%d", next, erased)
	}
	return reply, nil
}

// position is what a nextFlag says: where the search has got, and how many it erased.
func position(flag string) (at uint64, erased int, refused *room.Error) {
	if flag == "" {
		return 0, 0, nil
	}
	place, n, _ := strings.Cut(flag, ".")
	at, err := strconv.ParseUint(place, 10, 64)
	if err == nil {
		erased, err = strconv.Atoi(n)
	}
	if err != nil || erased < 0 {
		return 0, 0, room.Invalid("nextFlag", "is %q, which no reply had; start without one", flag)
	}
	return at, erased, nil
}

// deletions is a deletion for each instance of a room.
func deletions(list []*events.Message) (all []*events.Deletion) {
	type place struct {
		room     subjects.Room
		instance string
	}
	of := map[place]*events.Deletion{}
	for _, m := range list {
		p := place{m.Room, m.InstanceID}
		d := of[p]
		if d == nil {
			d = &events.Deletion{Room: m.Room, InstanceID: m.InstanceID}
			of[p], all = d, append(all, d)
		}
		d.MessageSeqs = append(d.MessageSeqs, m.Seq)
	}
	return all
}
