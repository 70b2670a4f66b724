package leases

import (
	"time"

	"natsrooms/roomsvc/room"
)

// judge says what a session has, and what is to be stored so that it has what it asks for.
func (k *ledger) judge(l *lease, a *Ask) (Grant, *record) {
	if l == nil || !l.live() {
		seconds := a.Default
		if a.Seconds != nil {
			seconds = *a.Seconds
		}
		over := l != nil && l.seq > 0
		if over && !a.Afresh || !over && seconds == 0 {
			return Grant{Ended: over}, nil
		}
		return Grant{}, &record{Seconds: seconds, Connection: a.Connection} // also one that lasts, over what says that it has ended
	}
	seconds, conn := l.seconds, l.conn
	switch {
	case a.Seconds != nil:
		seconds = *a.Seconds
	case seconds == 0 && !a.Renewal: // that it was to last does not bind who comes in now
		seconds = a.Default
	}
	switch {
	case a.Connection != nil && k.late(l, *a.Connection):
	case a.Connection != nil:
		conn = *a.Connection
	case a.Renewal || k.otherwise(l):
		conn = room.Connection{}
	}
	if seconds == l.seconds && conn == l.conn && l.early.IsZero() && (seconds == 0 || time.Until(l.end) > time.Duration(seconds)*time.Second*2/3) {
		return Grant{Seconds: seconds, EndAt: l.endAt}, nil
	}
	r := &record{Seconds: seconds}
	if conn != (room.Connection{}) {
		r.Connection = &conn
	}
	return Grant{}, r
}

// otherwise says that a session whose connection has closed so long ago that nothing of
// it is on its way any more speaks by another one.
func (k *ledger) otherwise(l *lease) bool {
	return !l.early.IsZero() && time.Since(l.early.Add(-k.grace)) > min(onItsWay, k.grace/2)
}

// late says that a command names a connection that has ended, and its session has gone on
// by another one since.
func (k *ledger) late(l *lease, c room.Connection) bool {
	_, closed := k.closed[c]
	return closed && l.conn != c && l.conn != (room.Connection{}) && l.early.IsZero()
}
