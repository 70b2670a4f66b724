package room_test

import (
	"slices"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// IDs of instances are of one length, sort by when the instances were made, and say it.
func TestInstanceID(t *testing.T) {
	var ids []string
	for _, made := range []events.Time{0, 1, 35, 36, 1_795_000_000_000, 101_559_956_668_415} {
		id := room.InstanceID(made, "random part 0123456789abc")
		if at, ok := room.MadeAt(id); at != made || !ok || len(id) != 22 || id[9:] != "0123456789abc" {
			t.Errorf("made at %d: %q, which says %d, %v", made, id, at, ok)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not in order: %q", ids)
	}
	for _, id := range []string{"", "never", "-00000001x0123456789ab", "=========0123456789abc", "0123456780123456789abc0"} {
		if at, ok := room.MadeAt(id); ok {
			t.Errorf("%q says %d", id, at)
		}
	}
}
