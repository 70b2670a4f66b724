package client

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"natsrooms/roomsvc/client/follow"
)

// presence is what the client knows about its own session.
type presence struct {
	keeper sync.WaitGroup // of the goroutine that renews the session

	mu     sync.Mutex      // guards everything below
	rooms  map[string]stay // where the session is
	left   map[string]bool // rooms where it was, and is not; some mostLeft of them
	moves  int             // how many leaves were begun so far, and how many were told by notices
	moving int             // how many of the former have not ended
	leases int             // how many replies named a lease
	lease  time.Duration   // the length of the newest one
	kept   bool            // a goroutine renews it
	closed bool            // none is started any more
	sooner chan struct{}   // tells that goroutine that the lease is shorter now
	told   map[*renewals]struct{}
}

const mostLeft = 1000

// stay says which instance of a room the session is in, and at which sequence it was.
type stay struct {
	instance string
	at       uint64
}

func newPresence() *presence {
	return &presence{rooms: map[string]stay{}, left: map[string]bool{}, sooner: make(chan struct{}, 1), told: map[*renewals]struct{}{}}
}

// close returns when nobody renews the session any more. The client's life must have ended.
func (p *presence) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.keeper.Wait()
}

// renewal is the service's answer to a renewal.
type renewal struct {
	heads []RoomHead // where the session is
	lost  []Stay     // where it was before, and is not any more
}

// renewals are the answers that one listener has not looked at yet.
type renewals struct {
	mu     sync.Mutex // guards list
	list   []renewal
	signal chan struct{}
}

func (r *renewals) add(n renewal) {
	r.mu.Lock()
	r.list = append(r.list, n)
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *renewals) take() []renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// heads is the rooms of all renewals that were not looked at yet, the newest renewal last.
func (r *renewals) heads() (all []RoomHead) {
	for _, n := range r.take() {
		all = append(all, n.heads...)
	}
	return all
}

// listen returns renewals that get every answer from now on, until they are forgotten.
func (p *presence) listen() *renewals {
	r := &renewals{signal: make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[r] = struct{}{}
	return r
}

func (p *presence) forget(r *renewals) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.told, r)
}

// follow is listen for what follows a room.
func (p *presence) follow() follow.Renewals {
	r := p.listen()
	return follow.Renewals{Signal: r.signal, Take: r.heads, Forget: func() { p.forget(r) }}
}

// in lists the rooms that the session is in, sorted.
func (p *presence) in() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.rooms))
}

func (p *presence) put(roomID string, in stay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(roomID, in)
}

// enter notes, under the lock, where the session is; exit, where it is not any more.
func (p *presence) enter(roomID string, in stay) {
	p.rooms[roomID] = in
	delete(p.left, roomID)
}

func (p *presence) exit(roomID string) {
	if _, in := p.rooms[roomID]; in {
		delete(p.rooms, roomID)
		for other := range p.left { // whoever follows one of those has looked long ago
			if len(p.left) < mostLeft {
				break
			}
			delete(p.left, other)
		}
		p.left[roomID] = true
	}
}

// isOut says whether the session was in a room and is not any more.
func (p *presence) isOut(roomID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left[roomID]
}

// drop notes that the session left rooms. A renewal that is on its way may still say what
// was true of them before.
func (p *presence) drop(roomIDs ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves++
	for _, id := range roomIDs {
		p.exit(id)
	}
}

// out notes that a notice said that the session left a room. It returns false if the notice
// is older than the session's joining, or says nothing about where the session is now.
func (p *presence) out(roomID string, then stay) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in, ok := p.rooms[roomID]; ok && (in.instance != then.instance || in.at >= then.at) {
		return false
	}
	p.moves++
	p.exit(roomID)
	return true
}

// leaving is called before a command that leaves rooms, and the function that it returns is
// called after it. A renewal in between may or may not find the session in them, and
// neither means that a room was lost.
func (p *presence) leaving() (left func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves++
	p.moving++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moving--
	}
}

// third is a third of the session's lease.
func (p *presence) third() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lease / 3
}

// settle notes where the session is. It returns the rooms that the session was in before
// and, as far as the client knew, was still in.
func (p *presence) settle(before map[string]stay, heads []RoomHead) (lost []Stay) {
	for _, h := range heads {
		if was, ok := p.rooms[h.RoomID]; !ok || was.instance == before[h.RoomID].instance {
			p.enter(h.RoomID, stay{h.InstanceID, h.Sequence})
		}
		delete(before, h.RoomID)
	}
	for id, in := range before {
		if p.rooms[id].instance == in.instance {
			p.exit(id)
			lost = append(lost, Stay{RoomID: id, InstanceID: in.instance})
		}
	}
	slices.SortFunc(lost, func(a, b Stay) int { return strings.Compare(a.RoomID, b.RoomID) })
	return lost
}
