package room

import (
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/subjects"
)

// LeaveAllMark begins the digest of a leaveAll, whose facts are otherwise those of a leave.
const LeaveAllMark = "*"

// Command is a checked request of one session about one room, or two for [Switch].
type Command struct {
	Verb        Verb
	Room        subjects.Room // for Switch, the room to join
	From        subjects.Room // Switch
	User        subjects.User // empty: create without a user
	Name        string
	Info        jsontext.Value
	Session     string
	Lease       int // seconds, 0: none; of a session that joins
	RequestID   string
	Digest      string // of the whole request except RequestID
	TraceParent string

	RoomName      string
	Config        events.Config
	Attributes    map[string]string
	CreateMissing bool // Switch

	Set          map[string]string // SetAttributes, SetMemberAttributes
	Delete       []string          // SetAttributes
	Force        bool              // SetAttributes
	UpdateOwner  bool              // SetAttributes
	LeaveDeletes *bool             // SetAttributes, SetMemberAttributes; nil: the default
	IfRevision   uint64            // SetAttributes
	Users        []subjects.User   // SetMemberAttributes, Kick, SetRole, Ban, Unban, Mute, Unmute
	ReasonText   string            // Kick, DestroyRoom, Ban, Mute
	Access       string            // SetAccess; empty: as it is
	Allow        []subjects.User   // SetAccess
	Disallow     []subjects.User   // SetAccess
	Rename       *string           // Update; nil: as it is
	Change       *ConfigUpdate     // Update; nil: as it is
	Role         events.Role       // SetRole
	Seconds      int64             // Ban, Mute; 0: as long as the instance lives
	Until        events.Time       // Ban: when it ends, once that has been decided

	CalledByToken bool // Name and Info are what its user's token says, if anything, and not what it says itself

	UserForm    bool // it came in the user form: what hosts, bans and mutes say holds for it
	OwnForm     bool // it is from an end user, whom the room's access may keep out
	Granted     bool // and that user's token names the room
	HostByToken bool // and makes it a host there

	Begun string // Ban: the instance of the room that those who were in are out of by it; empty: none yet

	// Limits that are reached, as the caller counted just before deciding.
	RoomsFull     bool // as many rooms exist as may
	UserRoomsFull bool // the user is in as many rooms as it may be
	EmptyRooms    int  // the user made so many rooms that stand empty, and may make no more; 0: it may
}

// Input is what a decision needs from the world.
type Input struct {
	Now        events.Time
	FactID     string // of the fact, if there is one
	InstanceID string // of the room, if it is created
	Limits     *Limits

	limits *Limits // the same, filled
}

// Verdict is what became of a command in a run.
type Verdict struct {
	Later   bool   // it belongs to a later run; nothing was decided
	Begun   bool   // but the run's fact is the first part of it
	Refused *Error // a refusal; true for the state the run was decided on
	Changed bool   // the run's fact has an entry for it
	Created bool   // and the room is created for it

	ErrorKeys []string        // SetAttributes: owned by somebody else, left unchanged
	Users     []subjects.User // Kick: those who were removed
	Until     events.Time     // Ban, Mute: when it ends
}

var later = Verdict{Later: true}

// Run gathers the commands of one room that one fact can carry: at most one command per
// user, and all that change something do so with the same type of fact. It never changes
// the state.
type Run struct {
	state  *State
	room   subjects.Room
	in     Input
	fact   *events.Fact
	users  map[subjects.User]struct{}
	count  int
	size   int
	traces int
	draft  *draft // what its commands make of the attributes
	over   bool   // its fact begins the room's end
}

// NewRun starts a run on a room's state; nil is a room that does not exist.
func NewRun(r subjects.Room, s *State, in Input) *Run {
	run := &Run{state: s, room: r, in: in, users: map[subjects.User]struct{}{}}
	run.in.limits = in.Limits.Filled()
	if s != nil {
		run.count = s.Members
		run.in.Now = max(in.Now, s.FactAt)
	}
	return run
}

