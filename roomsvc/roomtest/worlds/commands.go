package worlds

import (
	"errors"
	"slices"
	"strings"
	"time"

	"natsrooms/roomsvc/room"
)

// As is a caller.
func As(user, request string) room.Caller { return room.Caller{UserID: user, RequestID: request} }

// Create makes a room. Its creator, if there is one, is in it.
func (w *World) Create(id string, delay int64, creator ...string) *room.JoinedReply {
	w.T.Helper()
	r, err := w.Client.Create(w.Ctx, room.CreateRequest{Caller: As(strings.Join(creator, ""), ""), RoomID: id, Config: &room.RoomConfig{RoomDestroyDelayTime: delay}})
	if err != nil {
		w.T.Fatalf("creating %s: %v", id, err)
	}
	return r
}

// Join lets a user join a room.
func (w *World) Join(id, user string) *room.JoinedReply {
	w.T.Helper()
	r, err := w.Client.Join(w.Ctx, room.RoomRequest{Caller: As(user, ""), RoomID: id})
	if err != nil {
		w.T.Fatalf("%s joining %s: %v", user, id, err)
	}
	return r
}

// Leave lets a user leave a room.
func (w *World) Leave(id, user string) *room.LeftReply {
	w.T.Helper()
	r, err := w.Client.Leave(w.Ctx, room.RoomRequest{Caller: As(user, ""), RoomID: id})
	if err != nil {
		w.T.Fatalf("%s leaving %s: %v", user, id, err)
	}
	return r
}

// Get returns the room after a sync point, or nil if there is none.
func (w *World) Get(id string) *room.GetReply {
	w.T.Helper()
	r, err := w.Client.Get(w.Ctx, room.ReadRequest{RoomID: id, Freshness: room.Freshness{Sync: true}})
	if errors.Is(err, room.ErrRoomNotExist) {
		return nil
	}
	if err != nil {
		w.T.Fatalf("get %s: %v", id, err)
	}
	return r
}

// Members returns the users in a room after a sync point; ok is false if there is no room. It asks
// again while an instance cannot tell.
func (w *World) Members(id string) (users []string, at room.Position, ok bool) {
	w.T.Helper()
	q := room.MembersRequest{RoomID: id, Freshness: room.Freshness{Sync: true}}
	for began := time.Now(); ; {
		page, err := w.Client.Members(w.Ctx, q)
		if errors.Is(err, room.ErrRoomNotExist) {
			return nil, at, false
		}
		if errors.Is(err, room.ErrBusy) && time.Since(began) < Patience {
			continue
		}
		if err != nil {
			w.T.Fatalf("members of %s: %v", id, err)
		}
		for _, m := range page.MemberList {
			for _, s := range m.Sessions {
				users = append(users, m.UserID+"/"+s.SessionID)
			}
		}
		if at = page.Position; page.NextFlag == "" {
			slices.Sort(users)
			return users, at, true
		}
		q.NextFlag = page.NextFlag
	}
}
