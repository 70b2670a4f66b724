package messages

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/subjects"
)

// rooms has two instances of the lobby, one after the other, and another room:
//
//	1-10   the lobby's first instance, 1 to 10
//	11-20  the hall, 1 to 10
//	21-30  the lobby's second instance, 1 to 10
func rooms(t *testing.T, perRoom int) *world {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: perRoom})
	w.say("lobby", "1", 1, 10)
	w.say("hall", "1", 1, 10)
	w.say("lobby", "2", 1, 10)
	return w
}

// all asks for everything of an instance of the lobby that was created just now.
func all(instance string) Query {
	return Query{Room: "lobby", InstanceID: instance, CreatedAt: events.TimeOf(time.Now()), Count: 100, Bytes: 1 << 20}
}

// numbers is the texts of messages from first to last.
func numbers(first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprint(n))
	}
	return list
}

// page checks a page: its texts, where the next one begins, whether it is complete.
func page(t *testing.T, what string, p *Page, err error, want []string, next string, complete bool) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if got := texts(p); !slices.Equal(got, want) || p.Next != next || p.Complete != complete {
		t.Errorf("%s: %v, next %q, complete %v; want %v, next %q, complete %v", what, got, p.Next, p.Complete, want, next, complete)
	}
}

// Pages of one instance, forwards from a place and backwards from one.
func TestPages(t *testing.T) {
	w := rooms(t, 100)
	for _, c := range []struct {
		instance      string
		count         int
		since         events.Time
		seq           uint64
		after, before []string
		nextAfter     string
		nextBefore    string
	}{
		{"1", 100, 0, 0, numbers(1, 10), numbers(1, 10), "", ""},
		{"2", 100, 0, 0, numbers(1, 10), numbers(1, 10), "", ""},
		{"3", 100, 0, 0, nil, nil, "", ""},
		{"1", 4, 0, 0, numbers(1, 4), numbers(7, 10), "4", "7"},
		{"2", 4, 0, 0, numbers(1, 4), numbers(7, 10), "24", "27"},
		{"1", 10, 0, 0, numbers(1, 10), numbers(1, 10), "", ""},
		{"2", 4, 0, 24, numbers(5, 8), numbers(1, 3), "28", ""}, // the older ones, which were read too, are of another instance
		{"2", 2, 0, 24, numbers(5, 6), numbers(2, 3), "26", "22"},
		{"2", 4, 0, 28, numbers(9, 10), numbers(4, 7), "", "24"},
		{"2", 4, 0, 30, nil, numbers(6, 9), "", "26"},
		{"2", 4, 0, 1000, nil, numbers(7, 10), "", "27"},
		{"1", 4, 0, 5, numbers(6, 9), numbers(1, 4), "9", ""},
		{"1", 4, 0, 15, nil, numbers(7, 10), "", "7"},
		{"2", 4, 0, 15, numbers(1, 4), nil, "24", ""},
		{"2", 100, 6, 0, numbers(6, 10), numbers(6, 10), "", ""},
		{"2", 2, 6, 0, numbers(6, 7), numbers(9, 10), "27", "29"},
		{"2", 100, 11, 0, nil, nil, "", ""},
		{"1", 3, 0, 30, nil, numbers(8, 10), "", "8"},
	} {
		what := fmt.Sprintf("%d of instance %s since %d", c.count, c.instance, c.since)
		q := all(c.instance)
		q.Count, q.Since = c.count, Since{At: c.since}
		p, err := w.After(w.ctx, q, c.seq)
		page(t, fmt.Sprintf("%s after %d", what, c.seq), p, err, c.after, c.nextAfter, true)
		if err == nil && p.Head != 30 {
			t.Errorf("%s: the head is %d", what, p.Head)
		}
		p, err = w.Before(w.ctx, q, c.seq)
		page(t, fmt.Sprintf("%s before %d", what, c.seq), p, err, c.before, c.nextBefore, true)
	}
}

