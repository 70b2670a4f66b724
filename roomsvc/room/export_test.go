package room

// Bound is what the run's entries, and the room that it creates, are counted with.
func (r *Run) Bound() int { return r.size - factOverhead }
