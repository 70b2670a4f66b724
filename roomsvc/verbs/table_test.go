package verbs

import (
	"testing"

	"natsrooms/roomsvc/room"
)

// The Table has a row for every command, and each row has what its command's kind needs.
func TestTableRows(t *testing.T) {
	for i := range room.Commands {
		c := &room.Commands[i]
		row, ok := Table[c.Verb]
		if !ok || row.Take == nil {
			t.Errorf("%s is not taken in", c.Verb)
			continue
		}
		answer, repeat := false, false
		switch c.Kind {
		case room.ChangesOne, room.ChangesSeveral:
			answer, repeat = true, true
		case room.Says:
			repeat = true
		}
		if (row.Answer != nil) != answer || (row.Repeat != nil) != repeat {
			t.Errorf("%s %s: it has an answer: %v, want %v; an answer to its repeat: %v, want %v", c.Verb, c.Kind, row.Answer != nil, answer, row.Repeat != nil, repeat)
		}
	}
	for v := range Table {
		if v.Info() == nil {
			t.Errorf("%s is no command", v)
		}
	}
}
