package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

// MarkerTTL is how long a marker is kept.
const MarkerTTL = time.Minute

// alone is how long a second journal may take to answer.
const alone = 2 * time.Second

// checkAlone looks for a second journal before this instance makes or uses its own. A second
// one that takes longer to answer shows itself later, see [Journal.Guard].
func (a *acks) checkAlone(ctx context.Context, js jetstream.JetStream) error {
	_, err := streams.Find(ctx, js, subjects.StreamRooms)
	if err == nil && a.domain == "" {
		return nil // most servers have no domain and no neighbours, and need not wait for any
	}
	found := a.census(ctx)
	if ctx.Err() != nil { // there was no time to hear of others
		return ctx.Err()
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) && len(found) > 0 {
		// Another instance may just have made it.
		if _, err = streams.Find(ctx, js, subjects.StreamRooms); errors.Is(err, jetstream.ErrStreamNotFound) {
			return a.notHere(found[0])
		}
	}
	if err := a.elsewhere(found); err != nil {
		return err
	}
	if len(found) > 1 {
		return a.confirm(ctx)
	}
	return nil
}

// notHere says that an instance that starts here would make a second journal.
func (a *acks) notHere(other place) error {
	if other.domain == "" {
		return fmt.Errorf("%w: in the stream %s of a JetStream without a domain, which nobody can use from %s; nothing was made here. Connect to a server that has that JetStream, or give it a domain and name that (--js-domain, JSDomain of roomsvc.Config). %s", ErrElsewhere, other.stream, a.nc.ConnectedUrlRedacted(), apart)
	}
	return fmt.Errorf("%w: in the stream %v; nothing was made here. To serve those rooms from %s, name that domain (--js-domain %s, JSDomain of roomsvc.Config). %s", ErrElsewhere, other, a.nc.ConnectedUrlRedacted(), other.domain, apart)
}

// confirm makes sure that more than one stream stores what is appended. While the leader of a
// replicated stream changes, two servers might answer for it, but not again and again.
func (a *acks) confirm(ctx context.Context) error {
	for range 2 {
		found := a.census(ctx)
		if len(found) < 2 {
			return nil
		}
		if err := a.elsewhere(found); err != nil {
			a.silence()
			return err
		}
	}
	ours := place{subjects.StreamRooms, a.domain}
	a.silence()
	return rivals(ours, ours)
}

// elsewhere returns an error if one of the streams is in another domain than this instance's.
func (a *acks) elsewhere(found []place) error {
	for _, p := range found {
		if p.domain != a.domain {
			return rivals(place{subjects.StreamRooms, a.domain}, p)
		}
	}
	return nil
}

// takers is how many streams take markers. They are asked to store one on a condition that none
// of them meets, so nothing is stored.
func (a *acks) takers(ctx context.Context) (n int) {
	a.ask(ctx, nats.Header{jetstream.ExpectedStreamHeader: {"=" + subjects.StreamRooms}}, func(ackBody) { n++ })
	return n
}

// census appends a marker and returns the streams that stored it.
func (a *acks) census(ctx context.Context) (found []place) {
	a.ask(ctx, nats.Header{jetstream.MsgTTLHeader: {MarkerTTL.String()}}, func(ack ackBody) {
		if ack.Seq > 0 {
			found = append(found, ack.place())
		}
	})
	return found
}

// ask sends a marker and takes what answers it until the time for that is over.
func (a *acks) ask(ctx context.Context, h nats.Header, take func(ackBody)) {
	inbox := a.nc.NewInbox()
	sub, err := a.nc.SubscribeSync(inbox)
	if err != nil {
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	if a.nc.PublishMsg(&nats.Msg{Subject: subjects.Sync, Reply: inbox, Header: h}) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, alone)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil { // the time is over, or nobody takes the subject
			return
		}
		if ack, err := parseAck(m); err == nil {
			take(ack)
		}
	}
}
