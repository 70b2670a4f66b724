package journal

import "fmt"

// TailLost says that the journal no longer holds a fact that was acknowledged at a revision.
func TailLost(revision uint64, now Extent) error {
	return fmt.Errorf("the journal ends at %d and holds no fact at %d that was acknowledged: the NATS server came back without its newest data; start again, rooms that lost facts go on as new instances", now.Last, revision)
}
