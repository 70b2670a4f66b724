package leases

import (
	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
	"time"
)

// Session is one device or connection of a user.
type Session struct {
	User subjects.User
	ID   string
}

// State is what is known of a session's lease.
type State struct {
	Live    bool // it has a lease, which has not run out
	Ended   bool // it had a lease, which is over
	Seconds int
	EndAt   events.Time // 0: never, or unknown
	Seq     uint64      // of the newest message under its key; 0: there is none
}

// Ending is a session whose lease is over.
type Ending struct {
	Session
	At  events.Time // when it ended; 0: unknown
	Seq uint64      // of the marker, or of the lease that has run out; 0: there is none
	due events.Time // when it was to end, by the server's clock
}

// Ask is what a session's command asks for.
type Ask struct {
	Seconds    *int // the lease it asks for; nil: it asks for nothing; 0: one that never ends
	Default    int  // what it gets if it asks for nothing and has no lease, or one that never ends; 0: none
	Connection *room.Connection
	Own        bool // an end user names it, so it counts only if it is that user's
	Renewal    bool // it is a renewal: if it names no connection, it has none
	Afresh     bool // begin anew if the previous lease has ended: nothing of that session is left
	Most       int  // how many sessions its user may have; 0: any number

	asked bool // the bucket was read already
}

// Grant is what a session has.
type Grant struct {
	Seconds int         // 0: the lease never ends, or there is none
	EndAt   events.Time // when the lease ends unless it is renewed; 0: never
	Ended   bool        // the lease is over; nothing was renewed
}

// record is the value of a session's key.
type record struct {
	Seconds    int              `json:"leaseSeconds"`
	Connection *room.Connection `json:"connection,omitzero"`
	Own        bool             `json:"own,omitzero"`     // the connection must be the user's own
	EndedAt    events.Time      `json:"endedAt,omitzero"` // in a marker: when the lease ended, if that is known
	Nonce      string           `json:"nonce"`            // tells which write stored it
}

// touch is a call of [Book.Touch] that has not been answered.
type touch struct {
	Session
	Ask
	deadline time.Time
	tries    int // how many it has left
	then     func(Grant, error)
}
