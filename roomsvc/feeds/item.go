package feeds

import (
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/traces"
	"natsrooms/subjects"
)

// tooOld is for how long something may wait. After that it goes to nobody: live copies are at
// most once.
const tooOld = 2 * time.Second

// Headers on every copy of something stored, as on the server's own copies.
const (
	sequenceHeader     = "Nats-Sequence"      // the stream sequence: a fact's revision or a message's messageSeq
	lastSequenceHeader = "Nats-Last-Sequence" // that of the room's previous message
)

// item is a fact or a message to be published.
type item struct {
	at     time.Time // when it arrived; zero: it goes to nobody
	room   subjects.Room
	change *room.Change     // nil: a message
	said   *events.Accepted // nil: a fact
	header nats.Header
	data   []byte
	trace  string       // the header of what is stored, if it has one
	copies int          // how many were published
	span   *traces.Span // of making them; nil: nobody traces that
}

// strip leaves of a fact only what it changes: it goes to nobody.
func (i *item) strip() { i.at, i.header, i.data = time.Time{}, nil, nil }

// tooOld says whether an item has waited for too long.
func (i *item) tooOld() bool { return time.Since(i.at) > tooOld }

// begin begins the span of making an item's copies, which their receivers may go on from.
func (i *item) begin(t *traces.Tracer) {
	if i.span = t.Copies(i.trace); i.span != nil {
		i.header[traces.Header] = []string{i.span.Parent()}
	}
}

// end ends it.
func (i *item) end(err error) {
	i.span.Copied(i.copies)
	i.span.End(err)
}
