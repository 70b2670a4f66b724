package room

// Usage is how much of a rate somebody has used up: the moment, in microseconds since the
// epoch, at which everything taken so far is paid for.
type Usage int64

const second = 1_000_000

// Take takes n of rate a second, of which burst may come at once. It returns 0, or the
// microseconds to wait until there is enough, in which case it takes nothing. now is in
// microseconds since the epoch.
func (u *Usage) Take(now, n, rate, burst int64) (wait int64) {
	if wait = u.Wait(now, n, rate, burst); wait == 0 {
		u.Add(now, n, rate)
	}
	return wait
}

// Wait is how long it takes until n may be taken.
func (u *Usage) Wait(now, n, rate, burst int64) int64 {
	return max(max(int64(*u), now)+n*second/rate-now-burst*second/rate, 0)
}

// Add takes n, whether there is enough or not.
func (u *Usage) Add(now, n, rate int64) { *u = Usage(max(int64(*u), now) + n*second/rate) }

// Idle says that nothing taken before now counts any more.
func (u *Usage) Idle(now int64) bool { return int64(*u) <= now }
