package upkeep

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/conns"
	"natsrooms/roomsvc/lead"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Timing of the leader's work with leases.
const (
	expiryEvery  = 250 * time.Millisecond // at most one round in this time: what ends during it shares facts
	mostAtOnce   = 1000                   // leases that one round ends
	compareEvery = time.Minute
	expiryTime   = 5 * time.Second // for one round
	expireAgain  = time.Second     // after a round that could not be completed
	grantAgain   = time.Second
	settled      = commit.Timeout + time.Second
	grantsAtOnce = 64
)

// Leases takes sessions out of their rooms when their leases end.
type Leases struct {
	Life    *life.Life
	Log     *slog.Logger
	Book    *leases.Book
	Replica *replica.Replica
	Sync    *replica.Sync
	Commit  *commit.Committer
	Limits  func() *room.Limits
	Servers *conns.Servers // tell of open connections; nil: they can't be asked
}

// term is what one term of the lead remembers of leases.
type term struct {
	*Leases
	later map[leases.Session]look
}

// look is a lease that is to be looked at once more. If its end could not be carried through,
// that is soon. But a command that the lease let in at its last moment may also be stored
// after the marker; when no such command can be on its way any more, a session that one
// brought into a room is put out again.
type look struct {
	leases.Ending
	at   time.Time
	last bool
}

