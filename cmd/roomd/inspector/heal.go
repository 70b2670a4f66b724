package inspector

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// catchUp tells what the history has and the page was not told. It looks for both facts and messages.
func (t *teller) catchUp() error {
	if t.at.instance == "" {
		got, err := t.get()
		if err == nil && got != nil {
			err = t.hello("instance")
		}
		return err
	}
	facts, whole, err := t.missed(room.HistoryRequest{AfterSequence: &t.at.sequence})
	if err != nil {
		return err
	}
	said, all, err := t.missed(room.HistoryRequest{AfterMessageSeq: &t.at.message})
	if err != nil {
		return err
	}
	if !whole || !all {
		return t.hello("gap")
	}
	missed, err := merge(facts, said)
	if err != nil {
		return err
	}
	for _, m := range missed {
		if m.fact {
			t.at.sequence = m.sequence
			t.add("fact", t.at.id(), m.data)
		} else {
			t.at.message = max(t.at.message, m.message)
			t.add("message", t.at.id(), m.data)
		}
	}
	return nil
}

// missed reads the history from a position to its end; whole is false if that is not all of it.
func (t *teller) missed(q room.HistoryRequest) (list []jsontext.Value, whole bool, err error) {
	for {
		page, err := t.history(q)
		if err != nil {
			return nil, false, err
		}
		list = append(list, page.Events...)
		switch {
		case !page.Complete || len(list) > mostMissed:
			return nil, false, nil
		case page.NextFlag == "":
			return list, true, nil
		}
		q.NextFlag = page.NextFlag
	}
}

// missing is an event of the history.
type missing struct {
	data     []byte
	fact     bool
	sequence uint64 // of the fact, or of the one that the message comes after
	message  uint64
}

// merge puts messages among the facts.
func merge(facts, said []jsontext.Value) (list []missing, err error) {
	for _, data := range facts {
		at, err := positionOf(data)
		if err != nil {
			return nil, err
		}
		list = append(list, missing{data: data, fact: true, sequence: at.sequence})
	}
	for _, data := range said {
		var m struct {
			Data struct {
				After uint64 `json:"afterSequence"`
				Seq   uint64 `json:"messageSeq"`
			} `json:"data"`
		}
		if err := json.Unmarshal(data, &m); err != nil {
			return nil, err
		}
		list = append(list, missing{data: data, sequence: m.Data.After, message: m.Data.Seq})
	}
	slices.SortStableFunc(list, func(a, b missing) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.message, b.message))
	})
	return list, nil
}

// positionOf is the instance and sequence of a fact.
func positionOf(data []byte) (at spot, err error) {
	var f struct {
		Instance string `json:"roominstance"`
		Sequence string `json:"sequence"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return at, err
	}
	at.instance = f.Instance
	at.sequence, err = strconv.ParseUint(f.Sequence, 10, 64)
	return at, err
}

// numbered is a message as history has it, with its messageSeq. A deletion has none.
func numbered(data []byte, seq uint64) ([]byte, error) {
	m, err := events.DecodeMessage(data)
	if err != nil {
		if _, deletion := events.DecodeDeletion(data); deletion == nil {
			return data, nil
		}
		return nil, err
	}
	m.Seq = seq
	source, _, _ := strings.Cut(sourceOf(data), "/rooms/")
	return m.Encode(source)
}

func sourceOf(data []byte) string {
	var e struct {
		Source string `json:"source"`
	}
	_ = json.Unmarshal(data, &e) // it was read before
	return e.Source
}

// get is the room; nil if there is none.
func (t *teller) get() (*room.GetReply, error) {
	var reply room.GetReply
	err := t.ask(room.Get, &room.ReadRequest{RoomID: string(t.room), Freshness: room.Freshness{Sync: true}}, &reply)
	if known, ok := errors.AsType[*refusal](err); ok && errors.Is(known.why, room.ErrRoomNotExist) {
		return nil, nil
	}
	return &reply, err
}

// history is a page of the history.
func (t *teller) history(q room.HistoryRequest) (*room.HistoryReply, error) {
	q.RoomID, q.InstanceID = string(t.room), t.at.instance
	var reply room.HistoryReply
	return &reply, t.ask(room.History, &q, &reply)
}

// ask gives a command as a back end.
func (t *teller) ask(verb room.Verb, v, reply any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.life)
	defer cancel()
	m, err := t.i.ask(ctx, t.b, subjects.Command(string(verb)), data)
	if err != nil {
		return err
	}
	if statusOfReply(m) == http.StatusOK {
		return json.Unmarshal(m.Data, reply)
	}
	var wrong room.ErrorBody
	if err := json.Unmarshal(m.Data, &wrong); err != nil {
		return err
	}
	return refused(wrong.Err())
}
