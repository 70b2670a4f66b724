package roomsvc

import (
	"context"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// maxReply is the most bytes that a reply may have; pages end before it.
const maxReply = 256 << 10

// leaseRoom is what a session's lease takes in a reply.
const leaseRoom = 64

// pageRoom is what a page may fill with entries.
const pageRoom = maxReply - 48<<10

// read answers from memory, once that is as new as the caller asks.
func (s *Service) read(q *request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	s.alive(q.call, func() { s.readNow(q, f, r, answer) })
}

func (s *Service) readNow(q *request, f room.Freshness, r subjects.Room, answer func() (any, *room.Error)) {
	q.state.Store(deciding)
	if !f.Sync && s.seen(f.MinRevision, r) {
		v, refused := answer()
		switch {
		case refused == nil:
			s.reply(q.call, v)
			return
		case !unproved(refused):
			s.sendError(q.call, refused)
			return
		}
		f.Sync = true
	}
	s.readLater(q, f, r, func(context.Context) (any, *room.Error) { return answer() })
}

// readAside answers what may take a while: until this instance is new enough, or a
// stream has been asked.
func (s *Service) readAside(q *request, f room.Freshness, r subjects.Room, answer func(context.Context) (any, *room.Error)) {
	s.alive(q.call, func() { s.readLater(q, f, r, answer) })
}

func (s *Service) readLater(q *request, f room.Freshness, r subjects.Room, answer func(context.Context) (any, *room.Error)) {
	q.state.Store(deciding)
	go func() {
		ctx, cancel := context.WithDeadline(s.life, q.deadline)
		defer cancel()
		refused := s.fresh(ctx, f, r)
		var v any
		if refused == nil {
			v, refused = answer(ctx)
		}
		if unproved(refused) && !f.Sync {
			f.Sync = true
			if refused = s.fresh(ctx, f, r); refused == nil {
				v, refused = answer(ctx)
			}
		}
		if refused != nil {
			s.sendError(q.call, refused)
		} else {
			s.reply(q.call, v)
		}
	}()
}

// unproved says whether memory that is behind may refuse so: whoever asks may have come in
// a moment ago, by another instance. Such an answer needs a sync point.
func unproved(e *room.Error) bool {
	return e != nil && (e.Code == room.ErrRoomNotExist || e.Code == room.ErrNotAllowed || e.Code == room.ErrUserNotInRoom)
}

// fresh waits until this instance is as new as the caller asks.
func (s *Service) fresh(ctx context.Context, f room.Freshness, r subjects.Room) *room.Error {
	var err error
	if f.Sync {
		err = s.sync.pass(ctx)
	}
	if err == nil && !s.seen(f.MinRevision, r) {
		err = s.rep.passed.Wait(ctx, f.MinRevision)
	}
	if err == nil {
		return nil
	}
	e := room.Refuse(room.ErrBusy, "nothing happened: this instance has not seen what you ask for, it is at revision %d; try again", s.rep.passed.Seq())
	if !f.Sync {
		e.Field, e.Limit, e.Actual = "minRevision", int64(s.rep.passed.Seq()), int64(f.MinRevision)
	}
	return e
}

// seen says whether a revision has been applied: by the follower, or in that room.
func (s *Service) seen(revision uint64, r subjects.Room) bool {
	if revision <= s.rep.passed.Seq() {
		return true
	}
	head := s.rep.head(r)
	return head != nil && head.Revision >= revision
}

// view calls f with the room's state under its lock, if the room exists and whoever
// asks may read it.
func (s *Service) view(q *request, r subjects.Room, f func(*room.State) any) (any, *room.Error) {
	if mb := s.rep.find(r); mb != nil {
		mb.mu.Lock()
		defer mb.mu.Unlock()
		if mb.state != nil && !mb.state.Ending() {
			if refused := s.mayRead(q, mb.state); refused != nil {
				return nil, refused
			}
			return f(mb.state), nil
		}
	}
	return nil, room.Refuse(room.ErrRoomNotExist, "there is no room %q; enter creates it", r)
}

// beginFor reads a request's body, and for whom it acts. It has answered if it is false.
func beginFor[T any, P interface {
	*T
	asking
}](s *Service, q *request, body P, anonymous bool) bool {
	if !parse(s, q, body) {
		return false
	}
	if _, err := s.acting(q, body.For(), anonymous); err != nil {
		s.sendError(q.call, err)
		return false
	}
	return true
}

// beginRead reads the body of a read; roomID is nil where it names no room.
func beginRead[T any, P interface {
	*T
	asking
}](s *Service, q *request, body P, roomID *string) (r subjects.Room, ok bool) {
	if !beginFor(s, q, body, !q.userForm) {
		return "", false
	}
	if roomID != nil {
		if err := setRoom(&r, "roomID", *roomID); err != nil {
			s.sendError(q.call, err)
			return "", false
		}
	}
	return r, true
}

func (s *Service) get(q *request) {
	var body room.ReadRequest
	r, ok := beginRead(s, q, &body, &body.RoomID)
	if !ok {
		return
	}
	s.read(q, body.Freshness, r, func() (any, *room.Error) {
		return s.view(q, r, func(st *room.State) any {
			return &room.GetReply{Room: st.Info(r), Subscribe: s.subscribe(q.call, r, st.Config), Position: st.Position()}
		})
	})
}

func (s *Service) members(q *request) {
	var body room.MembersRequest
	r, ok := beginRead(s, q, &body, &body.RoomID)
	if !ok {
		return
	}
	order, err := room.PageOrder(body.NextFlag)
	count, refused := pageCount(body.Count)
	if err != nil {
		refused = room.Invalid("nextFlag", "is %q, which no page ended with; start with an empty one", body.NextFlag)
	}
	if refused != nil {
		s.sendError(q.call, refused)
		return
	}
	s.read(q, body.Freshness, r, func() (any, *room.Error) {
		return s.view(q, r, func(st *room.State) any { return page(st, order, count) })
	})
}

func pageCount(count int) (int, *room.Error) {
	if count < 0 || count > room.MaxPage {
		e := room.Invalid("count", "is %d; it must be 1 to %d", count, room.MaxPage)
		e.Limit, e.Actual = room.MaxPage, int64(count)
		return 0, e
	}
	if count == 0 {
		count = room.MaxPage
	}
	return count, nil
}

// page is the members that joined after order, until count or the reply is full.
func page(st *room.State, order uint64, count int) *room.MembersReply {
	reply := &room.MembersReply{MemberList: []room.MemberInfo{}, MemberCount: st.Members, Position: st.Position()}
	var last *room.Member
	size := 0
	st.After(order, func(m *room.Member) bool {
		info := m.Wire()
		data, _ := json.Marshal(&info)
		if size += len(data) + 1; last != nil && (len(reply.MemberList) == count || size > pageRoom) {
			reply.NextFlag = room.PageFlag(last)
			return false
		}
		reply.MemberList = append(reply.MemberList, info)
		last = m
		return true
	})
	return reply
}

func (s *Service) memberOf(q *request) {
	var body room.MemberOfRequest
	r, ok := beginRead(s, q, &body, &body.RoomID)
	if !ok {
		return
	}
	if n := len(body.UserIDs); n > room.MaxUserIDs {
		e := room.Invalid("userIDs", "has %d users; it may have %d", n, room.MaxUserIDs)
		e.Limit, e.Actual = room.MaxUserIDs, int64(n)
		s.sendError(q.call, e)
		return
	}
	for _, id := range body.UserIDs {
		if err := room.ParseID("userIDs", id); err != nil {
			s.sendError(q.call, err)
			return
		}
	}
	s.read(q, body.Freshness, r, func() (any, *room.Error) {
		v, refused := s.view(q, r, func(st *room.State) any {
			reply := &room.MemberOfReply{MemberList: []room.MemberInfo{}, ErrorUserList: []room.ErrorUser{}, Position: st.Position()}
			for _, id := range body.UserIDs {
				if m := st.Member(subjects.User(id)); m != nil {
					reply.MemberList = append(reply.MemberList, m.Wire())
				} else {
					reply.ErrorUserList = append(reply.ErrorUserList, room.ErrorUser{UserID: id, Code: room.ErrUserNotInRoom.Name, Number: room.ErrUserNotInRoom.Number})
				}
			}
			return reply
		})
		if refused == nil {
			if size := len(s.encode(v)) + leaseRoom; size > maxReply {
				refused = room.Invalid("userIDs", "ask for %d bytes of members; a reply may have %d, ask for fewer users at once", size, maxReply)
				refused.Limit, refused.Actual = maxReply, int64(size)
			}
		}
		return v, refused
	})
}

func (s *Service) userRooms(q *request) {
	var body room.RoomsRequest
	if !beginFor(s, q, &body, false) {
		return
	}
	s.readAside(q, body.Freshness, "", func(ctx context.Context) (any, *room.Error) {
		rooms, next := s.heads(ctx, q.cmd.User, body.NextFlag, func(mb *mailbox) bool { return true })
		return &room.RoomsReply{Rooms: rooms, NextFlag: next}, nil
	})
}

func (s *Service) renew(q *request) {
	var body room.RenewRequest
	if !beginFor(s, q, &body, false) {
		return
	}
	// A room that is missing in the answer is lost to whoever asks. Where the session came
	// in a moment ago, elsewhere, it must not be.
	s.readAside(q, room.Freshness{Sync: true}, "", func(ctx context.Context) (any, *room.Error) {
		rooms, next := s.heads(ctx, q.cmd.User, body.NextFlag, func(mb *mailbox) bool {
			mb.mu.Lock()
			defer mb.mu.Unlock()
			return !q.over && in(mb.state, q.cmd)
		})
		return &room.RenewReply{Rooms: rooms, NextFlag: next}, nil
	})
}

// heads is a page of the user's rooms that want takes, behind after, and how far each has got.
func (s *Service) heads(ctx context.Context, u subjects.User, after string, want func(*mailbox) bool) (rooms []room.RoomHead, next string) {
	rooms = []room.RoomHead{}
	var ids []subjects.Room
	size := 0
	for _, mb := range s.rep.users.of(u) {
		h := mb.head.Load()
		if after != "" && string(mb.room) <= after || h == nil || h.Ending() || !want(mb) {
			continue
		}
		if size += 128 + 2*len(mb.room); size > pageRoom {
			next = rooms[len(rooms)-1].RoomID
			break
		}
		rooms = append(rooms, room.RoomHead{RoomID: string(mb.room), InstanceID: h.InstanceID, Sequence: h.Sequence})
		ids = append(ids, mb.room)
	}
	heads := s.messages.Heads(ctx, ids)
	for i, id := range ids {
		rooms[i].MessageSeq = heads[id]
	}
	return rooms, next
}

func (s *Service) list(q *request) {
	var body room.ListRequest
	_, ok := beginRead(s, q, &body, nil)
	if !ok {
		return
	}
	count, refused := pageCount(body.Count)
	if refused != nil {
		s.sendError(q.call, refused)
		return
	}
	s.read(q, body.Freshness, "", func() (any, *room.Error) {
		reply := &room.ListReply{NextFlag: ""}
		reply.RoomList, reply.NextFlag = s.rep.list(body.Prefix, body.NextFlag, count)
		return reply, nil
	})
}