// Fact is the fact of all commands taken so far; nil if none changes anything.
func (r *Run) Fact() *events.Fact {
	if f := r.fact; f != nil {
		switch f.Type {
		case events.RoomCreated:
			f.Info.MemberCount = r.count
		case events.MemberJoined, events.MemberLeft, events.SessionJoined, events.SessionLeft:
			f.MemberCount = r.count
		}
		if r.draft != nil {
			r.draft.put(f)
		}
		if r.traces != 1 {
			f.TraceParent = ""
		}
	}
	return r.fact
}

// Count is how many members the room has after the run's fact.
func (r *Run) Count() int { return r.count }

// Ending reports that the room must end before any command is decided; see [Destroy].
func (r *Run) Ending() bool { return r.state != nil && r.state.Ending() }

func (r *Run) ending() bool { return r.over || r.Ending() }

// Add decides a command that changes one room.
func (r *Run) Add(c *Command) Verdict { return c.Verb.Info().rule(r, c) }

// AddSeveral decides a command that changes several rooms, on the runs of those rooms: all
// of them change, or none. For [Switch] they are the run of the room to leave and the run
// of the room to join; for [LeaveAll] those of the rooms that the command's session is in.
func AddSeveral(runs []*Run, c *Command) Verdict { return c.Verb.Info().several(runs, c) }

// Named is the rooms that a command names: the one to leave first. A command about the rooms
// that its session is in names none.
func (c *Command) Named() []subjects.Room {
	switch {
	case c.From != "":
		return []subjects.Room{c.From, c.Room}
	case c.Room != "":
		return []subjects.Room{c.Room}
	}
	return nil
}

// leaveAll decides a leaveAll: its session leaves all the rooms, or does so later.
func leaveAll(runs []*Run, c *Command) Verdict {
	for _, r := range runs {
		if !r.takesLeave(c) {
			return later
		}
	}
	for _, r := range runs {
		r.leave(c, events.ReasonLeft, "")
	}
	return Verdict{Changed: len(runs) > 0}
}

// takesLeave says whether leave would decide the command now.
func (r *Run) takesLeave(c *Command) bool {
	if r.busy(c.User) || r.creating() || r.over {
		return false
	}
	m := r.state.Member(c.User)
	return m == nil || r.takes(leaveType(m), r.leftSize(c, m))
}

// switchRooms decides a switch on the runs of both its rooms: both change, or neither.
func switchRooms(runs []*Run, c *Command) Verdict {
	from, to := runs[0], runs[1]
	if from.busy(c.User) || to.busy(c.User) || from.creating() || to.ending() {
		return later
	}
	if v := from.checkLeave(c); v.Refused != nil {
		return v
	}
	if to.state.Has(c) {
		return from.leave(c, events.ReasonSwitched, c.Room)
	}
	if m := from.state.Member(c.User); !from.takes(leaveType(m), from.leftSize(c, m)) {
		return later
	}
	v := to.admit(c)
	if v.Changed {
		from.leave(c, events.ReasonSwitched, c.Room)
	}
	return v
}

// Keep makes the fact that changes nothing and keeps a quiet room in the journal.
func Keep(s *State, in Input) *events.Fact { return s.next(events.RoomKept, in) }

func (s *State) next(typ string, in Input) *events.Fact {
	return &events.Fact{ID: in.FactID, Type: typ, Room: s.Room, InstanceID: s.InstanceID, Sequence: s.Sequence + 1, Time: max(in.Now, s.FactAt)}
}

func (r *Run) creating() bool { return r.fact != nil && r.fact.Type == events.RoomCreated }

func (r *Run) busy(u subjects.User) bool { _, ok := r.users[u]; return ok }

// takes reports whether an entry of that type and size fits into this run.
func (r *Run) takes(typ string, size int) bool {
	if r.fact == nil {
		return true
	}
	if r.creating() && len(r.fact.Joined) == 0 {
		return false // its one digest belongs to the creation
	}
	same := r.fact.Type == typ || r.fact.Type == events.RoomCreated && typ == events.MemberJoined
	return same && r.size+size <= events.MaxFactBytes
}

func (r *Run) note(c *Command, size int) {
	r.users[c.User] = struct{}{}
	r.size += size
	r.fact.Digests = append(r.fact.Digests, c.Digest)
	r.fact.TraceParent = c.TraceParent
	r.traces++
}

