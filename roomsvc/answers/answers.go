// Package answers makes sure that the NATS server takes the service's answers. A server with
// permissions lets the service publish on a reply subject that somebody has named in a
// request, for a time that begins with the first request that names it. Callers that use one
// reply subject for all their requests do not prolong that time by asking again; only a
// request that comes after its end begins it anew. So an answer may come too late although its
// request has only just come, and the server would drop it.
//
// [Leave] knows since when each reply subject has been in use. Before an answer for which the
// time may be over, the service names the reply subject itself, in a message to itself: if the
// time is over, that begins it anew; if it is not, the answer is in time, unless it ends between the
// two. Then the server drops the answer, and its log tells of a publish violation: some microseconds
// in each of such a caller's times, seen once in some hundred runs of a test with twenty of them.
package answers

import (
	"crypto/rand"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/subjects"
)

// The service hears of a request later than the server, and not always by as much, so it knows
// only roughly when a reply subject's time begins and ends. From early before the end on it
// names the subject before each answer, and takes the time to have begun anew only when it has
// been over for slack. So the server may count up to slack more than the service, and early is
// longer than that by what a message may be on its way.
const (
	early = 7 * time.Second
	slack = 4 * time.Second
)

// Leave is the leave to answer. It is safe for concurrent use.
type Leave struct {
	nc      *nats.Conn
	subject string // of the service's messages to itself
	sub     *nats.Subscription
	within  time.Duration

	mu   sync.Mutex // guards the fields below it
	seed maphash.Seed
	now  map[uint64]time.Time // reply subjects, as hashes, first named since turned; and when
	old  map[uint64]time.Time // those from the time before
	turn time.Time            // when old can be dropped, because nothing in it counts any more
}

// New begins to keep account for a connection on which requests arrive and answers leave.
// within is how long the server lets a request be answered.
func New(nc *nats.Conn, within time.Duration) (*Leave, error) {
	l := &Leave{nc: nc, subject: subjects.Answers(rand.Text()), within: within, seed: maphash.MakeSeed(), now: map[uint64]time.Time{}}
	var err error
	l.sub, err = nc.Subscribe(l.subject, func(*nats.Msg) {})
	return l, err
}

// Close ends it.
func (l *Leave) Close() { _ = l.sub.Unsubscribe() }

// Asked is called with the reply subject of each request, and returns since when it has been in
// use.
func (l *Leave) Asked(reply string) (since time.Time) {
	if l == nil || reply == "" {
		return since
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now, id := time.Now(), maphash.String(l.seed, reply)
	if now.After(l.turn) {
		l.now, l.old, l.turn = make(map[uint64]time.Time, len(l.now)), l.now, now.Add(l.within+slack)
	}
	if since = l.since(id); now.Sub(since) > l.within+slack {
		since = now
		l.now[id] = now
	}
	return since
}

// since is when a reply subject's time began, under the lock.
func (l *Leave) since(id uint64) time.Time {
	if at, ok := l.now[id]; ok {
		return at
	}
	return l.old[id]
}

// Before is called before each answer, with what [Leave.Asked] returned for its request.
func (l *Leave) Before(reply string, since time.Time) {
	if l == nil || time.Since(since) <= l.within-early {
		return
	}
	l.mu.Lock()
	now, id := time.Now(), maphash.String(l.seed, reply)
	age := now.Sub(l.since(id))
	if age > l.within+slack {
		l.now[id] = now
	}
	l.mu.Unlock()
	if age > l.within-early {
		_ = l.nc.PublishRequest(l.subject, reply, nil) // if it fails, so does the answer, which says so
	}
}
