package roomsvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/blocks"
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/conns"
	"natsrooms/roomsvc/guard"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// userDoor knows which connections end users have, and ends those of users who are cut off.
type userDoor struct {
	life   *life.Life
	log    *slog.Logger
	nc     *nats.Conn
	system *nats.Conn                // in the system account; nil: there is no way in
	only   string                    // ID of the NATS server, if there is no other
	end    func(client uint64) error // ends a connection to it, if it is in this process; else nil
	limits func() *room.Limits
	guard  *guard.Guard          // nil: nobody connects as an end user
	closed func(room.Connection) // is told of every client's connection that has closed
	warden *blocks.Warden

	goodKey func(key uint64) bool // which keys of tokens are good now; nil: all

	connections guard.Connections
	marks       blocks.Marks                          // of the tokens that connections were let in with
	good        atomic.Pointer[func(key uint64) bool] // which keys of tokens are good; nil: those that there were at the start
	toEnd       chan subjects.User                    // whose connections are to be ended; nil: nobody can end any
}

const (
	crowdEvery = 5 * time.Second // connections with too many subscriptions are looked for

	endings = 64               // users whose connections may wait to be ended
	endWait = 10 * time.Second // for the servers to say what is open, and to end it
)

// admit says why somebody with a token may not have a connection now; nil if it may.
func (d *userDoor) admit(ctx context.Context, b room.Bearer) error {
	mark := blocks.MarkOf(&b)
	if err := d.warden.Book.Bars(mark); err != nil {
		return err
	}
	if d.guard != nil && !b.BackEnd {
		if err := d.admitUser(ctx, b.User, b.Connection); err != nil {
			return err
		}
	}
	d.letIn(b.Connection, mark)
	return nil
}

// refuses says whether a token is refused now. It is judged by its key if that is known.
func (d *userDoor) refuses(m room.TokenMark) bool {
	return d.warden.Book.Bars(m) != nil || d.goodKey != nil && m.Key != 0 && !d.goodKey(m.Key)
}

// admitUser says why an end user may not have one more connection now; nil if it may.
func (d *userDoor) admitUser(ctx context.Context, u subjects.User, c room.Connection) error {
	now := time.Now()
	if until := d.guard.CutOff(now, u); !until.IsZero() {
		return fmt.Errorf("%q is cut off until %s", u, until.UTC().Format(time.RFC3339))
	}
	most := d.limits().UserConnections
	if most == 0 {
		return nil
	}
	ok, full := d.connections.Ask(now, u, c, most)
	if full && d.system != nil { // the word that one has closed may have been lost
		open, err := conns.New(d.system, d.nc, d.only).Of(ctx, u)
		if err == nil {
			d.connections.Are(u, open)
			ok, _ = d.connections.Ask(now, u, c, most)
		}
	}
	if !ok {
		return fmt.Errorf("%q has as many connections as the %d that a user may have, or connects too often", u, most)
	}
	return nil
}

// hearConnections learns from the system account which clients' connections open and close.
func (d *userDoor) hearConnections() error {
	if d.system == nil {
		return nil
	}
	err := d.hear(subjects.Disconnects, func(_ string, c room.Connection) {
		d.closed(c)
		d.connections.Closed(c)
		d.marks.Closed(c)
	})
	if err == nil && d.guard != nil {
		err = d.hear(subjects.Connects, d.opened)
		d.toEnd = make(chan subjects.User, endings)
		d.life.Go(d.endAll)
	}
	if err != nil {
		return err
	}
	return d.system.FlushTimeout(commit.Timeout)
}

// opened learns of a connection that is open. It may have been let in before its user was blocked.
func (d *userDoor) opened(name string, c room.Connection) {
	if u, ok := subjects.UserOfConnection(name); ok {
		d.connections.Opened(u, c)
	}
	if u, ok := subjects.BearerOfConnection(name); ok {
		d.marks.Opened(c)
		d.endUnlessGood(c)
		if m, known := d.marks.Of(c); known && d.warden.Book.Bars(m) != nil || d.warden.Book.Refused(u) != nil {
			d.warden.Look(u)
		}
	}
}

