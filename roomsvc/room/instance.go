package room

import (
	"fmt"
	"strconv"

	"natsrooms/events"
)

// An instance's ID begins with when it was made, so that its facts are found among those of
// all instances of its name: facts are stored in the order of their times.
const (
	madeDigits = 9 // milliseconds in base 36
	restDigits = 13
)

// InstanceID is the ID of an instance made at a moment. The end of unique, 13 characters, tells
// it from all others of that moment.
func InstanceID(made events.Time, unique string) string {
	return fmt.Sprintf("%0*s", madeDigits, strconv.FormatInt(int64(made), 36)) + unique[len(unique)-restDigits:]
}

// MadeAt is when an instance was made, if that is a time.
func MadeAt(id string) (made events.Time, ok bool) {
	if len(id) != madeDigits+restDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(id[:madeDigits], 36, 63)
	return events.Time(n), err == nil
}
