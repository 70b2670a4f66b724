package turns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"natsrooms/roomsvc/leases"
	"natsrooms/subjects"
)

// end ends a turn and begins those that waited; out is called with it and the others whose answers
// go out by that, each before the next can.
func end(t *Turns, turn *Turn, out func(*Turn)) {
	send, begin := t.End(turn)
	if send {
		for list := []*Turn{turn}; len(list) > 0; list = list[1:] {
			out(list[0])
			list = append(list, t.Sent(list[0])...)
		}
	}
	if begin != nil {
		begin()
	}
}

func nobody(*Turn) {}

// play takes turns as written, "kind room" for each, "*" for all rooms and "!" for a kind of its
// own, and ends those that are numbered, in that order. It returns the turns in the order in
// which they begin, each after the end that let it.
func play(turns []string, ends []int) string {
	var t Turns
	var log []string
	list := make([]*Turn, len(turns))
	for i, what := range turns {
		kind, where, _ := strings.Cut(what, " ")
		list[i] = &Turn{Session: leases.Session{User: "alice", ID: "tab"}, Kind: strings.Trim(kind, "!"), Begin: func() { log = append(log, fmt.Sprint(i)) }}
		if where != "*" {
			for r := range strings.SplitSeq(where, "+") {
				list[i].Rooms = append(list[i].Rooms, subjects.Room(r))
			}
		}
		t.Take(list[i])
	}
	for _, i := range ends {
		log = append(log, fmt.Sprintf("/%d:", i))
		end(&t, list[i], nobody)
	}
	if len(ends) == len(turns) && len(t.of) > 0 {
		log = append(log, "and something is left")
	}
	return strings.Join(log, " ")
}

