package leases

import (
	"time"

	"natsrooms/roomsvc/room"
)

// judge says what a session has, and what must be stored to give it what it asks for.
func (k *ledger) judge(l *lease, a *Ask) (Grant, *record) {
	if l == nil || !k.live(l) {
		seconds := a.Default
		if a.Seconds != nil {
			seconds = *a.Seconds
		}
		over := l != nil && l.seq > 0
		if over && !a.Afresh || !over && seconds == 0 {
			return Grant{Ended: over}, nil
		}
		return Grant{}, &record{Seconds: seconds, Connection: a.Connection, Own: a.Own && a.Connection != nil} // even a lease that never ends is stored if it replaces one that has ended
	}
	seconds, conn, own := l.seconds, l.conn, l.own
	switch {
	case a.Seconds != nil:
		seconds = *a.Seconds
	case seconds == 0 && !a.Renewal: // that it was never to end does not bind a session that joins now
		seconds = a.Default
	}
	switch {
	case a.Connection != nil && k.late(l, *a.Connection):
	case a.Connection != nil:
		conn, own = *a.Connection, a.Own
	case a.Renewal || k.otherwise(l):
		conn = room.Connection{}
	}
	if seconds == l.seconds && conn == l.conn && l.early.IsZero() && (seconds == 0 || time.Until(l.end) > time.Duration(seconds)*time.Second*2/3) {
		return Grant{Seconds: seconds, EndAt: l.endAt}, nil
	}
	r := &record{Seconds: seconds}
	if conn != (room.Connection{}) {
		r.Connection, r.Own = &conn, own
	}
	return Grant{}, r
}

// otherwise reports whether a session must be using another connection than the one it
// registered, because that one closed so long ago that nothing from it can still be on its
// way.
func (k *ledger) otherwise(l *lease) bool {
	return !l.early.IsZero() && time.Since(l.early.Add(-k.grace)) > min(onItsWay, k.grace/2)
}

// late reports whether a command names a connection that has ended, while its session has
// continued with another one since.
func (k *ledger) late(l *lease, c room.Connection) bool {
	_, closed := k.closed[c]
	return closed && l.conn != c && l.conn != (room.Connection{}) && l.early.IsZero()
}
