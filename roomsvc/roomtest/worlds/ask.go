package worlds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/docs/contract"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Ask sends a request and returns the answer; the subject is a verb, or a verb and a user's token.
func (w *World) Ask(subject string, body string, header ...string) *nats.Msg {
	w.T.Helper()
	m := nats.NewMsg(subjects.Command(subject))
	m.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(w.Ctx, Patience)
	defer cancel()
	answer, err := w.NC.RequestMsgWithContext(ctx, m)
	if err != nil {
		w.T.Fatalf("%s %.200s: %v", subject, body, err)
	}
	w.Agreed(subject, m.Data, answer)
	return answer
}

// Agreed checks an answer, and what was asked, against the contract's schemas.
func (w *World) Agreed(subject string, body []byte, answer *nats.Msg) {
	w.T.Helper()
	verb, _, _ := strings.Cut(subject, ".")
	if !w.answers.Takes(verb + answer.Header.Get(micro.ErrorHeader)) {
		return
	}
	if err := contract.Answer(verb, body, answer); err != nil {
		w.T.Errorf("%s: %v", verb, err)
	}
}

// OK sends a request that must succeed and returns the reply as T.
func OK[T any](w *World, subject string, body string, header ...string) *T {
	w.T.Helper()
	m := w.Ask(subject, body, header...)
	if e := Refusal(m); e != nil {
		w.T.Fatalf("%s %.200s: %v", subject, body, e)
	}
	return Decode[T](w.T, m.Data)
}

// Decode reads JSON.
func Decode[T any](t testing.TB, data []byte) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("reading %.300s: %v", data, err)
	}
	return v
}

// Refused sends a request that must be refused with that code and returns the error.
func (w *World) Refused(code *room.Code, subject string, body string, header ...string) *room.Error {
	w.T.Helper()
	m := w.Ask(subject, body, header...)
	e := Refusal(m)
	if e == nil {
		w.T.Fatalf("%s %.200s: done, want %s\n%.500s", subject, body, code.Name, m.Data)
	}
	if e.Code.Name != code.Name || e.Code.Number != code.Number {
		w.T.Fatalf("%s %.200s: %v, want %s", subject, body, e, code.Name)
	}
	if e.Outcome != room.None {
		w.T.Errorf("%s %.200s: outcome %q of a refusal", subject, body, e.Outcome)
	}
	return e
}

// Refusal reads an answer's error as the contract has it: headers and body say the same.
func Refusal(m *nats.Msg) *room.Error {
	name := m.Header.Get(micro.ErrorHeader)
	if name == "" {
		return nil
	}
	var body room.ErrorBody
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return &room.Error{Code: &room.Code{Name: "an error that can't be read"}, Message: string(m.Data)}
	}
	if body.Error.Code != name || strconv.Itoa(body.Error.Number) != m.Header.Get(micro.ErrorCodeHeader) || body.Error.Message == "" {
		return &room.Error{Code: &room.Code{Name: "an error whose body is not its header"}, Message: string(m.Data)}
	}
	return body.Err()
}

// Request asks from any goroutine. Since an instance may die, it sends the same request again
// until it is answered.
func Request[T any](w *World, verb room.Verb, q any, each time.Duration) (*T, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	for w.Ctx.Err() == nil {
		v, err := try[T](w, string(verb), data, each)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders), errors.Is(err, room.ErrUnavailable), errors.Is(err, room.ErrBusy):
			continue
		}
		return v, err
	}
	return nil, fmt.Errorf("%s %s: not answered: %w", verb, data, w.Ctx.Err())
}

// Once asks from any goroutine, and only once; the subject is as in [World.Ask].
func Once[T any](w *World, subject room.Verb, q any) (*T, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	return try[T](w, string(subject), data, Patience)
}

func try[T any](w *World, subject string, data []byte, limit time.Duration) (*T, error) {
	ctx, cancel := context.WithTimeout(w.Ctx, limit)
	defer cancel()
	m, err := w.NC.RequestWithContext(ctx, subjects.Command(subject), data)
	if err != nil {
		return nil, err
	}
	w.Agreed(subject, data, m)
	if e := Refusal(m); e != nil {
		return nil, e
	}
	v := new(T)
	return v, json.Unmarshal(m.Data, v)
}
