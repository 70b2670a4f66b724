package inspector

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/events"
	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	commandWithin = 15 * time.Second // a command is answered within 10 s of its arrival
	tryWithin     = 5 * time.Second  // to connect with a token
	ignoredHeader = "Room-Ignored-Fields"
)

// link is the connection for commands, and for what happens in rooms. It is made when it is first needed.
type link struct {
	mu     sync.Mutex
	nc     *nats.Conn
	closed bool
}

// get is the connection.
func (l *link) get(dial func(...nats.Option) (*nats.Conn, error)) (*nats.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, unavailable("this instance is stopping")
	}
	if l.nc != nil && !l.nc.IsClosed() {
		return l.nc, nil
	}
	// Nothing is kept for a server that is away: a command would be carried out after its caller was told that it was not.
	nc, err := dial(nats.Name("roomd inspector"), nats.ReconnectBufSize(-1))
	if err != nil {
		return nil, unavailable("the NATS server cannot be reached: %v", err)
	}
	l.nc = nc
	return nc, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.nc != nil {
		l.nc.Close()
	}
}

// command answers POST command/{verb}: it is the command of a back end.
func (i *Inspector) command(w http.ResponseWriter, q *request) error {
	verb := room.Verb(q.PathValue("verb"))
	if verb.Info() == nil {
		e := room.Invalid("verb", "is %q, which is not a command", cut(string(verb)))
		return &refusal{http.StatusNotFound, e}
	}
	return i.pass(w, q, subjects.Command(string(verb)))
}

// webhooks answers POST webhooks/{action}: it is what a back end asks.
func (i *Inspector) webhooks(w http.ResponseWriter, q *request) error {
	action := q.PathValue("action")
	if !slices.Contains(subjects.WebhookActions, action) {
		e := room.Invalid("action", "is %q; it must be %s", cut(action), strings.Join(subjects.WebhookActions, ", "))
		return &refusal{http.StatusNotFound, e}
	}
	return i.pass(w, q, subjects.Webhook(action))
}

// pass passes the body on to a subject, and the answer back.
func (i *Inspector) pass(w http.ResponseWriter, q *request, subject string) error {
	data, err := body(q)
	if err != nil {
		return err
	}
	m, err := i.ask(q.Context(), q.Backing, subject, data)
	if err != nil {
		return err
	}
	if ignored := m.Header.Get(ignoredHeader); ignored != "" {
		w.Header().Set(ignoredHeader, ignored)
	}
	return sendRaw(w, statusOfReply(m), m.Data)
}

// statusOfReply is the status of an answer of the service.
func statusOfReply(m *nats.Msg) int {
	if code := m.Header.Get(micro.ErrorHeader); code != "" {
		return statusOf(code)
	}
	return http.StatusOK
}

// ask asks as a back end.
func (i *Inspector) ask(ctx context.Context, b *Backing, subject string, data []byte) (*nats.Msg, error) {
	over, err := i.turn()
	if err != nil {
		return nil, err
	}
	defer over()
	nc, err := i.link.get(b.Dial)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	defer context.AfterFunc(i.life, cancel)()
	return asked(nc.RequestWithContext(ctx, subject, data))
}

// turn is the leave to give one command, until what it returns is called.
func (i *Inspector) turn() (over func(), err error) {
	select {
	case i.commands <- struct{}{}:
		return func() { <-i.commands }, nil
	default:
		return nil, busy("nothing happened: the inspector waits for the answers to %d commands; try again", mostAtOnce)
	}
}

// asked is an answer, or the refusal that stands for there being none.
func asked(m *nats.Msg, err error) (*nats.Msg, error) {
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, nats.ErrNoResponders):
		return nil, busy("nothing happened: nobody is there to answer")
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting):
		return nil, busy("nothing happened: the NATS server is away")
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, refused(room.Refuse(room.ErrParamInvalid, "the command is longer than the NATS server takes"))
	}
	u := unavailable("no answer came: %v", err)
	u.why.Outcome = room.Unknown
	return nil, u
}

