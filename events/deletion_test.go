package events_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"natsrooms/events"
)

func sampleDeletion() *events.Deletion {
	return &events.Deletion{ID: "D1", Time: t0, Room: "a.b>c", InstanceID: "I1", MessageSeqs: []uint64{3, 42}, Operator: "alice", RequestID: "r1"}
}

func TestDeletionRoundTrip(t *testing.T) {
	plain := &events.Deletion{ID: "D2", Time: t0, Room: "lobby", InstanceID: "I1", MessageSeqs: []uint64{1}}
	for _, d := range []*events.Deletion{sampleDeletion(), plain} {
		raw := must(d.Encode("https://example.org/"))
		if got, err := events.DecodeDeletion(raw); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, d)
		}
		if got, err := events.DecodeAccepted(raw); err != nil || *got != (events.Accepted{InstanceID: d.InstanceID}) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
		e := sdkEvent(t, raw)
		source := "https://example.org/rooms/" + d.Room.Token() + "/I1/messages"
		if e.Type() != events.MessageDeleted || e.ID() != d.ID || e.Source() != source || e.Subject() != string(d.Room) || events.TimeOf(e.Time()) != t0 {
			t.Errorf("unexpected envelope\n%s", raw)
		}
		// Readers who know nothing of deletions take it for no message and no fact.
		if _, err := events.DecodeMessage(raw); !errors.Is(err, events.ErrUnknownType) {
			t.Errorf("as a message it is %v", err)
		}
		if f, err := events.DecodeFact(raw); !errors.Is(err, events.ErrUnknownType) || f.Sequence != 0 {
			t.Errorf("as a fact it is %+v, %v", f, err)
		}
	}
}

func TestMalformedDeletion(t *testing.T) {
	good := string(must(sampleDeletion().Encode("")))
	for from, to := range map[string]string{
		`"messageSeqs":[3,42]`: `"messageSeqs":[]`, `"messageSeqs":[3`: `"messageSeqs":[0`, `"id":"D1"`: `"id":""`,
		`"operator":"alice"`: `"operator":"\u0001"`, `"roomID":"a.b`: `"roomID":"\u0001`, `"instanceID":"I1"`: `"instanceID":""`,
	} {
		if !strings.Contains(good, from) {
			t.Fatalf("%s has no %s", good, from)
		}
		if d, err := events.DecodeDeletion([]byte(strings.Replace(good, from, to, 1))); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("with %s it is %+v, %v", to, d, err)
		}
	}
}
