package feeds

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// crossing is for how long a message may be on its way that was accepted before its sender left.
const crossing = 30 * time.Second

// audience is who hears a room.
type audience struct {
	instance string
	now      uint64                      // the sequence of the room's newest fact that was published
	open     string                      // the subject of an open room, otherwise empty
	feeds    map[subjects.User]*listener // of each member, if the room is not open
	gone     []gone                      // who left lately, in order
}

// listener is a member who hears a room.
type listener struct {
	feed     string
	sessions []session
	names    string // of all sessions, as the header has them
}

// session is one of a listener's, and the sequence of the fact by which it came.
type session struct {
	id    string
	since uint64
}

// gone is a user who left by the fact at a sequence.
type gone struct {
	user subjects.User
	by   uint64
	at   time.Time
}

// newAudience makes that of a room that was not known before.
func newAudience(r subjects.Room, h *room.Head) *audience {
	a := &audience{instance: h.InstanceID, feeds: map[subjects.User]*listener{}}
	if h.Config.Delivery == room.DeliveryOpen {
		a.open = subjects.Open(r)
	}
	return a
}

// come adds those who come by a fact.
func (a *audience) come(c *room.Change) {
	if c.Head != nil {
		a.now = c.Head.Sequence
	}
	for _, m := range c.Put {
		a.add(m, c.Room, a.now)
	}
}

// add adds sessions of a member that are not known yet.
func (a *audience) add(m *room.Member, r subjects.Room, since uint64) {
	if a.open != "" {
		return
	}
	l := a.feeds[m.User]
	if l == nil {
		l = &listener{feed: subjects.Feed(m.User, r)}
		a.feeds[m.User] = l
	}
	for i := range m.Sessions {
		id := m.Sessions[i].SessionID
		if !slices.ContainsFunc(l.sessions, func(s session) bool { return s.id == id }) {
			l.sessions = append(l.sessions, session{id, since})
		}
	}
	l.names = names(l.sessions)
}

// leave removes those who leave by a fact.
func (a *audience) leave(c *room.Change) {
	if c.Type == events.SessionLeft {
		for _, m := range c.Put {
			if l := a.feeds[m.User]; l != nil {
				l.sessions = slices.DeleteFunc(l.sessions, func(s session) bool { return m.Session(s.id) == nil })
				l.names = names(l.sessions)
			}
		}
	}
	now := time.Now()
	for len(a.gone) > 0 && now.Sub(a.gone[0].at) > crossing {
		a.gone = a.gone[1:]
	}
	for _, u := range c.Del {
		delete(a.feeds, u)
		a.gone = append(a.gone, gone{u, a.now, now})
	}
}

// reached says whether the fact that a message comes after has been published.
func (a *audience) reached(m *events.Accepted) bool {
	return a != nil && a.instance == m.InstanceID && a.now >= m.After
}

// crossed says whether a message's sender left after it had been accepted, and before it was
// heard.
func (a *audience) crossed(m *events.Accepted) bool {
	return m.After > 0 && slices.ContainsFunc(a.gone, func(g gone) bool { return string(g.user) == m.Sender && g.by > m.After })
}

// hear publishes items to everybody who hears the room now and, of messages, was in already when they
// were accepted. What takes until it is too late goes to nobody else: a server with slow clients
// holds publishers up.
func (a *audience) hear(nc *nats.Conn, listened func(subject string) bool, items []item) (late int, err error) {
	if a.open != "" {
		for n := range items {
			if err := nc.PublishMsg(&nats.Msg{Subject: a.open, Header: items[n].header, Data: items[n].data}); err != nil {
				return 0, err
			}
			items[n].copies++
		}
		return 0, nil
	}
	copied := make([]*nats.Msg, len(items))
	for n := range items {
		copied[n] = &nats.Msg{Header: maps.Clone(items[n].header), Data: items[n].data}
		copied[n].Header[events.SessionsHeader] = []string{""}
	}
	for _, l := range a.feeds {
		for len(items) > 0 && items[0].tooOld() {
			items, copied = items[1:], copied[1:]
			late++
		}
		if listened != nil && !listened(l.feed) { // a member without a connection, or a back end's
			continue
		}
		for n, m := range copied {
			whom := l.toWhom(items[n].said)
			if whom == "" {
				continue
			}
			m.Subject, m.Header[events.SessionsHeader][0] = l.feed, whom
			if err := nc.PublishMsg(m); err != nil {
				return late, err
			}
			items[n].copies++
		}
	}
	return late, nil
}

// toWhom is the listener's sessions that an item is for, as the header has them.
func (l *listener) toWhom(m *events.Accepted) string {
	if m == nil || m.After == 0 || !slices.ContainsFunc(l.sessions, func(s session) bool { return s.since > m.After }) {
		return l.names
	}
	return names(slices.DeleteFunc(slices.Clone(l.sessions), func(s session) bool { return s.since > m.After }))
}

func names(sessions []session) string {
	if len(sessions) == 1 {
		return subjects.SessionToken(sessions[0].id)
	}
	list := make([]string, len(sessions))
	for i := range sessions {
		list[i] = subjects.SessionToken(sessions[i].id)
	}
	return strings.Join(list, ",")
}
