package plain

import (
	"bytes"
	"fmt"

	"natsrooms/events"
)

// Sizes are those of what a service stores and answers, in bytes. What does not fit is longer.
type Sizes struct {
	Fact  int // a message with one entry
	More  int // each further entry
	Reply int
}

var (
	roomKey = []byte(`"roomID":"`)
	userKey = []byte(`"userID":"`)
)

// member is the text after a key of a request; there are no escapes in it.
func member(request, key []byte) string {
	_, after, _ := bytes.Cut(request, key)
	text, _, _ := bytes.Cut(after, []byte{'"'})
	return string(text)
}

// message is read as a fact is: it has a type, a sequence and an entry for each request. What a
// user does is the same to this service, so all are said to join.
func (z Sizes) message(sequence uint64, entries []request) []byte {
	const end = "]}"
	data := make([]byte, 0, z.Fact+(len(entries)-1)*z.More)
	data = fmt.Appendf(data, `{"type":"%s","sequence":%d,"memberList":[`, events.MemberJoined, sequence)
	data = padded(data, z.Fact-z.More-len(end))
	for i, e := range entries {
		from := len(data)
		data = append(append(append(append(data, '{'), userKey...), e.user...), `"}`...)
		if i < len(entries)-1 {
			data = append(data, ',')
		}
		data = padded(data, from+z.More)
	}
	return append(data, end...)
}

func (z Sizes) reply(sequence uint64) []byte {
	return append(padded(fmt.Appendf(nil, `{"sequence":%d`, sequence), z.Reply-1), '}')
}

// padded makes data as long as size.
func padded(data []byte, size int) []byte {
	return append(data, bytes.Repeat([]byte{' '}, max(0, size-len(data)))...)
}
