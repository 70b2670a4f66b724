package roomsvc

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// ignoredHeader names the unknown fields of a request.
const ignoredHeader = "Room-Ignored-Fields"

// settle answers a run whose fact is stored, or that needed none. The mailbox is locked.
func (s *Service) settle(mb *mailbox, run []verdict, fact *events.Fact, seq uint64) {
	s.unreserve(run)
	var cache replyCache
	for _, v := range run {
		if !v.state.CompareAndSwap(deciding, answered) {
			if v.Changed { // it took so long that its caller was told that nobody knows
				s.tell(v.cmd, place{mb.room, room.Position{InstanceID: fact.InstanceID, Sequence: fact.Sequence, Revision: seq}})
			}
			continue
		}
		if v.Refused != nil {
			if st := s.shown(v.call, mb.state); v.Refused.Code == room.ErrRevisionMismatch && st != nil { // else the room has ended since
				at := st.Position()
				v.Refused.Attributes, v.Refused.At = st.Attributes, &at
			}
			s.sendRefusal(v.call, v.Refused, in(mb.state, v.cmd))
			continue
		}
		p := place{mb.room, position(mb)}
		if v.Changed {
			p.Position = room.Position{InstanceID: fact.InstanceID, Sequence: fact.Sequence, Revision: seq}
		} else {
			s.rep.requests.content(v.cmd, &p, v.ErrorKeys)
		}
		s.tell(v.cmd, p)
		switch v.cmd.Verb {
		case room.Leave:
			s.reply(v.call, &room.LeftReply{RoomID: string(p.room), Position: p.Position})
		case room.SetAttributes:
			s.sendAttributes(v.call, &cache, s.shown(v.call, mb.state), p, v.ErrorKeys)
		case room.SetMemberAttributes:
			s.sendMemberAttributes(v.call, s.shown(v.call, mb.state), p, v.cmd.Users)
		case room.Kick:
			s.sendKicked(v.call, v.Users)
		case room.DestroyRoom:
			s.reply(v.call, &room.DestroyReply{RoomID: string(mb.room)})
		case room.SetAccess:
			s.reply(v.call, &room.SetAccessReply{Config: info(mb.state, p).Config, Position: p.Position})
		default:
			s.sendJoined(v.call, &cache, mb, p, v.Created)
		}
	}
}

// tell tells the user's devices of a command that was carried out in a room.
func (s *Service) tell(c *room.Command, p place) {
	if c.Verb == room.Leave {
		s.notify(c, p, events.Disconnected, events.Success)
	} else if brings(c.Verb) {
		s.notify(c, p, events.Connected, events.Success)
	}
}

// settleMulti answers the calls of a batch. All mailboxes are locked.
func (s *Service) settleMulti(taken []verdict, boxes map[subjects.Room]*mailbox, facts []*events.Fact, last uint64) {
	s.unreserve(taken)
	places := make(map[subjects.Room]place, len(facts))
	for i, f := range facts {
		places[f.Room] = place{f.Room, room.Position{InstanceID: f.InstanceID, Sequence: f.Sequence, Revision: last - uint64(len(facts)-1-i)}}
	}
	leavers := map[*room.Command][]place{}
	bySession := map[session]*room.Command{}
	for _, v := range taken {
		if v.cmd.Verb == room.LeaveAll {
			bySession[session{v.cmd.User, v.cmd.Session}] = v.cmd
		}
	}
	came := map[arrival]struct{}{}
	for _, f := range facts {
		for i := range f.Joined {
			came[arrival{f.Room, session{subjects.User(f.Joined[i].UserID), f.Joined[i].SessionID}}] = struct{}{}
		}
		for i := range f.Left {
			if c := bySession[session{subjects.User(f.Left[i].UserID), f.Left[i].SessionID}]; c != nil && f.Left[i].Reason == events.ReasonLeft {
				leavers[c] = append(leavers[c], places[f.Room])
			}
		}
	}
	for _, v := range taken {
		late := !v.state.CompareAndSwap(deciding, answered) // its caller was told that nobody knows
		if late && !v.Changed {
			continue
		}
		if v.Refused != nil {
			var state *room.State
			if mb := boxes[v.cmd.Room]; mb != nil {
				state = mb.state
			}
			s.sendRefusal(v.call, v.Refused, in(state, v.cmd))
			continue
		}
		if v.cmd.Verb == room.LeaveAll {
			if !v.Changed {
				s.rep.requests.content(v.cmd, nil, nil)
			}
			for _, p := range leavers[v.cmd] {
				s.notify(v.cmd, p, events.Disconnected, events.Success)
			}
			if !late {
				s.sendLeftAll(v.call, leavers[v.cmd])
			}
			continue
		}
		p := v.was // in it already, and no more is known of it
		if _, ok := came[arrival{v.cmd.Room, session{v.cmd.User, v.cmd.Session}}]; ok {
			p = places[v.cmd.Room]
		}
		s.tell(v.cmd, p)
		s.notify(v.cmd, places[v.cmd.From], events.Disconnected, events.Success)
		if !late {
			s.sendSwitched(v.call, boxes[v.cmd.Room], p, places[v.cmd.From], v.Created)
		}
	}
}

