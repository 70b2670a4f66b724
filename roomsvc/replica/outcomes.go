package replica

import (
	"strings"
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Outcomes remembers what became of requests. Requests that changed something are learnt from
// the journal, so they outlive rooms, instances and restarts. Requests that found everything
// as they wanted it left no fact, and only this instance knows about them.
type Outcomes struct {
	keep time.Duration // how long an outcome is known

	mu    sync.Mutex // guards known and queue, and the outcomes in them
	known map[requestKey]*Outcome
	queue []timedKey // by time
}

type requestKey struct {
	user subjects.User
	verb room.Verb
	id   string
}

type timedKey struct {
	requestKey
	at time.Time
}

// Outcome is what a request came to.
type Outcome struct {
	Joined  *Place
	Created bool
	Left    []Place
	At      Place           // of changes of attributes or access, of a kick, and of what began a destroy
	Keys    []string        // setAttributes: keys owned by somebody else
	Users   []subjects.User // kick: who was put out; setMemberAttributes: whose were set
	Said    *room.SendReply // only for a live-only send

	digest string
	time   time.Time
}

// Place is a room at a moment.
type Place struct {
	Room subjects.Room
	room.Position
}

// PlaceOf is the room of a fact once the fact is stored at a revision.
func PlaceOf(f *events.Fact, revision uint64) Place {
	return Place{f.Room, room.Position{InstanceID: f.InstanceID, Sequence: f.Sequence, Revision: revision}}
}

func (q *Outcomes) init(keep time.Duration) { q.keep, q.known = keep, map[requestKey]*Outcome{} }

// learn takes in the outcomes that the stored facts of one append carry, all at once.
func (q *Outcomes) learn(facts []applied) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(time.Now())
	for _, a := range facts {
		l := lesson{q, a.fact, PlaceOf(a.fact, a.seq), a.at}
		l.fact()
		l.entries()
	}
}

// lesson is what one stored fact says about requests, learnt under the lock of outcomes.
type lesson struct {
	*Outcomes
	f  *events.Fact
	p  Place
	at time.Time
}

// of is the outcome of one of the fact's requests; its digest is the i-th.
func (l *lesson) of(user string, verb room.Verb, requestID string, i int) *Outcome {
	return l.outcome(requestKey{subjects.User(user), verb, requestID}, l.digest(i), l.at)
}

func (l *lesson) digest(i int) string {
	if i < len(l.f.Digests) {
		return l.f.Digests[i]
	}
	return ""
}

// fact learns about the request that the fact as a whole comes from, if there is one.
func (l *lesson) fact() {
	f, id := l.f, l.f.RequestID
	if id == "" {
		return
	}
	switch f.Type {
	case events.RoomCreated:
		o := l.of("", room.Create, id, 0)
		o.Joined, o.Created = &l.p, true
	case events.RoomDestroyed:
		l.of(f.Operator, room.DestroyRoom, id, 0).begin(l.p)
	case events.MemberAttributesChanged:
		o := l.of(f.User, room.SetMemberAttributes, id, 0)
		o.At, o.Users = l.p, usersOf(f.Infos)
	case events.RoomAccessChanged:
		l.of(f.User, room.SetAccess, id, 0).At = l.p
	}
}

// entries learns about the requests of the fact's entries.
func (l *lesson) entries() {
	for i := range l.f.Changes {
		if c := &l.f.Changes[i]; c.RequestID != "" {
			o := l.of(c.UserID, room.SetAttributes, c.RequestID, i)
			o.At, o.Keys = l.p, c.ErrorKeys
		}
	}
	for i := range l.f.Joined {
		if j := &l.f.Joined[i]; j.RequestID != "" {
			o := l.of(j.UserID, room.Verb(j.Via), j.RequestID, i)
			o.Joined, o.Created = &l.p, l.f.Type == events.RoomCreated && i == 0
		}
	}
	for i := range l.f.Left {
		left := &l.f.Left[i]
		if left.RequestID == "" {
			continue
		}
		by, verb := l.asked(left, i)
		o := l.of(by, verb, left.RequestID, i)
		o.Left, o.Users = append(o.Left, l.p), append(o.Users, subjects.User(left.UserID))
		o.begin(l.p)
	}
}

// asked says who asked for the i-th of the fact's leavings, and with which verb.
func (l *lesson) asked(left *events.Left, i int) (by string, verb room.Verb) {
	switch {
	case left.Reason == events.ReasonKicked:
		return left.Operator, room.Kick
	case left.Reason == events.ReasonDestroyed:
		return left.Operator, room.DestroyRoom
	case left.Reason == events.ReasonSwitched:
		return left.UserID, room.Switch
	case strings.HasPrefix(l.digest(i), room.LeaveAllMark):
		return left.UserID, room.LeaveAll
	}
	return left.UserID, room.Leave
}

// begin notes the place of the first fact of a request that may have several.
func (o *Outcome) begin(p Place) {
	if o.At.Revision == 0 {
		o.At = p
	}
}

func usersOf(infos []events.MemberAttributes) []subjects.User {
	users := make([]subjects.User, len(infos))
	for i := range infos {
		users[i] = subjects.User(infos[i].UserID)
	}
	return users
}

// Content remembers the outcome of a request that had nothing to change: where its session is
// in, and for a setAttributes the keys owned by somebody else.
func (q *Outcomes) Content(c *room.Command, in *Place, keys []string) {
	q.remember(c, func(o *Outcome) {
		o.Joined, o.Keys = in, keys
		if in != nil {
			o.At = *in
		}
	})
}

// Said remembers the outcome of a send that no stream remembers.
func (q *Outcomes) Said(c *room.Command, reply *room.SendReply) {
	q.remember(c, func(o *Outcome) { o.Said = reply })
}

func (q *Outcomes) remember(c *room.Command, what func(*Outcome)) {
	if c.RequestID == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.expire(now)
	what(q.outcome(requestKey{c.User, c.Verb, c.RequestID}, c.Digest, now))
}

// outcome is the request's outcome; it is made under the lock if it is not known yet.
func (q *Outcomes) outcome(k requestKey, digest string, at time.Time) *Outcome {
	o := q.known[k]
	if o == nil {
		o = &Outcome{digest: digest, time: at}
		q.known[k] = o
		q.queue = append(q.queue, timedKey{k, at})
	}
	return o
}

func (q *Outcomes) expire(now time.Time) {
	for len(q.queue) > 0 && now.Sub(q.queue[0].at) > q.keep {
		delete(q.known, q.queue[0].requestKey)
		q.queue = q.queue[1:]
	}
}

// Look returns the first outcome of a repeated request: nil if there is none, a refusal if
// another request came under the same ID.
func (q *Outcomes) Look(c *room.Command) (*Outcome, *room.Error) {
	if c.RequestID == "" {
		return nil, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.known[requestKey{c.User, c.Verb, c.RequestID}]
	if o == nil || time.Since(o.time) > q.keep {
		return nil, nil
	}
	if o.digest != "" && o.digest != c.Digest {
		return nil, OtherRequest(c)
	}
	copied := *o
	return &copied, nil
}

// OtherRequest refuses a command whose request ID stands for another request.
func OtherRequest(c *room.Command) *room.Error {
	return room.Invalid("requestID", "%q already stands for another %s of %q; a new one needs a new random ID", c.RequestID, c.Verb, c.User)
}
