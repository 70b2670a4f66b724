package replica

import (
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/pack"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Outcomes remembers what became of requests. Requests that changed something are learnt from
// the journal, so they outlive rooms, instances and restarts. Requests that found everything
// as they wanted it left no fact, and only this instance knows about them.
type Outcomes struct {
	keep time.Duration // how long an outcome is known

	mu     sync.Mutex             // guards everything below, and the outcomes in it
	known  map[string]*remembered // by the request's ID
	oldest *remembered
	newest *remembered
}

type requestKey struct {
	user subjects.User
	verb room.Verb
	id   string
}

// remembered is an outcome as it is kept. There are many, and nearly all say that one session
// has joined a room or left it, so that much is said in few words.
type remembered struct {
	requestKey
	digest string
	at     time.Duration // after begin

	place   *Place // of the user's joining or leaving; nil: see rest
	left    bool   // it left
	created bool   // it created the room
	rest    *Outcome

	same  *remembered // another request with the same ID
	after *remembered // the next one in time
}

// begin is a moment that times are counted from.
var begin = time.Now()

// Outcome is what a request came to.
type Outcome struct {
	Joined  *Place
	Created bool
	Left    []Place
	At      Place           // of changes of anything but who is in, of a kick, and of what began a destroy
	Keys    []string        // setAttributes: keys owned by somebody else
	Users   []subjects.User // kick: who was put out; setMemberAttributes: whose were set; setRole: who got another role
	Until   events.Time     // ban, mute: when it ends
	Said    *room.SendReply // only for a live-only send
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

func (q *Outcomes) init(keep time.Duration) { q.keep, q.known = keep, map[string]*remembered{} }

// Keep says how long an outcome is known, before anybody asks.
func (q *Outcomes) Keep(d time.Duration) { q.keep = d }

// learn takes in the outcomes that the stored facts of one append carry, all at once.
func (q *Outcomes) learn(facts []applied) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(time.Now())
	for _, a := range facts {
		place := PlaceOf(a.fact, a.seq)
		l := lesson{q, a.fact, &place, a.at}
		l.fact()
		l.entries()
	}
}

// lesson is what one stored fact says about requests, learnt under the lock of outcomes.
type lesson struct {
	*Outcomes
	f  *events.Fact
	p  *Place
	at time.Time
}

// of is what is remembered of one of the fact's requests; its digest is the i-th.
func (l *lesson) of(user string, verb room.Verb, requestID string, i int) *remembered {
	return l.remembered(requestKey{subjects.User(user), verb, requestID}, l.digest(i), l.at)
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
		l.of("", room.Create, id, 0).join(l.p, true)
	case events.RoomDestroyed:
		l.of(f.Operator, room.DestroyRoom, id, 0).full().begin(l.p)
	case events.MemberAttributesChanged:
		o := l.of(f.User, room.SetMemberAttributes, id, 0).full()
		o.At, o.Users = *l.p, usersOf(f.Infos, func(i *events.MemberAttributes) string { return i.UserID })
	case events.RoomAccessChanged:
		verb, until := restricted(f)
		o := l.of(f.User, verb, id, 0).full()
		o.At, o.Until = *l.p, until
	case events.RoomUpdated:
		l.of(f.User, room.Update, id, 0).full().At = *l.p
	case events.MemberUpdated:
		o := l.of(f.User, room.SetRole, id, 0).full()
		o.At, o.Users = *l.p, usersOf(f.Updates, func(u *events.MemberUpdate) string { return u.UserID })
	}
}

// restricted is the verb of a fact about who may join or speak, and when what it says ends.
func restricted(f *events.Fact) (room.Verb, events.Time) {
	for _, l := range []struct {
		list      []events.Restriction
		put, lift room.Verb
	}{{f.Bans, room.Ban, room.Unban}, {f.Mutes, room.Mute, room.Unmute}} {
		switch {
		case len(l.list) > 0 && l.list[0].Lifted:
			return l.lift, 0
		case len(l.list) > 0:
			return l.put, l.list[0].Until
		}
	}
	return room.SetAccess, 0
}

// entries learns about the requests of the fact's entries.
func (l *lesson) entries() {
	for i := range l.f.Changes {
		if c := &l.f.Changes[i]; c.RequestID != "" {
			o := l.of(c.UserID, room.SetAttributes, c.RequestID, i).full()
			o.At, o.Keys = *l.p, c.ErrorKeys
		}
	}
	for i := range l.f.Updates {
		if u := &l.f.Updates[i]; u.RequestID != "" {
			l.of(u.UserID, room.UpdateMember, u.RequestID, i).full().At = *l.p
		}
	}
	for i := range l.f.Joined {
		if j := &l.f.Joined[i]; j.RequestID != "" {
			l.of(j.UserID, room.Verb(j.Via), j.RequestID, i).join(l.p, l.f.Type == events.RoomCreated && i == 0)
		}
	}
	for i := range l.f.Left {
		left := &l.f.Left[i]
		if left.RequestID != "" {
			by, verb := l.asked(left, i)
			l.of(by, verb, left.RequestID, i).leave(l.p, subjects.User(left.UserID))
		}
	}
}

// join notes that the user joined a room.
func (r *remembered) join(p *Place, created bool) {
	switch {
	case r.place == nil && r.rest == nil:
		r.place, r.created = p, created
		return
	case r.rest == nil && !r.left && *r.place == *p: // learnt before
		return
	}
	o := r.full()
	o.Joined, o.Created = p, created
}

// leave notes that a user left a room.
func (r *remembered) leave(p *Place, u subjects.User) {
	switch {
	case r.place == nil && r.rest == nil && u == r.user:
		r.place, r.left = p, true
		return
	case r.rest == nil && r.left && *r.place == *p && u == r.user: // learnt before
		return
	}
	r.full().leave(p, u)
}

