package roomsvc

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/blocks"
	"natsrooms/roomsvc/conns"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

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
