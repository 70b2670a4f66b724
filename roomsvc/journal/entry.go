package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/subjects"
)

// What the stream's answer to an append means. The absence of an answer means nothing.
var (
	ErrConflict = errors.New("another fact has taken its place")
	ErrRefused  = errors.New("the stream did not store it")
	ErrUnknown  = errors.New("it is not known whether the stream stored it")
	ErrRepeated = errors.New("the stream already has it under the same message ID")
)

// MaxBatch is the largest number of entries in one atomic append.
const MaxBatch = 1000

// DigestHeader carries a fact's digests, separated by commas.
const DigestHeader = "Room-Digests"

// OperationHeader turns a message of a bucket into a marker; its value says of which kind.
const OperationHeader = "KV-Operation"

// IsMarker reports whether a message with these headers says that its key of a bucket no
// longer has a value: somebody deleted or ended it, or the server did when it expired.
func IsMarker(h nats.Header) bool {
	return h.Get(jetstream.MarkerReasonHeader) != "" || h.Get(OperationHeader) != ""
}

// Headers of an atomic append. The stored messages keep them.
const (
	batchIDHeader       = "Nats-Batch-Id"
	batchSequenceHeader = "Nats-Batch-Sequence"
	batchCommitHeader   = "Nats-Batch-Commit"
)

// Entry is one message to append. A guarded one is stored only if the newest message on
// its subject (for a fact, on the subject it is stored under) has the sequence Expect;
// 0 means that there must be none.
type Entry struct {
	Subject string
	Guarded bool
	Expect  uint64
	Header  nats.Header // may be nil
	Data    []byte
}

// Fact makes the entry for a fact that follows its room's fact at expect.
func Fact(f *events.Fact, prefix string, expect uint64) (Entry, error) {
	data, err := f.Encode(prefix)
	if err != nil {
		return Entry{}, err
	}
	if len(data) > events.MaxFactBytes {
		return Entry{}, fmt.Errorf("a fact of %q has %d bytes; the limit is %d", f.Room, len(data), events.MaxFactBytes)
	}
	h := nats.Header{"Content-Type": {events.ContentType}}
	if strings.Join(f.Digests, "") != "" {
		h[DigestHeader] = []string{strings.Join(f.Digests, ",")}
	}
	return Entry{Subject: subjects.Journal(f.Room), Guarded: true, Expect: expect, Header: h, Data: data}, nil
}

type acks struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string
	domain string     // JetStream domain of the streams
	rival  chan error // a second journal
	twice  chan place // what answered an append that had been answered
	quiet  quiet

	mu       sync.Mutex // guards the fields below it
	next     uint64
	waiting  map[string]waiting // nil: no answer is passed on any more
	answered [count]uint64      // the newest appends that were answered, each at its number modulo count
}

// waiting is an append that waits for its answer.
type waiting struct {
	n        uint64
	journal  bool // it is to be stored in the journal
	answered func(uint64, error)
}

func newAcks(nc *nats.Conn, domain string) (*acks, error) {
	// The name of an inbox comes from the same series as the IDs of rooms' instances and of
	// messages. Without the random text, whoever sees some of those could guess this name and
	// direct the answers to commands here.
	a := &acks{
		nc: nc, prefix: nc.NewInbox() + rand.Text() + ".", domain: domain,
		rival: make(chan error, 1), twice: make(chan place, 1), waiting: map[string]waiting{},
	}
	sub, err := nc.Subscribe(a.prefix+"*", a.take)
	if err != nil {
		return nil, err
	}
	a.sub = sub
	return a, sub.SetPendingLimits(-1, -1)
}

func (a *acks) close() { _ = a.sub.Unsubscribe() }

func (a *acks) take(m *nats.Msg) {
	token := m.Subject[len(a.prefix):]
	ack, err := parseAck(m)
	if a.foreign(&ack) {
		return
	}
	a.mu.Lock()
	w, waited := a.waiting[token]
	if waited {
		delete(a.waiting, token)
		a.answered[w.n%count] = w.n
	}
	a.mu.Unlock()
	if !waited {
		a.again(token, &ack)
		return
	}
	if err != nil {
		w.answered(0, err)
		return
	}
	if w.journal {
		a.quiet.heard()
	}
	w.answered(ack.means())
}

func (a *acks) send(entries []Entry, answered func(uint64, error)) (func(), error) {
	journal := inJournal(entries[0].Subject)
	if journal {
		a.quiet.asked()
	}
	a.mu.Lock()
	a.next++
	token := strconv.FormatUint(a.next, 36)
	if a.waiting != nil {
		a.waiting[token] = waiting{a.next, journal, answered}
	}
	a.mu.Unlock()
	forget := func() {
		a.mu.Lock()
		delete(a.waiting, token)
		a.mu.Unlock()
	}
	batch := ""
	if len(entries) > 1 {
		batch = nuid.Next()
	}
	for i := range entries {
		m := entries[i].message(batch, i+1, i+1 == len(entries))
		if i+1 == len(entries) {
			m.Reply = a.prefix + token
		}
		if err := a.nc.PublishMsg(m); err != nil {
			// Part of it may be on its way, so nothing is known.
			return forget, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	return forget, nil
}

func (e *Entry) message(batch string, seq int, last bool) *nats.Msg {
	h := make(nats.Header, len(e.Header)+4)
	for k, v := range e.Header {
		h[k] = v
	}
	if e.Guarded {
		h[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(e.Expect, 10)}
	}
	if batch != "" {
		h[batchIDHeader] = []string{batch}
		h[batchSequenceHeader] = []string{strconv.Itoa(seq)}
		if last {
			h[batchCommitHeader] = []string{"1"}
		}
	}
	return &nats.Msg{Subject: e.Subject, Header: h, Data: e.Data}
}

type ackBody struct {
	Error *struct {
		Code        uint16 `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
	Stream    string `json:"stream"`
	Domain    string `json:"domain"`
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
}

func parseAck(m *nats.Msg) (ack ackBody, err error) {
	if m.Header.Get("Status") == "503" {
		return ack, fmt.Errorf("%w: no stream takes its subject", ErrUnknown)
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return ack, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return ack, nil
}

// means tells what an answer means. A code that is not listed below proves nothing.
func (b *ackBody) means() (uint64, error) {
	if b.Error == nil && b.Duplicate {
		return b.Seq, ErrRepeated
	}
	if b.Error == nil && b.Seq > 0 {
		return b.Seq, nil
	}
	if b.Error == nil {
		return 0, fmt.Errorf("%w: an answer without a sequence", ErrUnknown)
	}
	meaning := ErrUnknown
	switch b.Error.Code {
	case 10071, 10164: // wrong last sequence; only replicated streams send the second
		meaning = ErrConflict
	case
		10002, 10023, 10028, 10047, // the account or the server has run out of resources
		10054,                      // the message is too large
		10077,                      // the stream is full
		10174, 10175, 10176, 10177, // the batch was not taken, or not as a whole
		10179, 10199, 10200, 10201, 10210:
		meaning = ErrRefused
	}
	return 0, fmt.Errorf("%w: %s (%d)", meaning, b.Error.Description, b.Error.Code)
}
