package due_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"natsrooms/roomsvc/due"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func second(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

// kept is what the naive model knows about a key.
type kept struct{ value, at, due int }

// model is a queue that looks through everything each time.
type model map[string]kept

func (m model) next() (first int, ok bool) {
	for _, k := range m {
		if !ok || k.at < first {
			first, ok = k.at, true
		}
	}
	return first, ok
}

func (m model) take(now, again int) (values []int) {
	var taken []kept
	for key, k := range m {
		if k.at <= now {
			taken = append(taken, k)
			m[key] = kept{k.value, again, k.due}
		}
	}
	slices.SortFunc(taken, func(a, b kept) int { return a.at - b.at })
	for _, k := range taken {
		values = append(values, k.value)
	}
	return values
}

// Whatever is done to a queue, it holds what the model holds. Values are their moments and the
// number of the call that set them: with equal moments any order is right.
func TestQueueIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q due.Queue[string, int]
		m := model{}
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})
		moment := rapid.IntRange(0, 20)
		calls := 0
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { agree(t, &q, m) },
			"set": func(t *rapid.T) {
				calls++
				k, at := key.Draw(t, "key"), moment.Draw(t, "at")
				m[k] = kept{calls, at, at}
				got := q.Set(k, second(at), calls)
				next, _ := m.next()
				if at > next && got || at == next && !got && alone(m, at) {
					t.Fatalf("set at %d, while %d is next: first is %v", at, next, got)
				}
			},
			"drop": func(t *rapid.T) {
				k := key.Draw(t, "key")
				delete(m, k)
				q.Drop(k)
			},
			"take": func(t *rapid.T) {
				now := moment.Draw(t, "now")
				again := now + rapid.IntRange(1, 5).Draw(t, "pause")
				before := map[int]int{}
				for _, k := range m {
					before[k.value] = k.at
				}
				got, want := q.Take(second(now), second(again)), m.take(now, again)
				if !slices.IsSortedFunc(got, func(a, b int) int { return before[a] - before[b] }) {
					t.Fatalf("the values taken are %v, out of order", got)
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("at %d %v are taken, want %v", now, got, want)
				}
			},
			"recall": func(*rapid.T) {
				for key, k := range m {
					m[key] = kept{k.value, k.due, k.due}
				}
				q.Recall()
			},
		})
	})
}

// alone reports whether exactly one key is due at a moment.
func alone(m model, at int) bool {
	n := 0
	for _, k := range m {
		if k.at == at {
			n++
		}
	}
	return n == 1
}

func agree(t *rapid.T, q *due.Queue[string, int], m model) {
	if q.Len() != len(m) {
		t.Fatalf("it holds %d, want %d", q.Len(), len(m))
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		k, has := m[key]
		if value, ok := q.Get(key); ok != has || value != k.value {
			t.Fatalf("under %s is %d, %v; want %d, %v", key, value, ok, k.value, has)
		}
	}
	first, any := m.next()
	if at, ok := q.Next(); ok != any || ok && !at.Equal(second(first)) {
		t.Fatalf("the next moment is %v, %v; want %v, %v", at, ok, second(first), any)
	}
}

// A due value comes again until it is dropped, and at once after a recall.
func TestTakenComesAgain(t *testing.T) {
	var q due.Queue[string, string]
	for key, at := range map[string]int{"first": 1, "second": 2, "later": 10} {
		q.Set(key, second(at), key)
	}
	take := func(now int, want ...string) {
		t.Helper()
		if got := q.Take(second(now), second(now+5)); !slices.Equal(got, want) {
			t.Fatalf("at %d %v are due, want %v", now, got, want)
		}
	}
	take(0)
	take(3, "first", "second")
	take(4)
	q.Recall()
	take(4, "first", "second")
	q.Drop("first")
	take(9, "second")
	take(10, "later")
	q.Set("later", second(30), "moved")
	q.Drop("second")
	q.Drop("second")
	take(29)
	q.Recall()
	take(29)
	take(30, "moved")
}
