package lead

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/roomtest"
)

// patience bounds every wait in these tests; no wait should take nearly as long.
const patience = 30 * time.Second

// instance is an election with two duties, which tell when a term begins and when it ends.
type instance struct {
	*testing.T
	*Election
	nc     *nats.Conn
	begun  chan *Term    // from the first duty of each term
	ended  chan struct{} // the same, when it returns
	fail   chan error    // makes the second duty fail
	looked chan struct{} // sent to when it has looked, and does not lead
	atWork atomic.Int32  // the duties at work
}

// newInstance makes an instance that does not stand yet.
func newInstance(t *testing.T, s *server.Server, name string) *instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	i := &instance{
		T: t, nc: roomtest.Conn(t, s), begun: make(chan *Term, 10), ended: make(chan struct{}, 10), fail: make(chan error), looked: make(chan struct{}, 1),
	}
	l := life.New(func(err error) { t.Errorf("%s failed: %v", name, err) })
	t.Cleanup(l.End)
	j, err := journal.Open(ctx, i.nc, journal.Settings{Keep: journal.MinKeep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	book, err := leases.Open(ctx, l, j, leases.Settings{Grace: time.Second}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	i.Election = New(Config{
		Life: l, Log: slog.New(slog.DiscardHandler), Journal: j, Stream: book.Stream(), Instance: name,
		Duties: []Duty{i.first, i.second}, Between: i.between,
	})
	return i
}

// first takes its time to return, like a duty that has something to finish.
func (i *instance) first(ctx context.Context, t *Term) error {
	if i.atWork.Add(1) > int32(len(i.Duties)) {
		i.Error("a term began before the duties of the previous one returned")
	}
	defer i.atWork.Add(-1)
	t.Begun()
	i.begun <- t
	<-ctx.Done()
	for range 20 {
		if err := i.nc.FlushTimeout(patience); err != nil {
			i.Error(err)
		}
	}
	i.ended <- struct{}{}
	return nil
}

func (i *instance) second(ctx context.Context, t *Term) error {
	if i.atWork.Add(1) > int32(len(i.Duties)) {
		i.Error("a term began before the duties of the previous one returned")
	}
	defer i.atWork.Add(-1)
	t.Begun()
	select {
	case err := <-i.fail:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (i *instance) between(context.Context) {
	if n := i.atWork.Load(); n > 0 {
		i.Errorf("%s does not lead, and %d of its duties are at work", i.Instance, n)
	}
	select {
	case i.looked <- struct{}{}:
	default:
	}
}

// stands begins to stand for the lead, and returns once it knows whether it leads.
func (i *instance) stands() *instance {
	i.Helper()
	i.Life.Go(i.Election.Run)
	wait(i.T, i.Known(), i.Instance+" to know whether it leads")
	return i
}

// wait receives from a channel.
func wait[E any](t *testing.T, from <-chan E, what string) (e E) {
	t.Helper()
	select {
	case e = <-from:
	case <-time.After(patience):
		t.Fatalf("waiting for %s", what)
	}
	return e
}

// held is what the key says, and the headers it says it with.
func (i *instance) held() (string, nats.Header) {
	i.Helper()
	ctx, cancel := context.WithTimeout(i.Context(), patience)
	defer cancel()
	m, err := i.Stream.GetLastMsgForSubject(ctx, key)
	if err != nil {
		i.Fatal(err)
	}
	return string(m.Data), m.Header
}

// put stores the key as somebody would who does not look at what is there.
func (i *instance) put(data string, h nats.Header) {
	i.Helper()
	ctx, cancel := context.WithTimeout(i.Context(), patience)
	defer cancel()
	if _, err := i.Journal.Store(ctx, []journal.Entry{{Subject: key, Header: h, Data: []byte(data)}}); err != nil {
		i.Fatal(err)
	}
}

// One of two instances leads. When it ends in order, the other one leads at once and does not
// wait until the key expires.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t)
	late := roomtest.Measure(t, s.ClientURL())
	a, b := newInstance(t, s, "a").stands(), newInstance(t, s, "b").stands()
	wait(t, a.begun, "a's term")
	wait(t, b.looked, "b's look")
	if len(b.begun) > 0 {
		t.Fatal("both lead")
	}
	if data, h := a.held(); data != `{"instance":"a"}` || h.Get(jetstream.MsgTTLHeader) != TTL.String() {
		t.Errorf("the key is %s, %v", data, h)
	}
	stopped := time.Now()
	a.Life.End()
	if len(a.ended) != 1 || a.atWork.Load() != 0 {
		t.Error("it ended before its duties")
	}
	wait(t, b.begun, "b's term")
	if took := time.Since(stopped); !late.Within(took, TTL-Renew, stopped) {
		t.Errorf("nobody led for %v", took)
	}
	if data, _ := b.held(); data != `{"instance":"b"}` {
		t.Errorf("the key is %s", data)
	}
}

// An instance that ends in order gives up the key, unless another instance already has it.
func TestResigns(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t)
	a, b := newInstance(t, s, "a").stands(), newInstance(t, s, "b")
	wait(t, a.begun, "a's term")
	a.Life.End()
	if data, h := b.held(); data != "" || !journal.IsMarker(h) {
		t.Errorf("the key is %s, %v", data, h)
	}
	b.stands()
	wait(t, b.begun, "b's term")
	b.put(`{"instance":"c"}`, nil)
	b.Life.End()
	if data, _ := a.held(); data != `{"instance":"c"}` {
		t.Errorf("the key is %q", data)
	}
}

// A new instance under the name of the leading one takes the lead at once. That is how the old
// one learns that its term is over.
func TestOwnName(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t)
	late := roomtest.Measure(t, s.ClientURL())
	old, young := newInstance(t, s, "a").stands(), newInstance(t, s, "a")
	wait(t, old.begun, "the old one's term")
	began := time.Now()
	young.stands()
	wait(t, young.begun, "the new one's term")
	if took := time.Since(began); !late.Within(took, TTL-Renew, began) {
		t.Errorf("it waited for %v", took)
	}
	wait(t, old.ended, "the end of the old one's term")
}

// When another instance takes the key, the term is over. The instance that lost it follows,
// and leads again once the key is free.
func TestLostKey(t *testing.T) {
	t.Parallel()
	s := roomtest.Server(t)
	late := roomtest.Measure(t, s.ClientURL())
	a := newInstance(t, s, "a").stands()
	wait(t, a.begun, "its term")
	taken := time.Now()
	a.put(`{"instance":"b"}`, nil)
	wait(t, a.ended, "the end of its term")
	if took := time.Since(taken); !late.Within(took, TTL-Renew, taken) {
		t.Errorf("it kept leading for %v, and did not notice when it renewed the key", took)
	}
	wait(t, a.looked, "what is between two terms")
	wait(t, a.looked, "a look at a key that another instance has")
	if len(a.begun) > 0 {
		t.Error("it leads by a key that another instance has")
	}
	if data, _ := a.held(); data != `{"instance":"b"}` {
		t.Errorf("the key is %s", data)
	}
	a.put("", nats.Header{journal.OperationHeader: {"DEL"}})
	wait(t, a.begun, "its next term")
}

// A duty that fails ends the term. All duties have returned before the instance stands again;
// this is checked where they begin, and between terms.
func TestFailedDuty(t *testing.T) {
	t.Parallel()
	a := newInstance(t, roomtest.Server(t), "a").stands()
	for range 3 {
		wait(t, a.begun, "a term")
		a.fail <- errors.New("it can't go on")
		wait(t, a.ended, "the end of the term")
	}
	wait(t, a.begun, "the last term")
}

// A duty that returns without an error leaves the others at work.
func TestDutyThatIsDone(t *testing.T) {
	t.Parallel()
	a := newInstance(t, roomtest.Server(t), "a").stands()
	wait(t, a.begun, "its term")
	a.fail <- nil
	renewed(t, a)
	if len(a.ended) > 0 {
		t.Error("the term is over")
	}
}

// renewed waits until the key has been stored twice more: what follows the first time is then
// done.
func renewed(t *testing.T, i *instance) {
	t.Helper()
	stored := make(chan *nats.Msg, 10)
	sub, err := i.nc.ChanSubscribe(key, stored)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	wait(t, stored, "a renewal")
	wait(t, stored, "another renewal")
}

// The lead is known when the duties have begun. It ends when its last claim has run out,
// counted from when the claim was sent.
func TestKnownAndUntil(t *testing.T) {
	t.Parallel()
	i := newInstance(t, roomtest.Server(t), "a")
	begin, at := make(chan struct{}), make(chan *Term, 1)
	i.Duties = []Duty{func(ctx context.Context, t *Term) error {
		at <- t
		<-begin
		t.Begun()
		<-ctx.Done()
		return nil
	}, func(ctx context.Context, t *Term) error { // a duty that returns has begun
		return nil
	}}
	before := time.Now()
	i.Life.Go(i.Election.Run)
	free := sync.OnceFunc(func() { close(begin) })
	t.Cleanup(free)
	term := wait(t, at, "the duty")
	if first := term.Until(); first.Before(before.Add(TTL)) || first.After(time.Now().Add(TTL)) {
		t.Errorf("it leads until %v, which is %v from now", first, time.Until(first))
	}
	select {
	case <-i.Known():
		t.Error("the lead is known before its duty has begun")
	default:
	}
	free()
	wait(t, i.Known(), "the lead to be known")
	first := term.Until()
	renewed(t, i)
	if last := term.Until(); last.Sub(first) < Renew/2 || last.After(time.Now().Add(TTL)) {
		t.Errorf("after a renewal it leads until %v, before it until %v", last, first)
	}
}

// An instance that can't find out whether it leads does not keep those waiting who want to
// know.
func TestKnownWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	i := newInstance(t, roomtest.Server(t), "a")
	other, err := i.Journal.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "ANOTHER", Subjects: []string{"another"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Journal.JetStream().DeleteStream(t.Context(), "ANOTHER"); err != nil {
		t.Fatal(err)
	}
	i.Stream = other // which no longer exists
	i.stands()
	wait(t, i.looked, "its look")
	if len(i.begun) > 0 {
		t.Error("it leads")
	}
}

// A key that is not renewed and does not go, as when the server's clock was set back, keeps
// nobody from the lead for longer than its term.
func TestStaleKey(t *testing.T) {
	t.Parallel()
	a := newInstance(t, roomtest.Server(t), "a")
	a.put(`{"instance":"dead"}`, nil)
	began := time.Now()
	a.stands()
	wait(t, a.begun, "a term")
	if took := time.Since(began); took < TTL {
		t.Errorf("it leads after %v, when the other one might still lead", took)
	}
}
