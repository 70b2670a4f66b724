package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