// Paging in either direction returns every message once and in order.
func TestPageAfterPage(t *testing.T) {
	w := rooms(t, 100)
	for _, instance := range []string{"1", "2"} {
		for _, count := range []int{1, 3, 10, 11} {
			q := all(instance)
			q.Count = count
			for name, read := range map[string]func(seq uint64) (*Page, error){
				"forwards":  func(seq uint64) (*Page, error) { return w.After(w.ctx, q, seq) },
				"backwards": func(seq uint64) (*Page, error) { return w.Before(w.ctx, q, seq) },
			} {
				var got []string
				for next, pages := "0", 0; next != ""; pages++ {
					seq, err := strconv.ParseUint(next, 10, 64)
					if err != nil || pages > 11 {
						t.Fatalf("%s by %d goes on at %q", name, count, next)
					}
					p, err := read(seq)
					if err != nil || len(p.Messages) > count {
						t.Fatalf("%s by %d from %d: %+v, %v", name, count, seq, p, err)
					}
					if name == "forwards" {
						got = append(got, texts(p)...)
					} else {
						got = append(texts(p), got...)
					}
					next = p.Next
				}
				if !slices.Equal(got, numbers(1, 10)) {
					t.Errorf("%s by %d of instance %s: %v", name, count, instance, got)
				}
			}
		}
	}
}

// A page has no more bytes than allowed, but at least one message.
func TestBytes(t *testing.T) {
	w := rooms(t, 100)
	m, _, err := w.At(w.ctx, 25)
	if err != nil {
		t.Fatal(err)
	}
	m.Seq = 0 // as it is stored
	data, err := m.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	size := len(data) + messageSeqRoom // of each but the tenth, which is two longer and more
	for _, c := range []struct {
		bytes         int
		after, before []string
	}{
		{0, numbers(1, 1), numbers(9, 9)},
		{size, numbers(1, 1), numbers(9, 9)},
		{2*size - 1, numbers(1, 1), numbers(9, 9)},
		{2 * size, numbers(1, 2), numbers(8, 9)},
		{5 * size, numbers(1, 5), numbers(5, 9)},
	} {
		q := all("2")
		q.Bytes = c.bytes
		p, err := w.After(w.ctx, q, 0)
		page(t, fmt.Sprintf("%d bytes forwards", c.bytes), p, err, c.after, fmt.Sprint(20+len(c.after)), true)
		p, err = w.Before(w.ctx, q, 30)
		page(t, fmt.Sprintf("%d bytes backwards", c.bytes), p, err, c.before, fmt.Sprint(30-len(c.before)), true)
	}
}

// Whether something of what was asked for has been discarded, in a room that keeps 12
// messages: the last two of the first instance and all of the second.
func TestCompleteWhereSomeAreDiscarded(t *testing.T) {
	w := rooms(t, 12)
	for _, c := range []struct {
		instance      string
		seq           uint64
		after, before []string
		afterIs       bool
		beforeIs      bool
	}{
		{"1", 0, numbers(9, 10), numbers(9, 10), false, false},
		{"1", 5, numbers(9, 10), nil, false, false},
		{"1", 9, numbers(10, 10), nil, true, false},
		{"1", 10, nil, numbers(9, 9), true, false},
		{"2", 0, numbers(1, 10), numbers(1, 10), true, true},
		{"2", 20, numbers(1, 10), nil, true, true},
		{"2", 24, numbers(5, 10), numbers(1, 3), true, true},
	} {
		what := fmt.Sprintf("instance %s at %d", c.instance, c.seq)
		p, err := w.After(w.ctx, all(c.instance), c.seq)
		page(t, "after: "+what, p, err, c.after, "", c.afterIs)
		p, err = w.Before(w.ctx, all(c.instance), c.seq)
		page(t, "before: "+what, p, err, c.before, "", c.beforeIs)
	}
}

// A room that has reached its limit may have had more messages. An instance of which nothing
// is kept has lost nothing if it is younger than messages are kept.
func TestComplete(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 3})
	old := all("1")
	old.CreatedAt = events.TimeOf(time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		q    Query
		want bool
	}{"a young instance": {all("1"), true}, "an old one": {old, false}} {
		p, err := w.After(w.ctx, c.q, 0)
		page(t, "of nothing after 0, "+name, p, err, nil, "", c.want)
		p, err = w.Before(w.ctx, c.q, 0)
		page(t, "of nothing before the end, "+name, p, err, nil, "", c.want)
	}
	for said := 1; said <= 4; said++ {
		w.say("lobby", "1", said, said)
		first := max(1, said-2)
		p, err := w.After(w.ctx, all("1"), 0)
		page(t, fmt.Sprintf("after 0, %d said", said), p, err, numbers(first, said), "", said < 3)
		p, err = w.Before(w.ctx, all("1"), 0)
		page(t, fmt.Sprintf("before the end, %d said", said), p, err, numbers(first, said), "", said < 3)
		p, err = w.After(w.ctx, all("1"), uint64(said))
		page(t, fmt.Sprintf("after the newest, %d said", said), p, err, nil, "", true)
	}
}