type session struct {
	user subjects.User
	id   string
}

type arrival struct {
	room subjects.Room
	session
}

func (s *Service) sendLeftAll(c *call, left []place) {
	ids := make([]string, 0, len(left))
	for _, p := range left {
		ids = append(ids, string(p.room))
	}
	s.reply(c, &room.LeftAllReply{RoomIDList: ids})
}

func (s *Service) sendSwitched(c *call, to *mailbox, p, from place, created bool) {
	r := info(s.shown(c, to.state), p)
	s.reply(c, &room.JoinedReply{
		Room: r, Created: &created, Subscribe: s.subscribe(c, to.room, r.Config), Position: p.Position,
		Left: &room.LeftRoom{RoomID: string(from.room), InstanceID: from.InstanceID, Sequence: from.Sequence},
	})
}

// replyCache keeps the encoded replies of a run, which differ little.
type replyCache [4]struct {
	position room.Position
	data     []byte
}

func (s *Service) sendJoined(c *call, cache *replyCache, mb *mailbox, p place, created bool) {
	kind, flag := 0, (*bool)(nil)
	if c.cmd.Verb == room.Enter {
		kind, flag = 1, &created
		if created {
			kind = 2
		}
	}
	if s.cfg.Feeds && c.userForm { // what it subscribes to may be its own
		cache = &replyCache{}
	}
	known := &cache[kind]
	if known.data == nil || known.position != p.Position {
		known.position = p.Position
		r := info(s.shown(c, mb.state), p)
		known.data = s.encode(&room.JoinedReply{Room: r, Created: flag, Subscribe: s.subscribe(c, mb.room, r.Config), Position: p.Position})
	}
	s.send(c, known.data, nil)
}

// now calls f with the call's room as it is now, under its lock: nil if there is none, or
// none that whoever asks may see.
func (s *Service) now(c *call, locked map[subjects.Room]*mailbox, f func(*room.State)) {
	mb := s.rep.find(c.cmd.Room)
	if mb == nil {
		f(nil)
		return
	}
	if locked[mb.room] != mb {
		mb.mu.Lock()
		defer mb.mu.Unlock()
	}
	f(s.shown(c, mb.state))
}

func position(mb *mailbox) room.Position {
	if mb.state == nil {
		return room.Position{}
	}
	return mb.state.Position()
}

// info is the room as it is now, or what is left to say of one that has ended since, or
// that whoever asks may not see any more.
func info(state *room.State, p place) events.Room {
	if state != nil {
		return state.Info(p.room)
	}
	return events.Room{RoomID: string(p.room), InstanceID: p.InstanceID, Attributes: map[string]string{}}
}

// in says whether the command's session is in the room.
func in(state *room.State, c *room.Command) bool {
	m := state.Member(c.User)
	return m != nil && m.Session(c.Session) != nil
}

// refuse answers a call that nobody decides any more.
func (s *Service) refuse(c *call, e *room.Error) {
	if c.state.Swap(answered) == answered {
		return
	}
	s.sendRefusal(c, e, s.connected(c))
}

