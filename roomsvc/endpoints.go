package roomsvc

import (
	"errors"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/micro"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// maxRequest is the most bytes that a request may have.
const maxRequest = 64 << 10

// handlers take a command in; what a command is says [room.Commands].
var handlers = map[room.Verb]func(*Service, *request){
	room.Create:              (*Service).create,
	room.Join:                (*Service).change,
	room.Enter:               (*Service).create,
	room.Switch:              (*Service).switchRoom,
	room.Leave:               (*Service).change,
	room.LeaveAll:            (*Service).leaveAll,
	room.Get:                 (*Service).get,
	room.Members:             (*Service).members,
	room.MemberOf:            (*Service).memberOf,
	room.Rooms:               (*Service).userRooms,
	room.List:                (*Service).list,
	room.Renew:               (*Service).renew,
	room.SetAttributes:       (*Service).setAttributes,
	room.SetMemberAttributes: (*Service).setMemberAttributes,
	room.Send:                (*Service).say,
	room.History:             (*Service).history,
	room.Kick:                (*Service).kick,
	room.DestroyRoom:         (*Service).destroyRoom,
	room.SetAccess:           (*Service).setAccess,
}

// generation is the set of endpoints that takes commands now. When the process has
// stood still, the commands that piled up meanwhile are of a past that nobody waits
// for; their whole generation is dropped and a new one made.
type generation struct {
	svc   micro.Service
	stale func() bool
}

func (s *Service) listen() (*generation, error) {
	g := &generation{}
	pulse := s.pulse
	stale := pulse.epoch.Load()
	g.stale = func() bool { return pulse.still() || pulse.epoch.Load() != stale }
	svc, err := micro.AddService(s.nc, micro.Config{
		Name: subjects.MicroService, Version: Version, Description: "rooms over NATS", QueueGroup: subjects.QueueGroup,
		StatsHandler: func(*micro.Endpoint) any { return s.stats() },
	})
	if err != nil {
		return nil, err
	}
	g.svc = svc
	for _, e := range room.Commands {
		handle := func(user bool) micro.HandlerFunc {
			return func(r micro.Request) { s.receive(g, &e, user, r) }
		}
		if err = svc.AddEndpoint(string(e.Verb), handle(false), micro.WithEndpointSubject(subjects.Command(string(e.Verb)))); err == nil {
			err = svc.AddEndpoint(string(e.Verb)+"-user", handle(true), micro.WithEndpointSubject(subjects.UserCommandPattern(string(e.Verb))))
		}
		if err != nil {
			return nil, errors.Join(err, svc.Stop())
		}
	}
	return g, nil
}

// traceParent is the header of W3C Trace Context, version 00.
var traceParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// request is a command as it came, before its form is checked.
type request struct {
	*call
	verb    room.Verb
	user    subjects.User // of the subject, in the user form
	data    []byte
	headers micro.Headers
}

// receive takes one command in and hands it on at once; it is answered later.
func (s *Service) receive(g *generation, e *room.CommandInfo, userForm bool, r micro.Request) {
	if g.stale() {
		return
	}
	if !subjects.ReplyAllowed(r.Subject(), r.Reply()) {
		s.log.Debug("a command that wants its answer where none may go is dropped", "subject", r.Subject(), "reply", r.Reply())
		return
	}
	q := &request{verb: e.Verb, data: r.Data(), headers: r.Headers()}
	q.call = &call{cmd: &room.Command{Verb: e.Verb}, reply: r.Reply(), userForm: userForm, deadline: time.Now().Add(commandTimeout)}
	s.inFlight.Add(1)
	if s.ended() {
		s.sendError(q.call, room.Refuse(room.ErrBusy, "nothing happened: this instance of the service ends; try again"))
		return
	}
	if s.inFlight.Load() > int64(s.cfg.MaxInFlight) {
		busy := room.Refuse(room.ErrBusy, "nothing happened: %d commands are being worked on here, as many as may be; try again", s.cfg.MaxInFlight)
		busy.RetryAfterMs = 100
		s.sendError(q.call, busy)
		return
	}
	if userForm {
		var err error
		if q.user, err = subjects.UserOfToken(subjects.UserToken(r.Subject())); err != nil {
			s.sendError(q.call, room.Invalid("userID", "in the subject %v", err))
			return
		}
		if e.Trusted {
			s.sendError(q.call, room.Refuse(room.ErrNotAllowed, "%s is for trusted callers, at %s", e.Verb, subjects.Command(string(e.Verb))))
			return
		}
		if s.cfg.Feeds && !s.share.take(q.call, q.user, s.cfg.MaxInFlight) {
			busy := room.Refuse(room.ErrBusy, "nothing happened: %d commands of %q are being worked on here, as many as one user's may be; try again", s.share.of(s.cfg.MaxInFlight), q.user)
			busy.RetryAfterMs = 100
			s.sendError(q.call, busy)
			return
		}
	}
	if len(q.data) > maxRequest {
		big := room.Refuse(room.ErrParamInvalid, "the request has %d bytes; it may have %d", len(q.data), maxRequest)
		big.Limit, big.Actual = maxRequest, int64(len(q.data))
		s.sendError(q.call, big)
		return
	}
	handlers[e.Verb](s, q)
}

// start makes the command of a request, up to what is the verb's own.
func (s *Service) start(q *request, c *room.Caller, anonymous bool, body any) (*room.Command, *room.Error) {
	cmd, err := s.acting(q, c, anonymous)
	if err != nil {
		return nil, err
	}
	c.Connection = nil // a repeat may come by another one
	if cmd.RequestID != "" {
		cmd.Digest = digest(q.verb, body)
	}
	if parent := q.headers.Get("traceparent"); parent != "" && traceParent.MatchString(parent) {
		cmd.TraceParent = parent
	}
	return cmd, nil
}

// acting makes the command of a request, as far as its caller says it.
func (s *Service) acting(q *request, c *room.Caller, anonymous bool) (*room.Command, *room.Error) {
	cmd, err := c.Command(q.verb, anonymous, s.limits.Load())
	if err == nil {
		q.cmd = cmd
		cmd.OwnForm = q.userForm && s.cfg.Feeds
		lease := s.leases.Of(q.session())
		q.ask = s.asked(q, c, lease.Live)
		if lease.Live {
			q.lease = room.Lease{ExpiresAt: lease.EndAt, LeaseSeconds: lease.Seconds}
		}
	}
	return cmd, err
}

// admit hands a checked command on, or refuses it; from here on the user's devices
// are told.
func (s *Service) admit(q *request, err *room.Error) {
	if q.cmd.RequestID != "" {
		if s.look(q) {
			return
		}
	}
	if ev, ok := startEvents[q.verb]; ok && q.cmd.User != "" {
		s.publishNotice(s.notice(q.cmd, place{room: q.cmd.Room}, events.Connecting, ev[0]))
		q.told = true
	}
	if err != nil {
		s.refuse(q.call, err)
		return
	}
	s.track(q.call)
	s.alive(q.call, func() {
		if q.verb == room.Switch || q.verb == room.LeaveAll {
			s.enqueueMulti(q.call)
		} else {
			s.enqueue(q.call)
		}
		if s.ended() {
			s.timeOut(q.call) // nobody else does any more
		}
	})
}

// look answers a repeated request before anything else is checked.
func (s *Service) look(q *request) bool {
	q.state.Store(deciding)
	if s.repeated(q.call, nil) {
		return true
	}
	q.state.Store(waiting)
	return false
}

func (s *Service) switchRoom(q *request) {
	var body room.SwitchRequest
	if !parse(s, q, &body) {
		return
	}
	cmd, err := s.start(q, &body.Caller, false, &body)
	if err == nil {
		if err = setRoom(&cmd.From, "fromRoomID", body.FromRoomID); err == nil {
			err = setRoom(&cmd.Room, "toRoomInfo.roomID", body.ToRoomInfo.RoomID)
		}
	}
	if err != nil {
		s.sendError(q.call, err)
		return
	}
	cmd.CreateMissing = body.IsCreateWhenRoomNotExisted
	if err = cmd.Making("toRoomInfo.roomName", body.ToRoomInfo.RoomName, body.Config, s.limits.Load()); err == nil && cmd.From == cmd.Room {
		err = room.Invalid("toRoomInfo.roomID", "is %q, and so is fromRoomID; a switch needs two rooms", cmd.Room)
	}
	s.admit(q, err)
}

func (s *Service) leaveAll(q *request) {
	var body room.LeaveAllRequest
	if !parse(s, q, &body) {
		return
	}
	if _, err := s.start(q, &body.Caller, false, &body); err != nil {
		s.sendError(q.call, err)
		return
	}
	s.admit(q, nil)
}

// changeRoom reads the body of a command that changes one room, and hands it on.
func changeRoom[T any, P interface {
	*T
	asking
}](s *Service, q *request, body P, roomID *string, anonymous bool, fill func(*room.Command, *room.Limits) *room.Error) {
	if !parse(s, q, body) {
		return
	}
	cmd, err := s.start(q, body.For(), anonymous && !q.userForm, body)
	if err == nil {
		err = setRoom(&cmd.Room, "roomID", *roomID)
	}
	if err != nil {
		s.sendError(q.call, err)
		return
	}
	s.admit(q, fill(cmd, s.limits.Load()))
}

func (s *Service) create(q *request) {
	body := &room.CreateRequest{}
	changeRoom(s, q, body, &body.RoomID, q.verb == room.Create, func(c *room.Command, l *room.Limits) *room.Error {
		return c.Making("roomName", body.RoomName, body.Config, l)
	})
}

func (s *Service) change(q *request) {
	body := &room.RoomRequest{}
	changeRoom(s, q, body, &body.RoomID, false, func(*room.Command, *room.Limits) *room.Error { return nil })
}

func (s *Service) setAttributes(q *request) {
	body := &room.SetAttributesRequest{}
	changeRoom(s, q, body, &body.RoomID, false, func(c *room.Command, l *room.Limits) *room.Error { return c.SetAttributes(body, l) })
}

func (s *Service) setMemberAttributes(q *request) {
	body := &room.SetMemberAttributesRequest{}
	changeRoom(s, q, body, &body.RoomID, false, func(c *room.Command, l *room.Limits) *room.Error { return c.SetMemberAttributes(body, l) })
}

func (s *Service) kick(q *request) {
	body := &room.KickRequest{}
	changeRoom(s, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Kick(body) })
}

func (s *Service) destroyRoom(q *request) {
	body := &room.DestroyRequest{}
	changeRoom(s, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.Destroy(body) })
}

func (s *Service) setAccess(q *request) {
	body := &room.SetAccessRequest{}
	changeRoom(s, q, body, &body.RoomID, true, func(c *room.Command, _ *room.Limits) *room.Error { return c.SetAccess(body) })
}

func setRoom(r *subjects.Room, field, id string) *room.Error {
	*r = subjects.Room(id)
	return room.ParseID(field, id)
}