// hear passes on what servers announce about clients' connections, with the names of their
// users.
func (d *userDoor) hear(subject string, tell func(name string, c room.Connection)) error {
	sub, err := d.system.Subscribe(subject, func(m *nats.Msg) {
		var e struct {
			Server struct {
				ID string `json:"id"`
			} `json:"server"`
			Client struct {
				ID   uint64 `json:"id"`
				User string `json:"user"`
			} `json:"client"`
		}
		if json.Unmarshal(m.Data, &e) == nil && e.Client.ID != 0 {
			tell(e.Client.User, room.Connection{ServerID: e.Server.ID, ClientID: e.Client.ID})
		}
	})
	if err == nil {
		context.AfterFunc(d.life, func() { _ = sub.Unsubscribe() })
	}
	return err
}

// cutOff is what instances tell each other of a user who is cut off.
type cutOff struct {
	User  string      `json:"userID"`
	Until events.Time `json:"until"`
}

func (d *userDoor) tellCutOff(u subjects.User, until time.Time) {
	data, err := json.Marshal(cutOff{string(u), events.TimeOf(until)})
	if err == nil {
		_ = d.nc.Publish(subjects.CutOff, data) // or each instance finds out for itself
	}
}

// hearCutOffs learns whom other instances cut off.
func (d *userDoor) hearCutOffs() error {
	sub, err := d.nc.Subscribe(subjects.CutOff, func(m *nats.Msg) {
		var c cutOff
		if json.Unmarshal(m.Data, &c) != nil {
			return
		}
		if u, err := subjects.ParseUser(c.User); err == nil {
			d.guard.CutOffUntil(u, c.Until.Time())
		}
	})
	if err == nil {
		context.AfterFunc(d.life, func() { _ = sub.Unsubscribe() })
	}
	return err
}

// endConnections has a user's connections ended: at once those to a server in this process, and
// soon whatever is open in spite of that. If too many wait for that, it happens when the user
// goes on.
func (d *userDoor) endConnections(u subjects.User) {
	if d.end != nil { // here: on a machine that is busy with the user's flood, another goroutine would begin late
		for _, c := range d.connections.Of(u) {
			if c.ServerID == d.only {
				_ = d.end(c.ClientID) // or it has ended
			}
		}
	}
	select {
	case d.toEnd <- u:
	default:
	}
}

// endAll ends connections of users as long as the life lasts.
func (d *userDoor) endAll() {
	servers := conns.New(d.system, d.nc, d.only)
	look := time.NewTicker(crowdEvery)
	defer look.Stop()
	for {
		select {
		case <-d.life.Done():
			return
		case <-look.C:
			d.endCrowded(servers)
		case u := <-d.toEnd:
			if err := d.endAllOf(servers, u); err != nil && !d.life.Over() {
				d.log.Debug("ending the connections of a user", "user", u, "error", err)
			}
		}
	}
}

// endCrowded ends connections of end users that have too many subscriptions: the NATS server has
// no limit for those whom somebody else lets in.
func (d *userDoor) endCrowded(servers *conns.Servers) {
	most := d.limits().UserSubscriptions
	if most == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(d.life, endWait)
	defer cancel()
	crowded, err := servers.Crowded(ctx, most)
	err = endEach(ctx, servers, crowded, err)
	if len(crowded) > 0 {
		d.log.Warn("connections of end users are ended that have more subscriptions than they may", "connections", len(crowded), "limit", most, "error", err)
	}
}

// endAllOf ends what the servers say is open.
func (d *userDoor) endAllOf(servers *conns.Servers, u subjects.User) error {
	ctx, cancel := context.WithTimeout(d.life, endWait)
	defer cancel()
	open, err := servers.Of(ctx, u)
	return endEach(ctx, servers, open, err)
}

// endEach ends connections, and returns the last error, or the one that there was before.
func endEach(ctx context.Context, servers *conns.Servers, list []room.Connection, err error) error {
	for _, c := range list {
		if e := servers.End(ctx, c); e != nil {
			err = e
		}
	}
	return err
}

