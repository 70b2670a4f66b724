package journal

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// delivered is a message as a consumer delivers it.
type delivered struct {
	jetstream.Msg
	seq uint64
}

func (d delivered) Metadata() (*jetstream.MsgMetadata, error) {
	if d.seq == 0 {
		return nil, errors.New("no metadata")
	}
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: d.seq}}, nil
}
func (delivered) Headers() nats.Header { return nil }
func (delivered) Subject() string      { return "room.evt.lobby" }
func (delivered) Data() []byte         { return nil }

// What a consumer has delivered already still comes when a message could not be taken.
// Nothing of it may be taken, else the one in between would be passed over.
func TestFollowerStopsWhereItFails(t *testing.T) {
	unknown := errors.New("not to be taken")
	for _, c := range []struct {
		name      string
		delivered []uint64
		taken     []uint64
		err       error
	}{
		{"one can't be taken", []uint64{3, 4, 5, 6}, []uint64{3, 4, 5}, unknown},
		{"a gap of facts", []uint64{3, 8, 9}, []uint64{3}, ErrAged},
		{"one without its sequence", []uint64{3, 0, 4}, []uint64{3}, nil},
		{"one that comes twice", []uint64{3, 4, 3, 4}, []uint64{3, 4}, nil},
	} {
		var taken []uint64
		f := &follower{next: 3, failed: make(chan error, 1), gap: func(uint64) error { return ErrAged }, take: func(m Message) error {
			taken = append(taken, m.Seq)
			if m.Seq == 5 {
				return unknown
			}
			return nil
		}}
		for _, seq := range c.delivered {
			f.message(delivered{seq: seq})
		}
		if !slices.Equal(taken, c.taken) {
			t.Errorf("%s: %v are taken, want %v", c.name, taken, c.taken)
		}
		if c.err == nil {
			continue
		}
		select {
		case err := <-f.failed:
			if !errors.Is(err, c.err) {
				t.Errorf("%s: it fails with %v", c.name, err)
			}
		default:
			t.Errorf("%s: it does not fail", c.name)
		}
	}
}
