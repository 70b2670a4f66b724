// Package plain is the least that a durable room service must do for a command, and no room: one
// append that is acknowledged, which everybody hears whom it concerns, and an answer. It shows how
// much of what a room service costs is that of NATS.
//
// A room has one append in flight, and the requests that arrive meanwhile share the next one.
package plain

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// most is how many requests one message may carry.
const most = 1000

// Service answers requests of one connection, which may come from many.
type Service struct {
	nc    *nats.Conn
	into  string
	acks  string // acknowledgements come there, with the room's number
	sizes Sizes

	mu    sync.Mutex
	rooms map[string]*room
	list  []*room // by number
}

// room is a subject of the stream, and who waits for a message there.
type room struct {
	id       string
	number   int
	waiting  []request
	sent     []request // in the message that is in flight; empty: there is none
	sequence uint64    // of its newest message, counted from 1
	last     uint64    // that message's sequence in the stream
}

type request struct{ user, reply string }

// Start makes a service that answers requests on the subject that it returns, until the
// connection closes. It appends to the subject that is into and a room's ID. Nobody else may
// append there, and nothing may be there yet.
func Start(nc *nats.Conn, into string, sizes Sizes) (subject string, err error) {
	s, subject := newService(nc, into, sizes), nats.NewInbox()
	if _, err = nc.Subscribe(s.acks+"*", s.acknowledged); err != nil {
		return "", err
	}
	if _, err = nc.Subscribe(subject, s.take); err != nil {
		return "", err
	}
	return subject, nc.Flush()
}

func newService(nc *nats.Conn, into string, sizes Sizes) *Service {
	return &Service{nc: nc, into: into, acks: nats.NewInbox() + ".", sizes: sizes, rooms: map[string]*room{}}
}

// take makes a request wait for the next append to its room, which begins now if none is in flight.
func (s *Service) take(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.room(member(m.Data, roomKey))
	r.waiting = append(r.waiting, request{member(m.Data, userKey), m.Reply})
	if len(r.sent) == 0 {
		s.append(r)
	}
}

func (s *Service) room(id string) *room {
	r := s.rooms[id]
	if r == nil {
		r = &room{id: id, number: len(s.list)}
		s.rooms[id], s.list = r, append(s.list, r)
	}
	return r
}

// append sends a message with those who wait. Their answer comes after its acknowledgement, so
// there is none if the connection has ended.
func (s *Service) append(r *room) {
	n := min(len(r.waiting), most)
	r.sent, r.waiting = r.waiting[:n:n], r.waiting[n:]
	_ = s.nc.PublishMsg(&nats.Msg{
		Subject: s.into + r.id, Reply: s.acks + strconv.Itoa(r.number), Data: s.sizes.message(r.sequence+1, r.sent),
		Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(r.last, 10)}},
	})
}

// acknowledged begins the room's next append, and answers the requests of the one before.
func (s *Service) acknowledged(m *nats.Msg) {
	last, err := position(m)
	number, _ := strconv.Atoi(m.Subject[len(s.acks):]) // append wrote it
	s.mu.Lock()
	r := s.list[number]
	done := r.sent
	r.sent = nil
	if err == nil {
		r.sequence, r.last = r.sequence+1, last
	}
	sequence := r.sequence
	if len(r.waiting) > 0 {
		s.append(r)
	}
	s.mu.Unlock()
	s.answer(done, sequence, err)
}

func (s *Service) answer(done []request, sequence uint64, err error) {
	answer := nats.Msg{Data: s.sizes.reply(sequence)}
	if err != nil {
		answer = nats.Msg{Header: nats.Header{micro.ErrorHeader: {"not stored"}}, Data: []byte(err.Error())}
	}
	for _, q := range done {
		answer.Subject = q.reply
		_ = s.nc.PublishMsg(&answer) // who asked notices if the connection has ended
	}
}

// position is the sequence in the stream that an acknowledgement says.
func position(m *nats.Msg) (uint64, error) {
	if len(m.Data) == 0 {
		return 0, errors.New("there is no stream")
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("the stream's answer cannot be read: %w", err)
	}
	if ack.Error != nil {
		return 0, fmt.Errorf("the stream did not store it: %s", ack.Error.Description)
	}
	return ack.Seq, nil
}
