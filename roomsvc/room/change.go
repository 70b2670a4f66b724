package room

import (
	"natsrooms/events"
	"natsrooms/subjects"
)

// Mark names a stored fact.
type Mark struct {
	Revision uint64 `json:"revision"` // its stream sequence
	FactID   string `json:"factID"`
}

// Change is what one stored fact changed, as values.
type Change struct {
	Mark
	Type string // of the fact
	Room subjects.Room
	Changes
	InstanceID string
}

// ChangeOf is the change that a fact, stored at a revision, made.
func ChangeOf(f *events.Fact, ch Changes, revision uint64) Change {
	return Change{Mark: Mark{Revision: revision, FactID: f.ID}, Type: f.Type, Room: f.Room, Changes: ch, InstanceID: f.InstanceID}
}

// Records is how many records of the bucket the change touches.
func (c *Change) Records() int { return 1 + len(c.Put) + len(c.Del) + len(c.Keep) }
