package commit

import (
	"sync/atomic"
	"time"

	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/traces"
)

// Timeout is how long a call may take: it is answered within the contract's ten seconds.
const Timeout = 9 * time.Second

// Call is one command on its way.
type Call struct {
	Cmd      *room.Command
	Deadline time.Time
	From     any          // who asked; only [Config.Settle] uses it
	Span     *traces.Span // of the command; nil: nobody traces it

	state atomic.Int32
	begun atomic.Bool // a first part of it is stored

	// Used by the goroutine that decides it.
	synced   bool // a sync point was passed since it came, so a refusal is proved
	reserved bool // it holds a place among its user's rooms
	creating bool // it holds a place among all rooms
	more     bool // a leaveAll: its session is in more rooms than one batch can leave
}

// States of a call.
const (
	waiting int32 = iota
	deciding
	answered
)

// Answer takes the right to answer the call, which can be taken only once.
func (c *Call) Answer() bool { return c.state.Swap(answered) != answered }

// Answered says that the right to answer has been taken.
func (c *Call) Answered() bool { return c.state.Load() == answered }

// Begin begins to decide a call that waits, or to send its message; it returns false if the
// call's time ran out.
func (c *Call) Begin() bool { return c.state.CompareAndSwap(waiting, deciding) }

// begins notes that a first part of the call is stored, in an instance of its room.
func (c *Call) begins(instanceID string) {
	c.Cmd.Begun = instanceID
	c.begun.Store(true)
}

// reopen makes a call that was being decided wait again; it returns false if the call's time
// ran out.
func (c *Call) reopen() bool { return c.state.CompareAndSwap(deciding, waiting) }

// Result is what became of a call. It is passed on once, while the room's lock is held.
type Result struct {
	*Call
	room.Verdict

	At     replica.Place   // its room after its fact, or as it is now
	Left   []replica.Place // the rooms that its session has left by it
	More   bool            // a leaveAll: there are rooms that it did not leave
	Repeat bool            // its request was seen before: Before is its outcome, or Refused says that it was another request
	Before *replica.Outcome
	State  *room.State // the state of its room now; nil: there is no such room
	Late   bool        // its caller was told that nobody knows the outcome; its user's devices are still to be told
}
