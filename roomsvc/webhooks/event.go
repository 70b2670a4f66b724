package webhooks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/subjects"
)

// origin is one of the two streams that events come from.
type origin struct {
	name    string // in keys
	stream  string
	pattern string // of the subjects of events
	subject func(subjects.Room) string
	room    func(subject string) (subjects.Room, bool)
}

var (
	facts    = &origin{"facts", subjects.StreamRooms, subjects.FactsPattern, subjects.Facts, subjects.RoomOfFacts}
	messages = &origin{"messages", subjects.StreamMessages, subjects.MessagesPattern, subjects.Messages, subjects.RoomOfMessages}
)

// originOf is the origin with a name, nil if there is none.
func originOf(name string) *origin {
	switch name {
	case facts.name:
		return facts
	case messages.name:
		return messages
	}
	return nil
}

// event is one stored event.
type event struct {
	origin *origin
	seq    uint64 // in its stream
	room   subjects.Room
	at     time.Time // when it was stored
	data   []byte

	id, typ string // of the CloudEvent
}

// decode reads what a stream holds; an error says that it is no event of ours.
func decode(o *origin, subject string, seq uint64, at time.Time, data []byte) (*event, error) {
	r, ok := o.room(subject)
	if !ok {
		return nil, fmt.Errorf("%q is no room's subject", subject)
	}
	var head struct {
		SpecVersion string `json:"specversion"`
		ID          string `json:"id"`
		Type        string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.SpecVersion != "1.0" || head.ID == "" || !strings.HasPrefix(head.Type, events.TypePrefix) {
		return nil, fmt.Errorf("it is no event: version %q, type %q", head.SpecVersion, head.Type)
	}
	return &event{o, seq, r, at, data, head.ID, head.Type}, nil
}

// letter is the ID of the event among dead letters.
func (e *event) letter() string { return e.origin.name + "." + strconv.FormatUint(e.seq, 10) }

// body is the event as it is delivered: as it is stored, and a message with its place, as history
// shows it.
func (e *event) body(prefix string) ([]byte, error) {
	if e.typ != events.MessageSent {
		return e.data, nil
	}
	m, err := events.DecodeMessage(e.data)
	if err != nil {
		return nil, err
	}
	m.Seq = e.seq
	return m.Encode(prefix)
}

// fill makes a request of the event.
func (e *event) fill(binary bool, prefix string) func(*http.Request) error {
	return func(req *http.Request) error {
		body, err := e.body(prefix)
		if err != nil {
			return err
		}
		m := cehttp.NewMessage(http.Header{"Content-Type": {events.ContentType}}, io.NopCloser(bytes.NewReader(body)))
		ctx := context.Background() // it only says in which mode
		if binary {
			ctx = binding.WithForceBinary(ctx)
		}
		return cehttp.WriteRequest(ctx, m, req)
	}
}