// Lead is the duty: leases that have expired are ended.
func (l *Leases) Lead(ctx context.Context, t *lead.Term) error {
	t.Begun()
	if !l.whole(ctx) {
		return nil
	}
	x := &term{l, map[leases.Session]look{}}
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	x.compare(ctx)
	for next := time.Now(); ; {
		timer.Reset(max(time.Until(x.next()), time.Until(next)))
		select {
		case <-timer.C:
			next = time.Now().Add(expiryEvery)
			x.end(ctx, l.due(ctx), false)
			x.lookAgain(ctx)
		case <-l.Book.Sooner():
		case <-compare.C:
			x.compare(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// whole makes sure that the bucket has the leases of all sessions. It returns false if ctx
// ended before that was so.
func (l *Leases) whole(ctx context.Context) bool {
	for !l.Book.Alive() {
		err := l.grantAll(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		l.Log.Warn("giving every session a lease again", "error", err)
		l.Life.Pause(grantAgain)
	}
	return true
}

// due is the leases that are to be ended. That a named connection is open is a sign of life of
// its session, whose lease begins again. While that is not known the lease waits.
func (l *Leases) due(ctx context.Context) []leases.Ending {
	list := l.Book.Due(ctx)
	if l.Servers == nil {
		return list
	}
	of, named := map[leases.Session]conns.Named{}, map[conns.Named]bool{}
	for _, e := range list {
		if c, own, ok := l.Book.Named(e); ok {
			n := conns.Named{Connection: c}
			if own {
				n.User = e.User
			}
			of[e.Session], named[n] = n, true
		}
	}
	open, unknown := l.Servers.Open(ctx, named)
	var living []leases.Ending
	list = slices.DeleteFunc(list, func(e leases.Ending) bool {
		n := of[e.Session]
		if open[n] {
			living = append(living, e)
		}
		return open[n] || unknown[n]
	})
	l.Book.Prolong(ctx, living)
	return list
}

// next is when there is something to do.
func (x *term) next() time.Time {
	next, ok := x.Book.Next()
	if !ok {
		next = time.Now().Add(time.Hour)
	}
	for _, l := range x.later {
		if l.at.Before(next) {
			next = l.at
		}
	}
	return next
}

// end ends leases; last says that they are not to be looked at once more for commands of their
// last moment.
func (x *term) end(ctx context.Context, list []leases.Ending, last bool) {
	for part := range slices.Chunk(list, mostAtOnce) {
		_, ended := x.Expire(ctx, part)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		for _, e := range part {
			if !x.Book.Of(e.Session).Live {
				x.later[e.Session] = look{e, now.Add(expireAgain), last}
			}
		}
		for _, e := range ended {
			delete(x.later, e.Session)
			if !last {
				x.later[e.Session] = look{e, now.Add(settled), true}
			}
		}
	}
}

func (x *term) lookAgain(ctx context.Context) {
	now := time.Now()
	var first, last []leases.Ending
	for id, l := range x.later {
		if l.at.After(now) {
			continue
		}
		delete(x.later, id)
		if l.last {
			last = append(last, l.Ending)
		} else {
			first = append(first, l.Ending)
		}
	}
	x.end(ctx, first, false)
	x.end(ctx, last, true)
}

// compare looks for sessions in rooms whose lease has ended or is gone, and which nobody took
// out: an instance may have died between ending the lease and taking the session out.
func (x *term) compare(ctx context.Context) {
	over := map[leases.Session]leases.Ending{}
	x.each(func(id leases.Session, m room.MemberSession) {
		if known := x.Book.Of(id); known.Ended || m.LeaseSeconds > 0 && !known.Live {
			over[id] = leases.Ending{Session: id, At: known.EndAt, Seq: known.Seq}
		}
	})
	x.end(ctx, slices.Collect(maps.Values(over)), true)
	x.compareDevices()
}

// Expire ends leases, and takes their sessions out of the rooms that they are in. It returns
// the leases that it ended; each channel is closed when the sessions are out of one room.
//
// The marker comes first: once it is there, no renewal counts any more, and after the sync
// point no join that another instance stored before the marker is missed. A session that is
// found in a room may have begun again meanwhile, but not without a lease in the bucket.
func (l *Leases) Expire(ctx context.Context, list []leases.Ending) (done []<-chan struct{}, ended []leases.Ending) {
	round, cancel := context.WithTimeout(ctx, expiryTime)
	defer cancel()
	ended = l.Book.End(round, list)
	if len(ended) == 0 || l.Sync.Pass(round) != nil {
		return nil, nil
	}
	outs := map[subjects.Room][]room.Out{}
	for _, e := range ended {
		for _, known := range l.Replica.Users.Of(e.User) {
			known.View(func(st *room.State) {
				if m := st.Member(e.User); m != nil {
					if session := m.Session(e.ID); session != nil {
						outs[known.ID] = append(outs[known.ID], room.Out{User: e.User, Session: e.ID, JoinedAt: session.JoinedAt, LeftAt: e.At, Reason: events.ReasonExpired})
					}
				}
			})
		}
	}
	ended, err := l.Book.Still(round, ended)
	if err != nil {
		return nil, nil
	}
	still := map[leases.Session]bool{}
	for _, e := range ended {
		still[e.Session] = true
	}
	for id, list := range outs {
		list = slices.DeleteFunc(list, func(o room.Out) bool { return !still[leases.Session{User: o.User, ID: o.Session}] })
		if len(list) > 0 {
			done = append(done, l.putOut(id, list))
		}
	}
	return done, ended
}

// putOut takes sessions out of a room. The channel is closed when they are out. The session
// whose lease ended first goes first: a member's last session says when the member was gone.
func (l *Leases) putOut(id subjects.Room, outs []room.Out) <-chan struct{} {
	done := make(chan struct{})
	slices.SortFunc(outs, func(a, b room.Out) int {
		if (a.LeftAt == 0) != (b.LeftAt == 0) { // that one ended only now
			return cmp.Compare(b.LeftAt, a.LeftAt)
		}
		return cmp.Or(cmp.Compare(a.LeftAt, b.LeftAt), cmp.Compare(a.User, b.User), cmp.Compare(a.Session, b.Session))
	})
	l.Commit.Assign(id, func(st *room.State, in room.Input) *events.Fact {
		f := room.Expel(st, outs, in)
		if f == nil {
			close(done)
		}
		return f
	})
	return done
}

// each calls f for every session of every room, room by room.
func (l *Leases) each(f func(leases.Session, room.MemberSession)) {
	for _, known := range l.Replica.All() {
		known.View(func(st *room.State) {
			if st == nil || st.Ending() {
				return
			}
			st.After(0, func(m *room.Member) bool {
				for _, x := range m.Sessions {
					f(leases.Session{User: m.User, ID: x.SessionID}, x)
				}
				return true
			})
		})
	}
}

// grantAll gives a full lease to every session that had one, because the bucket was lost.
func (l *Leases) grantAll(ctx context.Context) error {
	if err := l.Sync.Pass(ctx); err != nil {
		return err
	}
	lost := map[leases.Session]int{}
	l.each(func(id leases.Session, x room.MemberSession) {
		if known := l.Book.Of(id); x.LeaseSeconds > 0 && !known.Live && !known.Ended {
			lost[id] = max(lost[id], x.LeaseSeconds) // they may differ from room to room
		}
	})
	var mu sync.Mutex
	var failed error
	var wait sync.WaitGroup
	free := make(chan struct{}, grantsAtOnce)
	for id, seconds := range lost {
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			if err := l.Book.Grant(ctx, id, seconds); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if failed != nil {
		return failed
	}
	return l.Book.SetAlive(ctx)
}

// compareDevices takes out sessions that a newer one has replaced, where a member may have
// only one: an instance may have died between the new session's joining and this.
func (l *Leases) compareDevices() {
	if l.Limits().ReplaceDevices == 0 {
		return
	}
	for _, known := range l.Replica.All() {
		var outs []room.Out
		known.View(func(st *room.State) {
			if st != nil {
				st.After(0, func(m *room.Member) bool { outs = append(outs, m.Older()...); return true })
			}
		})
		if len(outs) > 0 {
			l.putOut(known.ID, outs)
		}
	}
}
