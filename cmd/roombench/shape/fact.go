package shape

import (
	"bytes"
	"fmt"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/events"
)

// kind says what the entries of a fact are.
type kind int

const (
	other kind = iota
	joins
	leaves
)

// fact is what clients read of a fact: no more than they need in order to count.
type fact struct {
	sequence uint64
	kind     kind
	entries  int
	own      bool // one of the entries is the reader's
}

var (
	typeKey     = []byte(`"type":"`)
	sequenceKey = []byte(`"sequence":`)
	userKey     = []byte(`"userID":"`)
	joinTypes   = [][]byte{[]byte(events.MemberJoined), []byte(events.RoomCreated)}
	leaveTypes  = [][]byte{[]byte(events.MemberLeft)}
)

// readFact scans a fact. own is the reader's user ID and the quotation mark after it; each, which
// may be nil, gets the bytes from every entry's user ID on.
func readFact(data, own []byte, each func(k kind, user []byte)) (f fact, err error) {
	if i := bytes.Index(data, sequenceKey); i >= 0 {
		f.sequence = wire.Number(bytes.TrimPrefix(data[i+len(sequenceKey):], []byte(`"`)))
	}
	if f.sequence == 0 {
		return f, fmt.Errorf("a fact without a sequence: %.200q", data)
	}
	f.kind = kindOf(data)
	if f.kind == other {
		return f, nil
	}
	for rest := data; ; {
		i := bytes.Index(rest, userKey)
		if i < 0 {
			return f, nil
		}
		rest = rest[i+len(userKey):]
		f.entries++
		f.own = f.own || bytes.HasPrefix(rest, own)
		if each != nil {
			each(f.kind, rest)
		}
	}
}

func kindOf(data []byte) kind {
	i := bytes.Index(data, typeKey)
	if i < 0 {
		return other
	}
	typ := data[i+len(typeKey):]
	for _, t := range joinTypes {
		if bytes.HasPrefix(typ, t) {
			return joins
		}
	}
	for _, t := range leaveTypes {
		if bytes.HasPrefix(typ, t) {
			return leaves
		}
	}
	return other
}

// position is the sequence in a reply: the last one, since a room comes before it.
func position(reply []byte) (uint64, error) {
	i := bytes.LastIndex(reply, sequenceKey)
	if i < 0 {
		return 0, fmt.Errorf("a reply without a sequence: %.200q", reply)
	}
	return wire.Number(reply[i+len(sequenceKey):]), nil
}
