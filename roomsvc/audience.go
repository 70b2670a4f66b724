package roomsvc

import (
	"cmp"

	"natsrooms/events"
	"natsrooms/roomsvc/feeds"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// startFeeds begins to carry to end users what the follower passes from here on.
func (s *Service) startFeeds(rep *replica) {
	if !s.cfg.Feeds {
		return
	}
	var rooms []*room.State
	for _, mb := range rep.all() {
		if mb.state != nil { // nobody else is at work yet
			rooms = append(rooms, mb.state)
		}
	}
	s.feeds = feeds.New(cmp.Or(s.cfg.FeedsConn, s.nc), s.log, s.sync.pass)
	s.feeds.Start(s.life, rooms)
	rep.heard = s.feeds.Fact
}

// personal says that whoever asks is an end user who hears the room by a feed of its own.
func (s *Service) personal(c *call, delivery string) bool {
	return s.cfg.Feeds && c.userForm && delivery != room.DeliveryOpen
}

// subscribe names the subjects at which whoever asks hears the room.
func (s *Service) subscribe(c *call, r subjects.Room, config events.Config) []string {
	switch {
	case s.personal(c, config.Delivery):
		return []string{subjects.Feed(c.cmd.User, r)}
	case s.cfg.Feeds && c.userForm:
		return []string{subjects.Open(r)}
	}
	return []string{subjects.Facts(r), subjects.Messages(r)}
}

// mayRead refuses an end user who is no member of a room that only members may read.
func (s *Service) mayRead(q *request, st *room.State) *room.Error {
	if s.shown(q.call, st) != nil {
		return nil
	}
	return room.Refuse(room.ErrNotAllowed, "%q is not in %q, which only its members may read; enter it first", q.cmd.User, st.Room)
}

// shown is the room as far as whoever asks may see it: nil to an end user who is no member
// of one that only members may read, such as one who asks again what he asked before he left.
func (s *Service) shown(c *call, st *room.State) *room.State {
	if st == nil || s.personal(c, st.Config.Delivery) && st.Member(c.cmd.User) == nil {
		return nil
	}
	return st
}
