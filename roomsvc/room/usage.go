package guard

// bucket is how much of a rate somebody has used up: the moment, in microseconds since the
// epoch, at which everything taken so far is paid for.
type bucket int64

const second = 1_000_000

// take takes n of rate a second, of which burst may come at once. It returns 0, or the
// microseconds to wait until there is enough, in which case it takes nothing.
func (b *bucket) take(now, n, rate, burst int64) (wait int64) {
	if wait = b.wait(now, n, rate, burst); wait == 0 {
		b.add(now, n, rate)
	}
	return wait
}

// wait is how long it takes until n may be taken.
func (b *bucket) wait(now, n, rate, burst int64) int64 {
	return max(max(int64(*b), now)+n*second/rate-now-burst*second/rate, 0)
}

// add takes n, whether there is enough or not.
func (b *bucket) add(now, n, rate int64) { *b = bucket(max(int64(*b), now) + n*second/rate) }

// idle says that nothing taken before now counts any more.
func (b *bucket) idle(now int64) bool { return int64(*b) <= now }
