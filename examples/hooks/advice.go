package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
)

// Rules are what this application has to say about commands.
type Rules struct {
	words *regexp.Regexp      // that are not to be read; nil: there are none
	paid  map[string][]string // by room, who has paid for it; other rooms are free
}

// NewRules makes rules of words that are replaced by asterisks, and of rooms with their payers.
func NewRules(words []string, paid map[string][]string) *Rules {
	r := &Rules{paid: paid}
	if len(words) > 0 {
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = regexp.QuoteMeta(w)
		}
		r.words = regexp.MustCompile(`(?i)\b(` + strings.Join(quoted, "|") + `)\b`)
	}
	return r
}

// Send replaces the words in what is said as text.
func (r *Rules) Send(q *hooks.Question) (a hooks.Answer) {
	var said struct {
		Type string `json:"type"`
		Data string `json:"data"`
	}
	if r.words == nil || json.Unmarshal(q.Body, &said) != nil || said.Type != "text" {
		return a
	}
	clean := r.words.ReplaceAllStringFunc(said.Data, func(w string) string { return strings.Repeat("*", len(w)) })
	if clean != said.Data {
		a.Replace = &hooks.Replace{Data: &clean}
	}
	return a
}

// Come lets nobody into a room who has not paid for it.
func (r *Rules) Come(q *hooks.Question) (a hooks.Answer) {
	if payers, paid := r.paid[q.RoomID]; paid && !slices.Contains(payers, q.UserID) {
		a.Deny = &hooks.Deny{Message: "This room is for members of the club.", Code: "PAYMENT_REQUIRED"}
	}
	return a
}

// Answer answers the questions that arrive on a subject. Any number of copies of this program
// share them.
func (r *Rules) Answer(nc *nats.Conn, subject string) error {
	_, err := nc.QueueSubscribe(subject, "advisors", func(m *nats.Msg) {
		var q hooks.Question
		if json.Unmarshal(m.Data, &q) != nil {
			return
		}
		rule := r.Come
		if q.Verb == room.Send {
			rule = r.Send
		}
		if data, err := json.Marshal(rule(&q)); err == nil {
			_ = m.Respond(data) // or the service does without
		}
	})
	return err
}