// forget drops what no longer counts.
func (d *userDoor) forget(now time.Time) {
	if d.guard != nil {
		d.guard.Forget(now)
		d.marks.Forget(now)
		d.connections.Forget(now)
	}
}

// letIn is what instances tell each other of a connection that one of them lets in.
type letIn struct {
	room.Connection `json:",embed"`
	blocks.Mark     `json:",embed"`
}

// letIn remembers with which token a connection is let in, here and at other instances: any of
// them may have to end it.
func (d *userDoor) letIn(c room.Connection, m blocks.Mark) {
	if d.system == nil && d.end == nil {
		return // nobody can
	}
	d.marks.Put(c, m)
	data, err := json.Marshal(&letIn{c, m})
	if err == nil {
		_ = d.nc.Publish(subjects.LetIn, data) // or the token is not known there
	}
}

// hearLetIn learns which connections other instances let in.
func (d *userDoor) hearLetIn() error {
	sub, err := d.nc.Subscribe(subjects.LetIn, func(m *nats.Msg) {
		var l letIn
		if json.Unmarshal(m.Data, &l) == nil && l.ClientID != 0 {
			d.marks.Put(l.Connection, l.Mark)
		}
	})
	if err == nil {
		context.AfterFunc(d.life, func() { _ = sub.Unsubscribe() })
	}
	return err
}

// endBarred ends those of a user's connections that the book bars. What the user was told before
// is on its way first.
func (d *userDoor) endBarred(ctx context.Context, u subjects.User) error {
	_ = d.nc.FlushWithContext(ctx)
	bars := func(c room.Connection) bool { return d.warden.Book.BarsConnection(&d.marks, u, c) != nil }
	if d.end != nil {
		for _, c := range d.connections.Of(u) {
			if c.ServerID == d.only && bars(c) {
				_ = d.end(c.ClientID) // or it has ended
			}
		}
	}
	if d.system == nil {
		return nil
	}
	servers := conns.New(d.system, d.nc, d.only)
	var failed error
	for _, of := range []func(context.Context, subjects.User) ([]room.Connection, error){servers.Of, servers.OfBackEnd} {
		open, err := of(ctx, u)
		failed = errors.Join(failed, err)
		for _, c := range open {
			if bars(c) {
				failed = errors.Join(failed, servers.End(ctx, c))
			}
		}
	}
	return failed
}

// endAllBarred does it for all users.
func (d *userDoor) endAllBarred(ctx context.Context) error {
	_, err := d.endThose(ctx, func(u subjects.User, c room.Connection) bool {
		return d.warden.Book.BarsConnection(&d.marks, u, c) != nil
	})
	return err
}

// keysChanged ends connections that were let in with a token of a key that is not good any more.
func (d *userDoor) keysChanged(ctx context.Context, good func(key uint64) bool) (ended int, err error) {
	d.good.Store(&good)
	return d.endThose(ctx, func(_ subjects.User, c room.Connection) bool {
		m, known := d.marks.Of(c)
		return !known || !good(m.Key)
	})
}

// endUnlessGood ends a connection that opens when its token's key is not good any more: it was let
// in before that was known.
func (d *userDoor) endUnlessGood(c room.Connection) {
	good := d.good.Load()
	if m, known := d.marks.Of(c); good == nil || !known || (*good)(m.Key) {
		return
	}
	d.life.Go(func() {
		ctx, cancel := context.WithTimeout(d.life, endWait)
		defer cancel()
		if err := conns.New(d.system, d.nc, d.only).End(ctx, c); err != nil && !d.life.Over() {
			d.log.Warn("ending a connection with a token of a key that is gone", "error", err)
		}
	})
}

// endThose ends connections with tokens, and returns how many.
func (d *userDoor) endThose(ctx context.Context, bad func(subjects.User, room.Connection) bool) (ended int, err error) {
	if d.system == nil {
		return 0, nil
	}
	servers := conns.New(d.system, d.nc, d.only)
	open, err := servers.WithTokens(ctx, bad)
	for _, c := range open {
		if e := servers.End(ctx, c); e != nil {
			err = errors.Join(err, e)
		} else {
			ended++
		}
	}
	return ended, err
}
