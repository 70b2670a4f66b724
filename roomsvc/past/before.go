package past

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// earlier finds out who was in an instance before the first fact that is kept of it: those who
// leave without having come, and those who are still in and have not come since. When they
// leave, facts say only who they are and since when they were in.
type earlier struct {
	users map[subjects.User]*early
	set   map[subjects.User]map[string]struct{} // attributes that were set later; before that they are unknown
}

// early is what later facts, and the room as it is now, tell about a user.
type early struct {
	member room.Member         // the one that was in from the beginning, with the sessions that were
	came   map[string]struct{} // sessions that came later
	in     bool                // it was in from the beginning
	over   bool                // that stay has ended, and any other began later
}

// view shows a room as it is now.
type view = func(subjects.Room, func(*room.State))

// before is the state of an instance before the first fact that is kept of it, at a place.
func before(ctx context.Context, j *journal.Journal, now view, first *events.Fact, place uint64) (*room.State, error) {
	present, newest := earlyNow(now, first)
	e := earlier{map[subjects.User]*early{}, map[subjects.User]map[string]struct{}{}}
	var wrong error
	read := uint64(0)
	err := j.Reader(subjects.Facts(first.Room)).Read(ctx, place, func(at uint64, data []byte) bool {
		read = at
		f, err := events.DecodeFact(data)
		if wrong = err; err == nil && f.InstanceID == first.InstanceID {
			e.take(f)
		}
		return err == nil && f.InstanceID == first.InstanceID
	})
	if err == nil {
		err = wrong
	}
	if err == nil && read < newest { // whoever answered lags behind, and somebody may have left in the rest
		err = lost(nil, first.Room)
	}
	if err != nil {
		return nil, err
	}
	members := e.members(present)
	made, _ := room.MadeAt(first.InstanceID)
	state := func() *room.State {
		return room.NewState(first.Room, room.Head{
			InstanceID: first.InstanceID, CreatedAt: made, Members: len(members), Sequence: first.Sequence - 1, Revision: place - 1,
		}, members, nil)
	}
	_, _, err = room.Apply(state(), first, place) // it must fit what comes after it
	return state(), err
}

// earlyNow is those who are in the room now, since before that fact, and the newest fact of
// which that is true. It is not the room at one moment, but whoever leaves meanwhile does so in
// a fact that is read later.
func earlyNow(now view, first *events.Fact) (list []*room.Member, newest uint64) {
	const atOnce = 500
	for after, more := uint64(0), true; more; {
		more = false
		n := 0
		now(first.Room, func(st *room.State) {
			if st == nil || st.InstanceID != first.InstanceID {
				return
			}
			newest = st.Revision
			st.After(after, func(m *room.Member) bool {
				if m.JoinedIn() >= first.Sequence {
					return false
				}
				list, after = append(list, m), m.Order
				n++
				more = n == atOnce
				return !more
			})
		})
	}
	return list, newest
}

// take notes what the next fact tells.
func (e *earlier) take(f *events.Fact) {
	for i := range f.Joined {
		j := &f.Joined[i]
		u := e.user(j.UserID, f.Type == events.SessionJoined)
		u.came[j.SessionID] = struct{}{}
	}
	for i := range f.Left {
		l := &f.Left[i]
		u := e.user(l.UserID, true)
		if !u.in || u.over {
			continue
		}
		if _, later := u.came[l.SessionID]; !later && u.member.Session(l.SessionID) == nil {
			u.member.Sessions = append(u.member.Sessions, room.MemberSession{SessionID: l.SessionID, JoinedAt: l.JoinedAt})
		}
		if u.member.Name = l.UserName; f.Type == events.MemberLeft {
			u.member.Since, u.over = l.JoinedAt, true
		}
	}
	for i := range f.Infos {
		u := subjects.User(f.Infos[i].UserID)
		if e.set[u] == nil {
			e.set[u] = map[string]struct{}{}
		}
		for k := range f.Infos[i].Attributes {
			e.set[u][k] = struct{}{}
		}
	}
}

// user is what is known of a user; in says whether it has been in from the beginning, if this
// is the first that is told of it.
func (e *earlier) user(id string, in bool) *early {
	u := subjects.User(id)
	if e.users[u] == nil {
		e.users[u] = &early{member: room.Member{User: u}, came: map[string]struct{}{}, in: in}
	}
	return e.users[u]
}

// members is who was in; now is those of them who still are, or were a moment ago.
func (e *earlier) members(now []*room.Member) (list []*room.Member) {
	for _, m := range now {
		u := e.user(string(m.User), true)
		if u.over {
			continue
		}
		was := *m
		was.Sessions = slices.Clone(u.member.Sessions)
		for _, s := range m.Sessions {
			if _, later := u.came[s.SessionID]; !later {
				was.Sessions = append(was.Sessions, s)
			}
		}
		was.Attributes = maps.Clone(m.Attributes)
		maps.DeleteFunc(was.Attributes, func(k, _ string) bool { _, later := e.set[m.User][k]; return later })
		u.member = was
	}
	for _, u := range e.users {
		if u.in && len(u.member.Sessions) > 0 {
			list = append(list, &u.member)
		}
	}
	slices.SortFunc(list, func(a, b *room.Member) int {
		if a.Since != b.Since {
			return int(a.Since - b.Since)
		}
		return strings.Compare(string(a.User), string(b.User))
	})
	for i, m := range list {
		slices.SortStableFunc(m.Sessions, func(a, b room.MemberSession) int { return int(a.JoinedAt - b.JoinedAt) })
		m.Order = uint64(i) + 1
	}
	return list
}

// lost is the error of a search, or that facts were not there.
func lost(err error, id subjects.Room) error {
	if err == nil {
		err = fmt.Errorf("facts of %q went while they were read", id)
	}
	return err
}
