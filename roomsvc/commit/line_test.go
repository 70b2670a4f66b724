package commit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Those who come pass those who go, and the other way round, but nobody passes a command of its own
// user, or one that does anything else; whoever would only be refused waits; and nobody ends the room, which has
// no delay, before those come who were ahead. A script has +user for an enter, -user for a leave, and ! for
// attributes; a story is what the facts say after those who were in before.
func TestPassing(t *testing.T) {
	for name, c := range map[string]struct {
		most          int // members that the room may have
		in            string
		script, story string
		refused       string
	}{
		"by turns":              {0, "a b c d", "-a +e -b +f -c +g", "-a-b-c +e+f+g", ""},
		"the first decides":     {0, "a b", "+c -a +d -b", "+c+d -a-b", ""},
		"in again":              {0, "a b c", "-a +a -b +d", "-a-b +a+d", ""},
		"not the last one":      {0, "a b", "-a +c -b", "-a +c -b", ""},
		"in and out":            {0, "a", "+b -a -b +c", "+b+c -a-b", ""},
		"behind one of its own": {0, "a b", "-a +c +a -a", "-a +c+a -a", ""},
		"something else":        {0, "a b", "-a +c ! -b +d", "-a +c ! -b +d", ""},
		"a full room":           {3, "a b c", "-a +d -b +e", "-a-b +d+e", ""},
		"room for one":          {2, "a", "+b -a +c", "+b -a +c", ""},
		"no room in front":      {2, "a b", "+c -a +d", "-a +d", "c"},
		"not in":                {0, "a", "+b -c", "+b", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, room.Limits{MaxMembers: c.most})
			made := create("", "lobby")
			made.Config.RoomDestroyDelayTime = 0
			r.do(made)
			for _, user := range strings.Fields(c.in) {
				r.do(enter(subjects.User(user), "lobby"))
			}
			before := len(r.facts("lobby"))
			b := r.acquire("lobby")
			calls := map[string]*asked{}
			for i, word := range strings.Fields(c.script) {
				user := subjects.User(word[1:])
				cmd := enter(user, "lobby")
				switch word[0] {
				case '-':
					cmd = leave(user, "lobby")
				case '!':
					cmd = about(room.SetAttributes, "", "lobby")
					cmd.Set = map[string]string{"topic": "passing"}
				}
				calls[fmt.Sprint(i, word)] = r.ask(cmd)
			}
			r.release(b)
			var refused []string
			for _, a := range calls {
				if res := r.result(a); res.Refused != nil {
					refused = append(refused, string(res.Cmd.User))
				}
			}
			if got := strings.Join(refused, " "); got != c.refused {
				t.Errorf("%q are refused, want %q", got, c.refused)
			}
			var story []string
			for _, f := range r.facts("lobby")[before:] {
				var said strings.Builder
				for _, j := range f.Joined {
					said.WriteString("+" + j.UserID)
				}
				for _, l := range f.Left {
					said.WriteString("-" + l.UserID)
				}
				if len(f.Changes) > 0 {
					said.WriteString("!")
				}
				story = append(story, said.String())
			}
			if want := strings.Fields(c.story); !slices.Equal(story, want) {
				t.Errorf("%s: %q, want %q", c.script, story, want)
			}
		})
	}
}
