package room_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

var update = flag.Bool("update", false, "write the scenarios' results into their files")

// A scenario file is a list of blocks: directives, ----, their results, an empty line.
// Lines that start with # say what it is about.
//
//	run          indented lines follow: one batch of commands, and its facts are stored
//	lost         the same, but another instance was faster: nothing is stored
//	crowd ROOM N [name=CHAR]   N users with the longest names and infos, made of CHAR (or U+HEX), join
//	VERB ...     one command, in a batch of its own
//	fill ROOM N  u0000 and N-1 others join
//	destroy ROOM [by=SEQUENCE]   ends the empty room, if it is still the one emptied by that
//	next ROOM    the next fact of a room that is ending
//	reload ROOM  continues with the room as the state bucket has it
//	limit NAME N    keep ROOM    show ROOM    now SECONDS    most MEMBERS
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			var out strings.Builder
			for i, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
				if i > 0 {
					out.WriteString("\n")
				}
				input, _, _ := strings.Cut(block, "\n----")
				out.WriteString(input + "\n")
				if got := w.block(input); got != "" {
					out.WriteString("----\n" + got)
				}
			}
			if *update {
				err = os.WriteFile(file, []byte(out.String()), 0o644)
			} else if out.String() != string(raw) {
				t.Errorf("%s: the result has changed; it is now\n%s", file, out.String())
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// block executes the directives of one block.
func (w *world) block(input string) (out string) {
	w.Helper()
	lines := strings.Split(input, "\n")
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "#") {
			continue
		}
		first := i
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
		}
		out += w.directive(lines[first], lines[first+1:i+1])
	}
	return out
}

// directive executes one directive and returns its result.
func (w *world) directive(line string, rest []string) string {
	w.Helper()
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			w.Fatalf("%q: %v", line, err)
		}
		return n
	}
	switch words[0] {
	case "now":
		w.now = events.Time(number(words[1])) * 1000
		return ""
	case "most":
		w.most = number(words[1])
		return ""
	case "show":
		return w.show(subjects.Room(words[1])) + "\n"
	case "keep":
		f := room.Keep(w.rooms[subjects.Room(words[1])], w.input(subjects.Room(words[1])))
		w.store(f)
		return describe(f) + "\n" + w.show(f.Room) + "\n"
	case "limit":
		for _, s := range room.Settings {
			if s.Name == words[1] {
				*s.Of(&w.limits) = number(words[2])
			}
		}
		return ""
	case "fill":
		return w.fill(subjects.Room(words[1]), number(words[2]))
	case "reload":
		w.reload(subjects.Room(words[1]))
		return w.show(subjects.Room(words[1])) + "\n"
	case "next":
		f := room.EndNext(w.rooms[subjects.Room(words[1])], w.input(subjects.Room(words[1])))
		w.store(f)
		return describe(f) + "\n" + w.show(f.Room) + "\n"
	case "destroy":
		if len(words) > 2 && !strings.HasPrefix(words[2], "by=") {
			break // the command
		}
		r := subjects.Room(words[1])
		s, by := w.rooms[r], uint64(0)
		if len(words) > 2 {
			by = uint64(number(strings.TrimPrefix(words[2], "by=")))
		} else if s != nil {
			by = s.EmptyBy
		}
		f := room.Destroy(s, by, fmt.Sprintf("%s.%d", r, w.births[r]), w.input(r))
		if f == nil {
			return "nothing\n"
		}
		w.store(f)
		return describe(f) + "\n" + w.show(r) + "\n"
	case "crowd":
		return w.crowd(subjects.Room(words[1]), number(words[2]), strings.TrimPrefix(words[3], "name="))
	case "run":
		return w.batch(rest, true)
	case "lost":
		return w.batch(rest, false)
	}
	return w.batch([]string{line}, true)
}

func (w *world) batch(lines []string, stored bool) (out string) {
	w.Helper()
	var commands []*room.Command
	for _, line := range lines {
		commands = append(commands, w.command(line))
	}
	verdicts, facts := w.decide(commands...)
	for i, v := range verdicts {
		out += fmt.Sprintf("%s %s: %s\n", commands[i].Verb, commands[i].User, verdict(v))
	}
	for _, f := range facts {
		out += describe(f) + "\n"
		if stored {
			w.store(f)
		}
	}
	for _, f := range facts {
		if stored {
			out += w.show(f.Room) + "\n"
		}
	}
	return out
}

// fill makes users with short names join, in as few runs as possible.
func (w *world) fill(r subjects.Room, n int) string {
	w.Helper()
	var waiting []*room.Command
	for i := range n {
		waiting = append(waiting, w.command(fmt.Sprintf("join u%04d %s", i, r)))
	}
	for len(waiting) > 0 {
		_, facts := w.decide(waiting...)
		w.store(facts[0])
		waiting = waiting[len(facts[0].Joined):]
	}
	return w.show(r) + "\n"
}

// reload makes the room's state again from its records.
func (w *world) reload(r subjects.Room) {
	w.Helper()
	s, b := w.rooms[r], bucket{}
	b.put(w, r, s.InstanceID, room.Changes{Head: s.Head, Put: membersOf(s), Keep: keptOf(s)})
	w.rooms[r] = load(w, b)[r]
}

func membersOf(s *room.State) (list []*room.Member) {
	s.After(0, func(m *room.Member) bool { list = append(list, m); return true })
	return list
}

// crowd makes many join in as few runs as possible. [world.store] checks the sizes.
func (w *world) crowd(r subjects.Room, n int, char string) (out string) {
	w.Helper()
	if hex, ok := strings.CutPrefix(char, "U+"); ok {
		n, err := strconv.ParseInt(hex, 16, 32)
		if err != nil {
			w.Fatalf("%v", err)
		}
		char = string(rune(n))
	}
	var waiting []*room.Command
	for i := range n {
		q := room.Caller{
			UserID:    fmt.Sprintf("%04d%s", i, strings.Repeat(char, 124/len(char))),
			UserName:  strings.Repeat(char, defaults.UserName/len(char)),
			SessionID: strings.Repeat(char, room.MaxSessionID/len(char)),
			RequestID: strings.Repeat(char, room.MaxRequestID),
		}
		q.UserInfo = fmt.Appendf(nil, "{%q:%q}", "k", strings.Repeat(char, (room.MaxUserInfo-8)/len(strconv.Quote(char)[1:])-1))
		c, err := q.Command(room.Join, false, defaults)
		if err != nil {
			w.Fatalf("%v", err)
		}
		c.Room = r
		waiting = append(waiting, c)
	}
	for len(waiting) > 0 {
		verdicts, facts := w.decide(waiting...)
		taken := len(facts[0].Joined)
		for i, v := range verdicts {
			if v.Changed != (i < taken) || v.Later == v.Changed {
				w.Fatalf("command %d: %s, of %d taken", i, verdict(v), taken)
			}
		}
		w.store(facts[0])
		raw, _ := facts[0].Encode("")
		out += fmt.Sprintf("%s %d: %d entries, %d of %d KiB\n", strings.TrimPrefix(facts[0].Type, events.TypePrefix), facts[0].Sequence, taken, len(raw)>>10, events.MaxFactBytes>>10)
		waiting = waiting[taken:]
	}
	return out
}
