package shape

import "errors"

// window is how many messages may be on their way: sent, and not yet heard by everybody.
const window = 32

// errOver ends what waits in an audience when something else has failed.
var errOver = errors.New("it was ended")

// audience is many who hear the same.
type audience struct {
	meter
	size  int
	whole chan struct{} // tells that one more message may have reached everybody
	ended chan struct{} // closed when something has failed
}

func newAudience(cfg *Config, size, n int) *audience {
	a := &audience{size: size, whole: make(chan struct{}, 1), ended: make(chan struct{})}
	a.cfg, a.entries = cfg, func() int64 { return 0 }
	a.warm, a.n = int64(max(1, n/10)*size), int64(n*size)
	return a
}

// total is how many messages are sent.
func (a *audience) total() int { return int(a.warm+a.n) / a.size }

// heard books that one of them has heard a message.
func (a *audience) heard() {
	a.count()
	if a.answers.Load()%int64(a.size) == 0 {
		select {
		case a.whole <- struct{}{}:
		default:
		}
	}
}

// wait returns when message i may be sent.
func (a *audience) wait(i int) error {
	for a.answers.Load() < int64(i-window+1)*int64(a.size) {
		select {
		case <-a.whole:
		case <-a.ended:
			return errOver
		}
	}
	return nil
}
