package commit

import (
	"context"
	"slices"
	"time"

	"natsrooms/roomsvc/room"
)

// proveAgain is how long it takes until what could not be looked at is looked at again.
const proveAgain = 100 * time.Millisecond

// prove passes a sync point, so that the calls can be refused for good. Some of them may have
// run out of time already. If it can't pass one, they are decided again, or run out of time.
func (k *Committer) prove(calls []*Call) {
	last := slices.MaxFunc(calls, func(a, b *Call) int { return a.Deadline.Compare(b.Deadline) })
	ctx, cancel := context.WithDeadline(k.Life, last.Deadline)
	defer cancel()
	if k.Sync.Pass(ctx) != nil {
		return
	}
	for _, c := range calls {
		if err := k.Prove(ctx, c); err != nil {
			k.Log.Warn("reading the rooms that a user's tokens name", "user", c.Cmd.User, "error", err)
			k.Life.Pause(proveAgain)
			return
		}
		c.synced = true
	}
}

// reserve counts a call that brings its session into a room against the limits on rooms, if
// there are any. A limit that is reached only by counting what is on its way is no reason to
// refuse: that may be for a room that is counted already, or may come to nothing. Then the
// call is to be decided once more.
func (k *Committer) reserve(st *room.State, c *Call) {
	l := k.Limits()
	c.Cmd.UserRoomsFull, c.Cmd.RoomsFull = false, false
	if !c.Cmd.Verb.Info().Brings() {
		return
	}
	if limit := c.mayBeIn(l); limit > 0 && st.Member(c.Cmd.User) == nil && c.Cmd.Verb != room.Switch {
		var full bool
		c.reserved, full = k.Replica.Users.Reserve(c.Cmd.User, limit, k.emptyRooms(st, c, l))
		c.Cmd.UserRoomsFull = !c.reserved
		c.synced = c.synced && (c.reserved || full)
	}
	c.Cmd.EmptyRooms = 0
	if st == nil && c.Cmd.OwnForm && l.UserEmptyRooms > 0 {
		if n := k.Replica.Users.Empty(c.Cmd.User); n >= l.UserEmptyRooms {
			c.Cmd.EmptyRooms = n
		}
	}
	if l.MaxRooms > 0 && st == nil {
		living := k.Replica.Living()
		c.creating = living+k.making.Add(1) <= int64(l.MaxRooms)
		c.Cmd.RoomsFull = !c.creating
		c.synced = c.synced && (c.creating || living >= int64(l.MaxRooms))
		if !c.creating {
			k.making.Add(-1)
		}
	}
}

// mayBeIn is how many rooms the call's user may be in; 0 is any number.
func (c *Call) mayBeIn(l *room.Limits) int {
	switch {
	case c.Cmd.User == "":
		return 0
	case c.Cmd.OwnForm && l.MaxRoomsPerUser == 0:
		return l.UserRooms
	}
	return l.MaxRoomsPerUser
}

// emptyRooms is how many empty rooms count as the call's user's, because it made them. The one
// that it comes to, st, does not.
func (k *Committer) emptyRooms(st *room.State, c *Call, l *room.Limits) int {
	if !c.Cmd.OwnForm || l.UserEmptyRooms == 0 {
		return 0
	}
	n := k.Replica.Users.Empty(c.Cmd.User)
	if st != nil && st.EmptySince != 0 && st.CreatedBy == string(c.Cmd.User) && !st.Ending() {
		n--
	}
	return n
}

// spare gives back what a decided call holds and does not need.
func (k *Committer) spare(c *Call, v room.Verdict) {
	if !v.Changed {
		k.freePlace(c)
	}
	if !v.Created { // another command of the run may make the room
		k.freeRoom(c)
	}
}

// unreserve gives back what a call holds: its fact is stored, or will not be.
func (k *Committer) unreserve(c *Call) {
	k.freePlace(c)
	k.freeRoom(c)
}

// freePlace gives back a place among the user's rooms.
func (k *Committer) freePlace(c *Call) {
	if c.reserved {
		k.Replica.Users.Release(c.Cmd.User)
		c.reserved = false
	}
}

// freeRoom gives back a place among all rooms.
func (k *Committer) freeRoom(c *Call) {
	if c.creating {
		k.making.Add(-1)
		c.creating = false
	}
}