// try answers POST try: it shows what a token is good for.
func (i *Inspector) try(w http.ResponseWriter, q *request) error {
	var t Try
	if err := read(q, &t); err != nil {
		return err
	}
	if q.Token == nil {
		return refused(room.Refuse(room.ErrParamInvalid, "end users have no tokens here: roomd runs without --auth, or in operator mode"))
	}
	if t.Verb != "" && room.Verb(t.Verb).Info() == nil {
		return refused(room.Invalid("verb", "is %q, which is not a command", cut(t.Verb)))
	}
	claims, err := auth.Peek(t.Token)
	if err != nil {
		return send(w, http.StatusOK, &Tried{Why: "it cannot be read: " + err.Error()})
	}
	over, err := i.turn()
	if err != nil {
		return err
	}
	defer over()
	out := &Tried{Claims: claimsOf(claims)}
	if err := trial(q, &t, claims, out); err != nil {
		return err
	}
	return send(w, http.StatusOK, out)
}

// trial connects with a token and gives the command.
func trial(q *request, t *Try, claims *auth.Claims, out *Tried) error {
	ctx, cancel := context.WithCancelCause(q.Context())
	defer cancel(nil)
	opts := []nats.Option{
		nats.Name("roomd inspector: a token is tried"), nats.Token(t.Token), nats.NoReconnect(), nats.Timeout(tryWithin),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) { // the server does not answer what is not allowed
				cancel(nats.ErrPermissionViolation)
			}
		}),
	}
	if !claims.Admin {
		opts = append(opts, nats.CustomInboxPrefix(subjects.UserInbox(claims.User)))
	}
	nc, err := q.Token(opts...)
	if err != nil {
		out.Why = err.Error()
		return nil
	}
	defer nc.Close()
	if out.Accepted = true; t.Verb == "" {
		return nil
	}
	within, end := context.WithTimeout(ctx, commandWithin)
	defer end()
	m, err := asked(nc.RequestWithContext(within, commandOf(claims, t.Verb), t.Body))
	if err == nil {
		out.Status, out.Reply = statusOfReply(m), jsontext.Value(m.Data)
		return nil
	}
	if errors.Is(context.Cause(within), nats.ErrPermissionViolation) {
		no := forbidden("with this token, the NATS server does not take the command %s", t.Verb)
		out.Status = no.status
		out.Reply, err = json.Marshal(no.why.Body())
	}
	return err
}

// commandOf is where whoever has such a token sends a command.
func commandOf(c *auth.Claims, verb string) string {
	if c.Admin {
		return subjects.Command(verb)
	}
	return subjects.UserCommand(verb, c.User)
}

func claimsOf(c *auth.Claims) *Claims {
	out := &Claims{UserID: string(c.User), Admin: c.Admin, Verbs: c.Verbs}
	for _, r := range c.Rooms {
		out.Rooms = append(out.Rooms, string(r))
	}
	for _, r := range c.Hosts {
		out.Hosts = append(out.Hosts, string(r))
	}
	if until := c.Until(); !until.IsZero() {
		out.ExpiresAt = events.TimeOf(until)
	}
	return out
}

// leases answers GET leases.
func (i *Inspector) leases(w http.ResponseWriter, q *request) error {
	r, err := roomOf(q)
	if err != nil {
		return err
	}
	count, err := countOf(q, 0)
	if err != nil {
		return err
	}
	list, next, wrong := q.Service.LeasesIn(r, q.FormValue("nextFlag"), count)
	if wrong != nil {
		return refused(wrong)
	}
	out := &LeasesPage{Leases: []LeaseRow{}, NextFlag: next, At: events.TimeOf(time.Now())}
	for _, l := range list {
		row := LeaseRow{UserID: l.UserID, SessionID: l.SessionID, LeaseSeconds: l.Seconds, EndsAt: l.EndAt, Over: l.Over}
		if l.EndAt != 0 {
			row.LastSignAt = l.EndAt - events.Time(l.Seconds)*1000
		}
		out.Leases = append(out.Leases, row)
	}
	return send(w, http.StatusOK, out)
}

// roomOf is the room that a request names.
func roomOf(q *request) (subjects.Room, error) {
	r, err := subjects.ParseRoom(q.FormValue("room"))
	if err != nil {
		return "", refused(room.Invalid("room", "%v", err))
	}
	return r, nil
}