// full makes the outcome one that anything can be noted in.
func (r *remembered) full() *Outcome {
	if r.rest == nil {
		r.rest = r.outcome()
		r.place = nil
	}
	return r.rest
}

// outcome is the outcome in full.
func (r *remembered) outcome() *Outcome {
	o := &Outcome{}
	switch {
	case r.rest != nil:
		*o = *r.rest
	case r.place != nil && r.left:
		o.leave(r.place, r.user)
	case r.place != nil:
		o.Joined, o.Created = r.place, r.created
	}
	return o
}

func (o *Outcome) leave(p *Place, u subjects.User) {
	for i := range o.Left {
		if o.Left[i] == *p && o.Users[i] == u { // learnt before
			return
		}
	}
	o.Left, o.Users = append(o.Left, *p), append(o.Users, u)
	o.begin(p)
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
func (o *Outcome) begin(p *Place) {
	if o.At.Revision == 0 {
		o.At = *p
	}
}

func usersOf[T any](list []T, user func(*T) string) []subjects.User {
	users := make([]subjects.User, len(list))
	for i := range list {
		users[i] = subjects.User(user(&list[i]))
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
	what(q.remembered(requestKey{c.User, c.Verb, c.RequestID}, c.Digest, now).full())
}

// remembered is what is remembered of a request; it is made under the lock if there is nothing
// yet.
func (q *Outcomes) remembered(k requestKey, digest string, at time.Time) *remembered {
	if r := q.find(k); r != nil {
		return r
	}
	r := &remembered{requestKey: k, digest: digest, at: at.Sub(begin), same: q.known[k.id]}
	q.known[k.id] = r
	if q.newest == nil {
		q.oldest = r
	} else {
		q.newest.after = r
	}
	q.newest = r
	return r
}

func (q *Outcomes) find(k requestKey) *remembered {
	r := q.known[k.id]
	for r != nil && r.requestKey != k {
		r = r.same
	}
	return r
}

// mostExpire is how many outcomes are forgotten at once, so that nobody waits for long.
const mostExpire = 1000

// expire forgets outcomes that are too old, and says whether there are more of them.
func (q *Outcomes) expire(now time.Time) (more bool) {
	for range mostExpire {
		r := q.oldest
		if r == nil || now.Sub(begin)-r.at <= q.keep {
			return false
		}
		if q.oldest = r.after; r.after == nil {
			q.newest = nil
		}
		q.drop(r)
	}
	return true
}

// drop takes one out of the map, which gives its space back when it is empty.
func (q *Outcomes) drop(r *remembered) {
	switch first := q.known[r.id]; {
	case first != r:
		for first.same != r {
			first = first.same
		}
		first.same = r.same
	case r.same != nil:
		q.known[r.id] = r.same
	default:
		delete(q.known, r.id)
	}
	if len(q.known) == 0 {
		q.known = map[string]*remembered{}
	}
}

// forget forgets all outcomes that are too old. Without it they would stay while nothing is
// asked.
func (q *Outcomes) forget() {
	for more := true; more; {
		q.mu.Lock()
		more = q.expire(time.Now())
		q.mu.Unlock()
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
	r := q.find(requestKey{c.User, c.Verb, c.RequestID})
	if r == nil || time.Since(begin)-r.at > q.keep {
		return nil, nil
	}
	if r.digest != "" && r.digest != c.Digest {
		return nil, OtherRequest(c)
	}
	return r.outcome(), nil
}

// each calls f for each outcome.
func (q *Outcomes) each(f func(*remembered)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for r := q.oldest; r != nil; r = r.after {
		f(r)
		if n++; n%mostExpire == 0 { // others may go on
			q.mu.Unlock()
			q.mu.Lock()
		}
	}
}

// How an outcome is packed.
const (
	packedJoined = iota
	packedCreated
	packedLeft
	packedFull
)

func (r *remembered) pack() ([]byte, error) {
	var space [256]byte
	w := pack.Text(space[:0], string(r.user))
	w = pack.Text(w, string(r.verb))
	w = pack.Text(w, r.id)
	w = pack.Text(w, r.digest)
	if r.place == nil {
		full, err := json.Marshal(r.outcome())
		return pack.Text(pack.Number(w, packedFull), full), err
	}
	switch {
	case r.left:
		w = pack.Number(w, packedLeft)
	case r.created:
		w = pack.Number(w, packedCreated)
	default:
		w = pack.Number(w, packedJoined)
	}
	w = pack.Text(w, string(r.place.Room))
	w = pack.Text(w, r.place.InstanceID)
	w = pack.Number(w, r.place.Sequence)
	return pack.Number(w, r.place.Revision), nil
}

// restore takes in a packed outcome, which is as old as the moment now: it is known for longer
// than it has to be.
func (q *Outcomes) restore(data []byte, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := pack.Reading[[]byte]{Rest: data}
	key := requestKey{user: subjects.User(p.Text()), verb: room.Verb(p.Text()), id: p.Text()}
	r := q.remembered(key, p.Text(), now)
	how := p.Number()
	if how == packedFull {
		r.rest = &Outcome{}
		return json.Unmarshal(p.Bytes(), r.rest)
	}
	r.left, r.created = how == packedLeft, how == packedCreated
	r.place = &Place{Room: subjects.Room(p.Text()), Position: room.Position{InstanceID: p.Text(), Sequence: p.Number(), Revision: p.Number()}}
	return nil
}

// OtherRequest refuses a command whose request ID stands for another request.
func OtherRequest(c *room.Command) *room.Error {
	return room.Invalid("requestID", "%q already stands for another %s of %q; a new one needs a new random ID", c.RequestID, c.Verb, c.User)
}
