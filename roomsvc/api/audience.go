package api

import (
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// personal says that the caller is an end user who hears the room by a personal feed.
func (a *API) personal(q *Request, delivery string) bool {
	return a.Feeds && q.UserForm && delivery != room.DeliveryOpen
}

// Subscribe names the subjects on which the caller hears the room.
func (a *API) Subscribe(q *Request, r subjects.Room, config events.Config) []string {
	switch {
	case a.personal(q, config.Delivery):
		return []string{subjects.Feed(q.Cmd.User, r)}
	case a.Feeds && q.UserForm:
		return []string{subjects.Open(r)}
	}
	return []string{subjects.Facts(r), subjects.Messages(r)}
}

// mayRead refuses an end user who is not a member of a room that only members may read, or is
// banned from one that everybody may read.
func (a *API) mayRead(q *Request, st *room.State) *room.Error {
	if a.Shown(q, st) != nil {
		if !q.UserForm {
			return nil
		}
		return st.Unread(q.Cmd.User, events.TimeOf(time.Now()))
	}
	return room.Refuse(room.ErrNotAllowed, "%q is not in %q, which only its members may read; enter it first", q.Cmd.User, st.Room)
}

// Shown is the room if the caller may see it. It is nil for an end user who is not a member of
// a room that only members may read, such as one who repeats a request after leaving.
func (a *API) Shown(q *Request, st *room.State) *room.State {
	if st == nil || a.personal(q, st.Config.Delivery) && st.Member(q.Cmd.User) == nil {
		return nil
	}
	return st
}