func (r *Run) start(typ string) {
	if r.fact == nil {
		r.fact = r.state.next(typ, r.in)
		r.size = factOverhead
	}
}

// admit decides create, join, enter, and the joining part of a switch.
func (r *Run) admit(c *Command) Verdict {
	if r.ending() || r.busy(c.User) { // even without a user: the creation may be this very request
		return later
	}
	if r.state == nil && !r.creating() {
		return r.create(c)
	}
	if c.Verb == Create {
		return Verdict{Refused: Refuse(ErrRoomAlreadyExists, "the room %q exists already; nothing changed; use enter to join whether it exists or not", r.room)}
	}
	typ := events.MemberJoined
	if m := r.state.Member(c.User); m != nil {
		if v, in := r.another(c, m); in {
			return v
		}
		typ = events.SessionJoined
	}
	if kept := r.keptOut(c); kept != nil { // first: whoever is kept out must not learn how full the room is
		return Verdict{Refused: kept}
	}
	if typ == events.MemberJoined {
		if full := r.full(c); full != nil {
			return Verdict{Refused: full}
		}
	}
	size := joinedSize(c)
	if typ == events.MemberJoined {
		size += keptSize(r.state.keptBy(c.User)) + roleSize(r.role(c))
	}
	if !r.takes(typ, size) {
		return later
	}
	if typ == events.MemberJoined {
		r.count++
	}
	r.start(typ)
	r.join(c, size)
	return Verdict{Changed: true}
}

// another decides a further session of a member, unless there is nothing against it.
func (r *Run) another(c *Command, m *Member) (v Verdict, decided bool) {
	if m.Session(c.Session) != nil {
		if c.Verb == Enter {
			return Verdict{}, true
		}
		return Verdict{Refused: Refuse(ErrUserAlreadyInRoom, "%q (session %s) is in %q already; nothing changed; use enter if that is fine", c.User, c.Session, r.room)}, true
	}
	if n := len(m.Sessions); n >= MaxSessions {
		e := Invalid("sessionID", "%q would be session %d of %q in %q; a member may have %d, leave with one first", c.Session, n+1, c.User, r.room, MaxSessions)
		e.Limit, e.Actual = MaxSessions, int64(n+1)
		return Verdict{Refused: e}, true
	}
	return v, false
}

func (r *Run) full(c *Command) *Error {
	limit := r.in.limits.MaxMembers
	config, _ := r.config()
	if own := config.MaxMembers; own != 0 && (limit == 0 || own < limit) {
		limit = own
	}
	if limit != 0 && r.count >= limit {
		e := Refuse(ErrRoomFull, "%q is full: it already has the %d members it may have; try again when somebody has left", r.room, limit)
		e.Limit, e.Actual = int64(limit), int64(r.count)
		return e
	}
	if c.UserRoomsFull && c.Verb != Switch {
		return Refuse(ErrUserRoomLimit, "%q is in as many rooms as one user may be; leave one first", c.User)
	}
	return nil
}

func (r *Run) create(c *Command) Verdict {
	switch {
	case c.Verb == Join:
		return Verdict{Refused: Refuse(ErrRoomNotExist, "there is no room %q; enter creates it, join does not", r.room)}
	case c.Verb == Switch && !c.CreateMissing:
		return Verdict{Refused: Refuse(ErrRoomNotExist, "there is no room %q to switch to, so %q stays in %q; isCreateWhenRoomNotExisted true creates it", r.room, c.User, c.From)}
	case c.RoomsFull:
		return Verdict{Refused: Refuse(ErrRoomLimit, "there is no room %q, and it can't be created: as many rooms exist as the service allows; try again when one has ended", r.room)}
	case c.UserRoomsFull && c.Verb != Switch:
		return Verdict{Refused: Refuse(ErrUserRoomLimit, "%q is in as many rooms as one user may be; leave one first", c.User)}
	case c.EmptyRooms > 0:
		return Verdict{Refused: r.tooManyEmpty(c)}
	}
	info := &events.Room{
		RoomID: string(r.room), RoomName: c.RoomName, InstanceID: r.in.InstanceID, CreatedAt: r.in.Now, CreatedBy: string(c.User),
		Config: c.Config, Attributes: c.Attributes, Sequence: 1,
	}
	if c.User != "" && c.Config.Access == AccessListed {
		info.Config.AllowedUsers = allowing(c.Config.AllowedUsers, []subjects.User{c.User}, nil)
	}
	if info.Attributes == nil {
		info.Attributes = map[string]string{}
	}
	r.size = factOverhead + jsonSize(c.RoomName) + AttributesSize(c.Attributes)
	r.fact = &events.Fact{ID: r.in.FactID, Type: events.RoomCreated, Room: r.room, InstanceID: r.in.InstanceID, Sequence: 1, Time: r.in.Now, Info: info}
	if c.User == "" {
		r.fact.RequestID = c.RequestID
		r.note(c, 0)
	} else {
		r.count++
		r.join(c, joinedSize(c))
	}
	return Verdict{Changed: true, Created: true}
}