// connected says whether the call's session is in its room.
func (s *Service) connected(c *call) bool {
	mb := s.rep.find(c.cmd.Room)
	if mb == nil {
		return false
	}
	mb.mu.Lock()
	defer mb.mu.Unlock()
	return in(mb.state, c.cmd)
}

var startEvents = map[room.Verb][2]events.Event{
	room.Create: {events.ActiveCreate, events.CreateFailed},
	room.Join:   {events.ActiveEnter, events.EnterFailed},
	room.Enter:  {events.ActiveEnter, events.EnterFailed},
	room.Switch: {events.ActiveSwitch, events.SwitchFailed},
}

// sendRefusal answers, and tells the user's devices where its session stands.
func (s *Service) sendRefusal(c *call, e *room.Error, connected bool) {
	if ev, ok := startEvents[c.cmd.Verb]; ok && c.cmd.User != "" {
		n := s.notice(c.cmd, place{room: c.cmd.Room}, events.Disconnected, ev[1])
		if connected {
			n.State = events.Connected
		}
		n.Error = &events.NoticeError{Code: e.Code.Name, Number: e.Code.Number}
		s.publishNotice(n)
	}
	s.sendError(c, e)
}

func (s *Service) notify(c *room.Command, p place, st events.State, ev events.Event) {
	if c.User != "" {
		s.publishNotice(s.notice(c, p, st, ev))
	}
}

func (s *Service) notice(c *room.Command, p place, st events.State, ev events.Event) *events.Notice {
	return &events.Notice{
		ID: nuid.Next(), Time: events.TimeOf(time.Now()), Room: p.room, InstanceID: p.InstanceID, Sequence: p.Sequence,
		User: c.User, SessionID: c.Session, State: st, Event: ev, RequestID: c.RequestID,
	}
}

var noticeHeader = nats.Header{"Content-Type": {events.ContentType}}

func (s *Service) publishNotice(n *events.Notice) {
	data, err := n.Encode(s.cfg.SourcePrefix)
	if err == nil {
		err = s.nc.PublishMsg(&nats.Msg{Subject: subjects.UserState(n.User, n.Room), Header: noticeHeader, Data: data})
	}
	if err != nil {
		s.log.Warn("a notice was lost", "user", n.User, "room", n.Room, "error", err)
	}
}

func (s *Service) encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		s.log.Error("a reply can't be encoded", "error", err)
	}
	return data
}

// reply sends a success.
func (s *Service) reply(c *call, v any) { s.send(c, s.encode(v), nil) }

// sendError sends a refusal.
func (s *Service) sendError(c *call, e *room.Error) {
	s.send(c, s.encode(e.Body()), nats.Header{micro.ErrorHeader: {e.Code.Name}, micro.ErrorCodeHeader: {strconv.Itoa(e.Code.Number)}})
}

// withLease is a reply, which may be many calls', with the lease of one session.
func withLease(reply []byte, l room.Lease) []byte {
	data := make([]byte, 0, len(reply)+leaseRoom)
	data = append(data, reply[:len(reply)-1]...)
	data, _ = l.ExpiresAt.AppendText(append(data, `,"expiresAt":"`...))
	data = strconv.AppendInt(append(data, `","leaseSeconds":`...), int64(l.LeaseSeconds), 10)
	return append(data, '}')
}

// send publishes the one answer of a call.
func (s *Service) send(c *call, data []byte, h nats.Header) {
	s.inFlight.Add(-1)
	s.share.give(c)
	if c.reply == "" {
		return
	}
	if h == nil && c.lease.ExpiresAt != 0 && len(data) > 0 { // a refusal may be sent while the lease is at work
		data = withLease(data, c.lease)
	}
	m := &nats.Msg{Subject: c.reply, Header: h, Data: data}
	if c.ignored != "" {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[ignoredHeader] = []string{c.ignored}
	}
	if err := s.nc.PublishMsg(m); err != nil {
		s.log.Warn("an answer was lost", "verb", c.cmd.Verb, "error", err)
	}
}