func TestTurns(t *testing.T) {
	for what, c := range map[string]struct {
		turns []string
		ends  []int
		want  string
	}{
		"one":                               {[]string{"enter a"}, []int{0}, "0 /0:"},
		"another verb waits":                {[]string{"enter a", "send a"}, []int{0, 1}, "0 /0: 1 /1:"},
		"another room does not":             {[]string{"enter a", "send b"}, []int{1, 0}, "0 1 /1: /0:"},
		"the same kind need not wait":       {[]string{"send a", "send a", "leave a"}, []int{1, 0, 2}, "0 1 /1: /0: 2 /2:"},
		"nor overtake":                      {[]string{"enter a", "send a", "leave a", "send a"}, []int{0, 1, 2, 3}, "0 /0: 1 /1: 2 /2: 3 /3:"},
		"all at once":                       {[]string{"enter a", "send a", "send a", "send a"}, []int{0, 3, 2, 1}, "0 /0: 1 2 3 /3: /2: /1:"},
		"all rooms":                         {[]string{"send a", "send b", "! *", "send b", "send a"}, []int{1, 0, 2, 3, 4}, "0 1 /1: /0: 2 /2: 3 4 /3: /4:"},
		"two rooms":                         {[]string{"send a", "! a+b", "send b", "send c"}, []int{0, 1, 2, 3}, "0 3 /0: 1 /1: 2 /2: /3:"},
		"two of a kind of its own":          {[]string{"! a+b", "! b+a"}, []int{0, 1}, "0 /0: 1 /1:"},
		"answered before its turn":          {[]string{"enter a", "send a", "leave a"}, []int{1, 0, 2}, "0 /1: /0: 2 /2:"},
		"the last in line, before its turn": {[]string{"enter a", "send a"}, []int{1, 0}, "0 /1: /0:"},
	} {
		if got := play(c.turns, c.ends); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

// A command costs no more than one look at each of those that are in line, however many wait.
func TestManyInLine(t *testing.T) {
	const rooms = 2000
	var turns Turns
	var list []*Turn
	begun := 0
	for i := range rooms {
		for _, kind := range []string{"enter", "send"} {
			turn := &Turn{Session: leases.Session{User: "bot", ID: "tab"}, Rooms: []subjects.Room{subjects.Room(fmt.Sprint(i))}, Kind: kind, Begin: func() { begun++ }}
			list = append(list, turn)
			turns.Take(turn)
		}
	}
	began := time.Now()
	for _, turn := range list {
		end(&turns, turn, nobody)
	}
	if begun != len(list) || len(turns.of) > 0 {
		t.Errorf("%d of %d have begun", begun, len(list))
	}
	if took := time.Since(began); took > 10*time.Second { // it takes some 10 ms; with a look at each pair it takes minutes
		t.Errorf("ending them took %v", took)
	}
}

// Sessions do not wait for each other, and nobody waits for what has ended.
func TestSessionsAreFree(t *testing.T) {
	var turns Turns
	begun := 0
	take := func(u subjects.User, kind string) *Turn {
		turn := &Turn{Session: leases.Session{User: u, ID: "tab"}, Rooms: []subjects.Room{"a"}, Kind: kind, Begin: func() { begun++ }}
		turns.Take(turn)
		return turn
	}
	first := take("alice", "enter")
	take("bob", "leave")
	if begun != 2 {
		t.Errorf("%d have begun", begun)
	}
	for range 2 { // the second time it is not in line any more
		if _, begin := turns.End(first); begin != nil {
			t.Error("somebody waited")
		}
		if next := turns.Sent(first); next != nil {
			t.Error("an answer waited")
		}
	}
	take("alice", "leave")
	if begun != 3 {
		t.Errorf("%d have begun", begun)
	}
}

// A slow command lets those behind it begin once it has begun itself, or is answered.
func TestSlow(t *testing.T) {
	var turns Turns
	var log []string
	take := func(name string, kind string, slow bool) *Turn {
		turn := &Turn{Session: leases.Session{User: "alice", ID: "tab"}, Rooms: []subjects.Room{"a"}, Kind: kind, Slow: slow, Begin: func() { log = append(log, name) }}
		turns.Take(turn)
		return turn
	}
	call := func(begin func()) {
		log = append(log, "/")
		if begin != nil {
			begin()
		}
	}
	one, two, three := take("1", "send", true), take("2", "send", true), take("3", "send", false)
	four, five := take("4", "leave", false), take("5", "send", true)
	call(turns.Begun(one))
	call(turns.Begun(one)) // once more
	over := func(turn *Turn) {
		log = append(log, "/")
		end(&turns, turn, nobody)
	}
	over(two) // its time ran out before it had begun
	call(turns.Begun(two))
	over(three)
	over(one)
	over(four)
	call(turns.Begun(five))
	over(five)
	if got, want := strings.Join(log, ""), "1/2//3///4/5//"; got != want || len(turns.of) > 0 {
		t.Errorf("%s, want %s", got, want)
	}
}

// Answers go out in the order of the commands on each room, whatever is ready first, and each
// once.
func TestAnswers(t *testing.T) {
	for what, c := range map[string]struct {
		turns []string
		ends  []int
		want  string
	}{
		"in order":             {[]string{"read a", "read a", "read a"}, []int{0, 1, 2}, "/0 0 /1 1 /2 2"},
		"in reverse":           {[]string{"read a", "read a", "read a"}, []int{2, 1, 0}, "/2 /1 /0 0 1 2"},
		"other rooms":          {[]string{"read a", "read b", "read a"}, []int{1, 2, 0}, "/1 1 /2 /0 0 2"},
		"about all":            {[]string{"read a", "read b", "read *", "read a", "read *"}, []int{4, 3, 2, 1, 0}, "/4 /3 /2 /1 1 /0 0 2 3 4"},
		"about two":            {[]string{"read a", "read b", "read a+b", "read b", "read a"}, []int{4, 3, 2, 1, 0}, "/4 /3 /2 /1 1 /0 0 2 3 4"},
		"two behind two":       {[]string{"read a+b", "read b+c", "read a+c", "read c"}, []int{3, 2, 1, 0}, "/3 /2 /1 /0 0 1 2 3"},
		"a refusal":            {[]string{"read a", "refused a", "read a"}, []int{2, 0}, "/2 /0 0 1 2"},
		"a refusal, no room":   {[]string{"read a", "refused *", "read a"}, []int{2, 0}, "/2 /0 0 1 2"},
		"a refusal, elsewhere": {[]string{"read a", "refused b", "read a"}, []int{2, 0}, "1 /2 /0 0 2"},
		"refusals alone":       {[]string{"refused a", "refused a"}, nil, "0 1"},
	} {
		var turns Turns
		var log []string
		list := make([]*Turn, len(c.turns))
		out := func(turn *Turn) { log = append(log, fmt.Sprint(turn.From)) }
		for i, what := range c.turns {
			kind, where, _ := strings.Cut(what, " ")
			list[i] = &Turn{From: i, Session: leases.Session{User: "alice", ID: "tab"}, Kind: kind, Begin: func() {}}
			if where != "*" {
				for r := range strings.SplitSeq(where, "+") {
					list[i].Rooms = append(list[i].Rooms, subjects.Room(r))
				}
			}
			if kind != "refused" {
				turns.Take(list[i])
			} else if turns.Refused(list[i]) {
				out(list[i])
				for _, next := range turns.Sent(list[i]) {
					out(next)
				}
			}
		}
		for _, i := range c.ends {
			log = append(log, fmt.Sprintf("/%d", i))
			end(&turns, list[i], out)
		}
		if got := strings.Join(log, " "); got != c.want || len(turns.of) > 0 {
			t.Errorf("%s: %s, want %s; sessions left: %d", what, got, c.want, len(turns.of))
		}
	}
}

// One that is last among its kind begins when those of its kind ahead of it have ended; others do
// not wait for it to end.
func TestLast(t *testing.T) {
	var turns Turns
	var log []string
	take := func(name string, last bool) *Turn {
		turn := &Turn{Session: leases.Session{User: "alice", ID: "tab"}, Rooms: []subjects.Room{"a"}, Kind: "send", Last: last, Begin: func() { log = append(log, name) }}
		turns.Take(turn)
		return turn
	}
	list := []*Turn{take("1", false), take("2", true), take("3", true), take("4", false), take("5", false)}
	for _, turn := range list {
		log = append(log, "/")
		end(&turns, turn, nobody)
	}
	if got := strings.Join(log, ""); got != "1/2345////" {
		t.Error(got)
	}
}

// Many commands of one session, taken and ended by many goroutines: those of a kind begin in
// order, and two kinds are never at work together.
func TestTurnsUnderLoad(t *testing.T) {
	const n = 3000
	var turns Turns
	var mu sync.Mutex
	var begun []int
	kinds := make([]string, n)
	at := map[string]int{} // how many of each kind are at work
	slow := 0              // how many have not begun in spite of their turn
	answers := make(chan int, n)
	var all sync.WaitGroup
	all.Add(n)
	for i := range n {
		kinds[i] = []string{"send", "leave", "enter"}[rand.IntN(3)]
		turn := &Turn{From: i, Session: leases.Session{User: "alice", ID: "tab"}, Rooms: []subjects.Room{"a"}, Kind: kinds[i], Slow: rand.IntN(2) == 0}
		turn.Begin = func() {
			mu.Lock()
			begun = append(begun, i)
			at[kinds[i]]++
			if slow > 0 {
				t.Errorf("%d begins before an earlier one has begun", i)
			}
			if turn.Slow {
				slow++
			}
			for k, n := range at {
				if k != kinds[i] && n > 0 {
					t.Errorf("%d, a %s, begins beside a %s", i, kinds[i], k)
				}
			}
			mu.Unlock()
			go func() {
				defer all.Done()
				if turn.Slow {
					mu.Lock()
					slow--
					mu.Unlock()
					if begin := turns.Begun(turn); begin != nil {
						begin()
					}
				}
				mu.Lock()
				at[kinds[i]]--
				mu.Unlock()
				end(&turns, turn, func(out *Turn) { answers <- out.From.(int) })
			}()
		}
		turns.Take(turn)
	}
	all.Wait()
	if !slices.IsSorted(begun) || len(begun) != n {
		t.Errorf("%d have begun, in order: %v", len(begun), slices.IsSorted(begun))
	}
	if len(turns.of) > 0 {
		t.Error("something is left")
	}
	close(answers)
	next := 0
	for i := range answers {
		if i != next {
			t.Fatalf("the answer of %d goes out as number %d", i, next)
		}
		next++
	}
	if next != n {
		t.Errorf("%d answers go out", next)
	}
}