// Whoever has seen the room's newest message has missed none, even when nothing is kept any
// more. Otherwise, or if the newest one is not known, completeness is not claimed.
func TestCompleteWhereNothingIsKept(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 3})
	old := all("1")
	old.CreatedAt = 1
	w.Said("lobby", 7)
	for seq, want := range map[uint64]bool{0: false, 6: false, 7: true, 8: true} {
		p, err := w.After(w.ctx, old, seq)
		page(t, fmt.Sprintf("after %d", seq), p, err, nil, "", want)
	}
	w.Forget(func(subjects.Room) bool { return true })
	p, err := w.After(w.ctx, old, 7)
	page(t, "with nothing known", p, err, nil, "", false)
}

// Going back finds the page even if many messages of another room and of a later instance
// come after it.
func TestBackOverManyLaterMessages(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 1000})
	w.say("lobby", "1", 1, 60)
	w.say("hall", "1", 1, 60)
	w.say("lobby", "2", 1, 60)
	for _, seq := range []uint64{0, 61, 100, 121, 150} {
		q := all("1")
		q.Count = 5
		p, err := w.Before(w.ctx, q, seq)
		page(t, fmt.Sprintf("before %d", seq), p, err, numbers(56, 60), "56", true)
	}
	first, head := uint64(1), uint64(180)
	for _, c := range []struct{ end, count, least, most uint64 }{{181, 5, 5, 10}, {121, 5, 5, 10}, {61, 20, 20, 40}, {181, 120, 120, 240}, {181, 500, 120, 120}, {1, 5, 0, 0}, {3, 5, 2, 2}} {
		r := w.reader("lobby")
		from, err := w.backFrom(w.ctx, r, first, min(c.end, head+1), c.count)
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.Count(w.ctx, from)
		if err != nil {
			t.Fatal(err)
		}
		later, err := r.Count(w.ctx, c.end)
		if n -= later; err != nil || n < c.least || n > c.most {
			t.Errorf("back %d from %d it begins at %d, with %d messages, %v", c.count, c.end, from, n, err)
		}
	}
}

// A page costs what it costs to read a little more than a page, whatever is found; those who go
// on find everything.
func TestPagesEndEarly(t *testing.T) {
	w := newWorld(t, Settings{Keep: time.Hour, PerRoom: 10_000})
	long := strings.Repeat("x", 30_000)
	for n := range 300 {
		m := message("lobby", "1", "long", events.Time(n))
		m.Data = long
		if _, err := w.append(m, fmt.Sprint(n), ""); err != nil {
			t.Fatal(err)
		}
	}
	w.say("lobby", "2", 1, 3)
	for name, read := range map[string]func(seq uint64) (*Page, error){
		"forwards": func(seq uint64) (*Page, error) { return w.After(w.ctx, all("2"), seq) },
		"backwards": func(seq uint64) (*Page, error) {
			q := all("none")
			return w.Before(w.ctx, q, seq)
		},
	} {
		pages, found := 0, 0
		for next := "0"; next != ""; pages++ {
			seq, err := strconv.ParseUint(next, 10, 64)
			if err != nil || pages > 50 {
				t.Fatalf("%s: page %d begins at %q: %v", name, pages, next, err)
			}
			p, err := read(seq)
			if err != nil {
				t.Fatal(err)
			}
			if p.Read > mostRead+2*firstLook*32_000 {
				t.Errorf("%s: %d bytes are read for a page", name, p.Read)
			}
			found, next = found+len(p.Messages), p.Next
		}
		if pages < 2 || name == "forwards" && (pages < 5 || found != 3) {
			t.Errorf("%s: %d pages with %d messages", name, pages, found)
		}
	}
}
