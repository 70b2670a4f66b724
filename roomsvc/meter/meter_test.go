package meter

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	var h Durations
	for _, d := range []time.Duration{0, 250 * time.Microsecond, 251 * time.Microsecond, time.Second, time.Minute} {
		h.Observe(d)
	}
	got := h.Read()
	if got.Count != 5 || got.Sum != 61.000501 || got.Buckets[0.00025] != 2 || got.Buckets[0.0005] != 3 || got.Buckets[0.5] != 3 || got.Buckets[1] != 4 || got.Buckets[10] != 4 {
		t.Errorf("%+v", got)
	}
}

func TestSizes(t *testing.T) {
	var h Sizes
	for _, n := range []int{1, 2, 3, 4096, 4097} {
		h.Observe(n)
	}
	got := h.Read()
	if got.Count != 5 || got.Sum != 8199 || got.Buckets[1] != 1 || got.Buckets[2] != 2 || got.Buckets[4] != 3 || got.Buckets[4096] != 4 || len(got.Buckets) != sizeBuckets {
		t.Errorf("%+v", got)
	}
}

// A code that the table has no place for is counted all the same.
func TestVerb(t *testing.T) {
	var v Verb
	for _, code := range []int{0, 1, 1, MostCodes + 7} {
		v.Answered(code, time.Millisecond)
	}
	if v.Answers[0].Value() != 1 || v.Answers[1].Value() != 2 || v.Answers[MostCodes].Value() != 1 || v.Took.Read().Count != 4 {
		t.Errorf("%+v", v.Took.Read())
	}
}

// Counting costs a command nothing that could be measured: about a hundredth of a microsecond,
// and no memory.
func BenchmarkAnswered(b *testing.B) {
	var v Verb
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			v.Answered(0, time.Millisecond)
		}
	})
}

func TestNoMemory(t *testing.T) {
	var v Verb
	var c Commit
	if n := testing.AllocsPerRun(100, func() { v.Answered(3, time.Second); c.Batches.Observe(9); c.Facts.Add(2) }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}
