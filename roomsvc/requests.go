package roomsvc

import (
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// requests remembers what became of requests. Those that changed something are learnt
// from the journal, so they outlive rooms, instances and restarts; those that found
// everything as they wanted it left no fact, and only this instance knows of them.
type requests struct {
	mu    sync.Mutex
	keep  time.Duration // how long an outcome is known
	known map[requestKey]*outcome
	queue []timedKey // by time
}

type requestKey struct {
	user subjects.User
	id   string
}

type timedKey struct {
	requestKey
	at time.Time
}

// outcome is what a request came to.
type outcome struct {
	digest  string
	time    time.Time
	joined  *place
	created bool
	left    []place
	at      place           // of changes of attributes
	keys    []string        // setAttributes: keys of somebody else
	users   []subjects.User // kick: who is out; setMemberAttributes: whose were set
	said    *room.SendReply // send of what is live only
}

// place is a room at the moment of an outcome.
type place struct {
	room subjects.Room
	room.Position
}

func (q *requests) init(keep time.Duration) { q.keep, q.known = keep, map[requestKey]*outcome{} }

// learn takes the outcomes that the stored facts of one append carry, all at once.
func (q *requests) learn(facts []applied) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(time.Now())
	for _, a := range facts {
		q.learnFact(a.fact, a.seq, a.at)
	}
}

func (q *requests) learnFact(f *events.Fact, seq uint64, at time.Time) {
	p := place{f.Room, room.Position{InstanceID: f.InstanceID, Sequence: f.Sequence, Revision: seq}}
	digest := func(i int) string {
		if i < len(f.Digests) {
			return f.Digests[i]
		}
		return ""
	}
	if f.RequestID != "" {
		switch f.Type {
		case events.RoomCreated:
			o := q.outcome(requestKey{"", f.RequestID}, digest(0), at)
			o.joined, o.created = &p, true
		case events.RoomDestroyed:
			q.outcome(requestKey{subjects.User(f.Operator), f.RequestID}, digest(0), at)
		case events.MemberAttributesChanged:
			o := q.outcome(requestKey{subjects.User(f.User), f.RequestID}, digest(0), at)
			o.at, o.users = p, usersOf(f.Infos)
		case events.RoomAccessChanged:
			o := q.outcome(requestKey{subjects.User(f.User), f.RequestID}, digest(0), at)
			o.at = p
		}
	}
	for i := range f.Changes {
		if c := &f.Changes[i]; c.RequestID != "" {
			o := q.outcome(requestKey{subjects.User(c.UserID), c.RequestID}, digest(i), at)
			o.at, o.keys = p, c.ErrorKeys
		}
	}
	for i := range f.Joined {
		if j := &f.Joined[i]; j.RequestID != "" {
			o := q.outcome(requestKey{subjects.User(j.UserID), j.RequestID}, digest(i), at)
			o.joined, o.created = &p, f.Type == events.RoomCreated && i == 0
		}
	}
	for i := range f.Left {
		l := &f.Left[i]
		if l.RequestID == "" {
			continue
		}
		by := l.UserID
		if l.Reason == events.ReasonKicked || l.Reason == events.ReasonDestroyed {
			by = l.Operator
		}
		o := q.outcome(requestKey{subjects.User(by), l.RequestID}, digest(i), at)
		o.left, o.users = append(o.left, p), append(o.users, subjects.User(l.UserID))
	}
}

func usersOf(infos []events.MemberAttributes) []subjects.User {
	users := make([]subjects.User, len(infos))
	for i := range infos {
		users[i] = subjects.User(infos[i].UserID)
	}
	return users
}

// content takes the outcome of a request that had nothing to change: where its session
// is in, and of a setAttributes the keys of somebody else.
func (q *requests) content(c *room.Command, in *place, keys []string) {
	q.remember(c, func(o *outcome) {
		o.joined, o.keys = in, keys
		if in != nil {
			o.at = *in
		}
	})
}

// said takes the outcome of a send that no stream remembers.
func (q *requests) said(c *room.Command, reply *room.SendReply) {
	q.remember(c, func(o *outcome) { o.said = reply })
}

func (q *requests) remember(c *room.Command, what func(*outcome)) {
	if c.RequestID == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.expire(now)
	what(q.outcome(requestKey{c.User, c.RequestID}, c.Digest, now))
}

// outcome is the request's, made when it is not known yet. The lock is held.
func (q *requests) outcome(k requestKey, digest string, at time.Time) *outcome {
	o := q.known[k]
	if o == nil {
		o = &outcome{digest: digest, time: at}
		q.known[k] = o
		q.queue = append(q.queue, timedKey{k, at})
	}
	return o
}

func (q *requests) expire(now time.Time) {
	for len(q.queue) > 0 && now.Sub(q.queue[0].at) > q.keep {
		delete(q.known, q.queue[0].requestKey)
		q.queue = q.queue[1:]
	}
}

// look gives the first outcome of a repeated request: nil if there is none, a refusal
// if another request came under the same ID.
func (q *requests) look(c *room.Command) (*outcome, *room.Error) {
	if c.RequestID == "" {
		return nil, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.known[requestKey{c.User, c.RequestID}]
	if o == nil || time.Since(o.time) > q.keep {
		return nil, nil
	}
	if o.digest != "" && o.digest != c.Digest {
		return nil, otherRequest(c)
	}
	copied := *o
	return &copied, nil
}

func otherRequest(c *room.Command) *room.Error {
	return room.Invalid("requestID", "%q stands for another request of %q already; a new request needs a new random ID", c.RequestID, c.User)
}
