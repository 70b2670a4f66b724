package hooks

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"natsrooms/roomsvc/room"
)

// Counts are what has become of the questions about one verb, since this instance started.
type Counts struct {
	Asked    int64 `json:"asked"`    // questions sent
	Passed   int64 `json:"passed"`   // let pass, by an answer
	Denied   int64 `json:"denied"`   // refused, by an answer
	Replaced int64 `json:"replaced"` // said otherwise
	Silenced int64 `json:"silenced"` // heard by nobody
	Slow     int64 `json:"slow"`     // no answer in time
	Absent   int64 `json:"absent"`   // nobody was there to ask
	Nonsense int64 `json:"nonsense"` // an answer that means nothing
	Lost     int64 `json:"lost"`     // not sent, because the connection was closed or the question too large for it
	Busy     int64 `json:"busy"`     // commands refused because too many questions waited
	Waiting  int64 `json:"waiting"`  // questions that wait now
	TookMs   int64 `json:"tookMs"`   // how long all answers took together
}

// Counts returns those of each verb that has a hook.
func (h *Hooks) Counts() map[room.Verb]Counts {
	if h == nil {
		return nil
	}
	all := make(map[room.Verb]Counts, len(h.hooks))
	for verb, k := range h.hooks {
		c := Counts{
			Asked: k.asked.Load(), Passed: k.passed.Load(), Denied: k.denied.Load(), Replaced: k.replaced.Load(), Silenced: k.silenced.Load(),
			Busy: k.busy.Load(), Waiting: k.waiting.Load(), TookMs: time.Duration(k.took.Load()).Milliseconds(),
		}
		for why, n := range map[failure]*int64{slow: &c.Slow, absent: &c.Absent, nonsense: &c.Nonsense, lost: &c.Lost} {
			*n = k.failed[why].count.Load()
		}
		all[verb] = c
	}
	return all
}

// hook is one verb's.
type hook struct {
	subject string

	asked, passed, denied, replaced, silenced, busy, waiting, took atomic.Int64
	failed                                                         [failures]failed
}

// answered counts an answer.
func (k *hook) answered(a *Answer, took time.Duration) {
	k.took.Add(int64(took))
	switch {
	case a.Deny != nil:
		k.denied.Add(1)
	case a.Replace != nil:
		k.replaced.Add(1)
	case a.Silent:
		k.silenced.Add(1)
	default:
		k.passed.Add(1)
	}
}

// failure is why there was no useful answer.
type failure int

const (
	slow failure = iota
	absent
	nonsense
	lost
	failures int = iota
)

// says is the failure of the application, "it", for people.
func (f failure) says(within time.Duration) string {
	switch f {
	case slow:
		return fmt.Sprintf("it did not answer within %v", within)
	case absent:
		return "nobody is there to answer for it"
	case nonsense:
		return "its answer means nothing"
	}
	return "it could not be asked"
}

// failed counts failures of one kind, and knows when the log was told last.
type failed struct {
	count atomic.Int64

	mu     sync.Mutex // guards the fields below
	next   time.Time  // when the log may be told again
	unsaid int        // since it was told last
}

// sayEvery is how often the log is told of one kind of failure of one hook.
const sayEvery = 10 * time.Second

// note counts a failure. say is true if the log is to be told, of unsaid ones before too.
func (f *failed) note(now time.Time) (say bool, unsaid int) {
	f.count.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.next) {
		f.unsaid++
		return false, 0
	}
	unsaid, f.unsaid, f.next = f.unsaid, 0, now.Add(sayEvery)
	return true, unsaid
}
