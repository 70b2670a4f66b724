package room

import (
	"natsrooms/events"
	"natsrooms/subjects"
)

// Bound is what the run's entries, and the room that it creates, are counted with.
func (r *Run) Bound() int { return r.size - factOverhead }

// TakesLeave says whether AddLeave would decide the command now.
func (r *Run) TakesLeave(c *Command) bool { return r.takesLeave(c) }

// AddLeave decides the leaving of a command that names several rooms.
func (r *Run) AddLeave(c *Command, reason events.LeftReason, to subjects.Room) Verdict {
	return r.leave(c, reason, to)
}