// tooManyEmpty refuses to create a room for a user whose rooms stand empty. A switch never says
// USER_ROOM_LIMIT, because it leaves a room too.
func (r *Run) tooManyEmpty(c *Command) *Error {
	code := ErrUserRoomLimit
	if c.Verb == Switch {
		code = ErrRoomLimit
	}
	limit := r.in.limits.UserEmptyRooms
	e := Refuse(code, "there is no room %q, and %q can't create it: it made %d rooms that stand empty, and may leave %d behind; enter one of those, or wait until one has ended", r.room, c.User, c.EmptyRooms, limit)
	e.Limit, e.Actual = int64(limit), int64(c.EmptyRooms)
	return e
}

func (r *Run) join(c *Command, size int) {
	role := events.Role("")
	if r.fact.Type != events.SessionJoined {
		role = r.role(c)
	}
	r.fact.Joined = append(r.fact.Joined, events.Joined{
		UserID: string(c.User), UserName: c.Name, UserInfo: c.Info, SessionID: c.Session, JoinedAt: r.in.Now,
		Via: events.Via(c.Verb), FromRoomID: string(c.From), RequestID: c.RequestID, LeaseSeconds: c.Lease, Attributes: r.state.keptBy(c.User),
		Role: role,
	})
	r.note(c, size)
}

// checkLeave refuses the leaving of a session that is not in the room.
func (r *Run) checkLeave(c *Command) Verdict {
	if r.state == nil || r.ending() {
		refused := Refuse(ErrRoomNotExist, "there is no room %q; nothing changed", r.room)
		if c.Verb == Switch {
			refused.Field = "fromRoomID"
		}
		return Verdict{Refused: refused}
	}
	if m := r.state.Member(c.User); m == nil || m.Session(c.Session) == nil {
		return Verdict{Refused: Refuse(ErrUserNotInRoom, "%q (session %s) is not in %q; nothing changed", c.User, c.Session, r.room)}
	}
	return Verdict{}
}

func leaveType(m *Member) string {
	if len(m.Sessions) > 1 {
		return events.SessionLeft
	}
	return events.MemberLeft
}

// leaveAsked decides a leave.
func (r *Run) leaveAsked(c *Command) Verdict { return r.leave(c, events.ReasonLeft, "") }

func (r *Run) leave(c *Command, reason events.LeftReason, to subjects.Room) Verdict {
	if r.busy(c.User) || r.creating() {
		return later
	}
	if v := r.checkLeave(c); v.Refused != nil {
		return v
	}
	m := r.state.Member(c.User)
	typ, size := leaveType(m), r.leftSize(c, m)
	if !r.takes(typ, size) {
		return later
	}
	if typ == events.MemberLeft {
		r.count--
	}
	r.start(typ)
	since := m.Session(c.Session).JoinedAt
	if typ == events.MemberLeft {
		since = m.Since // one entry is enough to bill the whole stay
		r.fact.Deleted = append(r.fact.Deleted, r.goesWith(c.User)...)
	}
	r.fact.Left = append(r.fact.Left, events.Left{
		UserID: string(c.User), UserName: m.Name, SessionID: c.Session, JoinedAt: since, LeftAt: r.in.Now,
		Reason: reason, ToRoomID: string(to), RequestID: c.RequestID,
	})
	r.note(c, size)
	return Verdict{Changed: true}
}
