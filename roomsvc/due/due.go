// Package due keeps what is to be done at a moment: a queue of values under keys, each with
// the moment at which it is due.
package due

import (
	"container/heap"
	"time"
)

// Queue is a queue of moments; the zero value is empty. It is not safe for concurrent use:
// whoever shares one has a lock for it.
//
// Taking a value does not remove it but puts it off, so that it comes again until its key is
// dropped or set to another moment. A value that was put off keeps its own moment.
type Queue[K comparable, V any] struct {
	items heaped[V]
	of    map[K]*item[V] // the items by key
}

// item is a waiting value.
type item[V any] struct {
	value V
	at    time.Time // when it is taken next; later than due if it was postponed
	due   time.Time // its own moment
	index int       // in the heap
}

// Set makes a value due at a moment, replacing what its key had. It returns true if nothing is
// due before it: whoever waits for the first moment should look again.
func (q *Queue[K, V]) Set(key K, at time.Time, value V) (first bool) {
	if i := q.of[key]; i != nil {
		i.value, i.at, i.due = value, at, at
		heap.Fix(&q.items, i.index)
		return i.index == 0
	}
	if q.of == nil {
		q.of = map[K]*item[V]{}
	}
	i := &item[V]{value: value, at: at, due: at}
	q.of[key] = i
	heap.Push(&q.items, i)
	return i.index == 0
}

// Get returns the value under a key, if it has one.
func (q *Queue[K, V]) Get(key K) (value V, ok bool) {
	if i := q.of[key]; i != nil {
		return i.value, true
	}
	return value, false
}

// Drop removes the value under a key, if it has one.
func (q *Queue[K, V]) Drop(key K) {
	if i := q.of[key]; i != nil {
		heap.Remove(&q.items, i.index)
		delete(q.of, key)
	}
}

// Len returns how many keys have a value.
func (q *Queue[K, V]) Len() int { return len(q.items) }

// Next returns the first moment at which something is due; ok is false if nothing waits.
func (q *Queue[K, V]) Next() (at time.Time, ok bool) {
	if len(q.items) == 0 {
		return at, false
	}
	return q.items[0].at, true
}

// Take returns the values that are due by now, the earliest first, and puts each off until
// again, which must be after now.
func (q *Queue[K, V]) Take(now, again time.Time) (values []V) {
	for len(q.items) > 0 && !q.items[0].at.After(now) {
		i := q.items[0]
		values = append(values, i.value)
		i.at = again
		heap.Fix(&q.items, 0)
	}
	return values
}

// Recall makes everything that was put off due again at its own moment, which is over.
func (q *Queue[K, V]) Recall() {
	for _, i := range q.items {
		i.at = i.due
	}
	heap.Init(&q.items)
}

// heaped implements [heap.Interface].
type heaped[V any] []*item[V]

func (h heaped[V]) Len() int           { return len(h) }
func (h heaped[V]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h heaped[V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *heaped[V]) Push(x any) {
	i := x.(*item[V])
	i.index = len(*h)
	*h = append(*h, i)
}
func (h *heaped[V]) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}
