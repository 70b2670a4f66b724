package hooks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/roomsvc/room"
)

// Question is what the application is asked.
type Question struct {
	Verb       room.Verb      `json:"verb"`
	RoomID     string         `json:"roomID"`              // of a switch, where it goes
	InstanceID string         `json:"instanceID,omitzero"` // of the room as it is now; absent: there is none
	UserID     string         `json:"userID"`
	SessionID  string         `json:"sessionID"`
	Body       jsontext.Value `json:"body"` // of the request, as it came
}

// Answer is what the application says. The zero value lets the command pass; no more than one
// of the fields may be set.
type Answer struct {
	Deny    *Deny    `json:"deny,omitzero"`
	Replace *Replace `json:"replace,omitzero"` // send only
	Silent  bool     `json:"silent,omitzero"`  // send only: it succeeds, and nobody hears it
}

// Deny refuses a command with NOT_ALLOWED.
type Deny struct {
	Message string `json:"message"`       // for the user; cut after 1 KiB
	Code    Code   `json:"code,omitzero"` // the application's own, which clients find in appCode
}

// Replace changes what is said. What is nil stays as it is.
type Replace struct {
	Data         *string `json:"data,omitzero"`
	ExtendedData *string `json:"extendedData,omitzero"`
}

// In puts it in the place of what a send says.
func (r *Replace) In(data, extendedData *string) {
	if r != nil && r.Data != nil {
		*data = *r.Data
	}
	if r != nil && r.ExtendedData != nil {
		*extendedData = *r.ExtendedData
	}
}

// Code is a code of the application's own, of at most 64 bytes. In an answer it may be a number
// too.
type Code string

// UnmarshalJSONFrom takes a string or a number.
func (c *Code) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	if k := t.Kind(); k != jsontext.KindString && k != jsontext.KindNumber {
		return errors.New("code is neither a string nor a number")
	}
	if *c = Code(t.String()); len(*c) > MaxCode {
		return fmt.Errorf("code has %d bytes; it may have %d", len(*c), MaxCode)
	}
	return nil
}

const (
	maxMessage = 1 << 10 // bytes
	// MaxCode is the most bytes of a [Code].
	MaxCode = 64
)

// read reads the answer to a question about a verb. What it does not know it does not take for
// a leave: a misspelt refusal must not let anything pass. Of an answer that denies and has a
// mistake, an error comes with a denial.
func read(verb room.Verb, data []byte) (a Answer, err error) {
	if jsontext.Value(data).Kind() != jsontext.KindBeginObject {
		return a, errors.New("it is no JSON object")
	}
	if err = json.Unmarshal(data, &a, json.RejectUnknownMembers(true)); err != nil {
		return badly(data), err
	}
	said := 0
	for _, set := range []bool{a.Deny != nil, a.Replace != nil, a.Silent} {
		if set {
			said++
		}
	}
	switch {
	case said > 1:
		return badly(data), errors.New("it has more than one of deny, replace and silent")
	case verb != room.Send && (a.Replace != nil || a.Silent):
		return Answer{}, fmt.Errorf("replace and silent are for send, not for %s", verb)
	}
	return a, nil
}

// badly is what can still be said of an answer with a mistake.
func badly(data []byte) (a Answer) {
	var said map[string]jsontext.Value
	if json.Unmarshal(data, &said, jsontext.AllowDuplicateNames(true)) == nil && said["deny"] != nil && said["deny"].Kind() != jsontext.KindNull {
		a.Deny = &Deny{}
	}
	return a
}

// refusal is what the user is told.
func (d *Deny) refusal() *room.Error {
	message := d.Message
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	if message == "" {
		message = "the application does not allow this"
	}
	e := room.Refuse(room.ErrNotAllowed, "%s", message)
	e.AppCode = string(d.Code)
	return e
}
