// Package letters is what back ends ask about webhooks, and what they are answered.
package letters

import (
	"natsrooms/events"
)

// Letter is a dead letter: an event that could not be delivered. It names the event and does not
// hold it; the event is in its stream as long as that keeps it.
type Letter struct {
	Hook   string      `json:"webhook"`
	ID     string      `json:"id"` // the stream's part of it, and the place there: facts.123
	Event  string      `json:"eventID"`
	Type   string      `json:"type"`
	Room   string      `json:"roomID"`
	At     events.Time `json:"time"`  // when the event was stored
	Died   events.Time `json:"died"`  // when it became a dead letter
	Tries  int         `json:"tries"` // since the instance that gave it up took it
	Why    string      `json:"why"`   // of the last try
	Replay bool        `json:"replay,omitzero"`
}

// Status is how a webhook is, for people.
type Status struct {
	Name    string `json:"name"`
	Host    string `json:"host"` // where it leads, without the path
	Waiting uint64 `json:"waiting"`
	Behind  int    `json:"behind"` // rooms that wait for another try
	Letters int    `json:"letters"`
}

// Question is what back ends ask, on a subject of [natsrooms/subjects.Webhook].
type Question struct {
	Hook     string   `json:"webhook,omitzero"`  // list: only this one
	NextFlag string   `json:"nextFlag,omitzero"` // list: where the last reply ended; for one webhook
	IDs      []string `json:"ids,omitzero"`      // replay and drop: which dead letters
	All      bool     `json:"all,omitzero"`      // replay and drop: all of the webhook's
}

// Reply is the answer.
type Reply struct {
	Webhooks []Status `json:"webhooks,omitzero"`
	Letters  []Letter `json:"letters,omitzero"`  // list: those of one webhook, in the order of their IDs
	NextFlag string   `json:"nextFlag,omitzero"` // list: there are more
	Done     int      `json:"done,omitzero"`     // replay and drop: how many there were
}
