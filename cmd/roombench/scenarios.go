package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/micro"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// scenario is one thing to measure.
type scenario struct {
	name    string
	groups  []string // names that mean this one and others
	feeds   bool     // whether it needs a service with feeds
	measure func(b *bench, run string) (Result, error)
}

// Groups of scenarios. The first two are the shapes.
const (
	shapeRequests = "requests"
	shapeClients  = "clients"
	groupStorm    = "storm"
	groupLarge    = "large"
	groupScale    = "scale"
)

var (
	ofRequests = []string{shapeRequests}
	ofLarge    = []string{shapeRequests, groupLarge}
	ofClients  = []string{shapeClients}
)

// scenarios is all there are with these options.
func scenarios(o Options) []scenario {
	list := []scenario{
		{"join-hot", ofRequests, false, func(b *bench, run string) (Result, error) { return b.joins(run, 1, b.Count) }},
		{"join-spread", ofRequests, false, func(b *bench, run string) (Result, error) { return b.joins(run, b.Rooms, b.Count) }},
		{"join-distinct", ofRequests, false, func(b *bench, run string) (Result, error) { return b.joins(run, b.Count/2, b.Count/2) }},
		{"join-hot-plain", ofRequests, false, (*bench).joinsPlain},
		{"switch", ofRequests, false, (*bench).switches},
		{"latency", ofRequests, false, (*bench).latency},
		{"fanout", ofRequests, false, (*bench).fanout},
		{"refusals", ofRequests, false, (*bench).refusals},
		{"join-large", ofLarge, false, (*bench).joinLarge},
		{"leave-large", ofLarge, false, (*bench).leaveLarge},
		{"members-large", ofLarge, false, (*bench).membersLarge},
		{"send", ofRequests, false, (*bench).sends},
		{"messages-fanout", ofRequests, false, (*bench).messagesFanout},
		{"attributes-hot", ofRequests, false, (*bench).attributes},
		{"join-beside", ofRequests, false, (*bench).joinBeside},
		{"leave-beside", ofRequests, false, (*bench).leaveBeside},
		{"identity", ofRequests, false, (*bench).identity},
		{"feeds", ofRequests, true, (*bench).feeds},
		{"open", ofRequests, true, (*bench).open},
	}
	for _, feeds := range []bool{false, true} {
		list = append(list,
			scenario{"clients-spread" + form(feeds), ofClients, feeds, func(b *bench, _ string) (Result, error) { return b.crowd(b.Rooms, feeds) }},
			scenario{"clients-hot" + form(feeds), ofClients, feeds, func(b *bench, _ string) (Result, error) { return b.crowd(1, feeds) }},
			scenario{"clients-one" + form(feeds), ofClients, feeds, func(b *bench, _ string) (Result, error) { return b.alone(feeds) }},
			scenario{"clients-fanout" + form(feeds), ofClients, feeds, func(b *bench, _ string) (Result, error) { return b.speaker(feeds) }})
	}
	for _, n := range o.Storm {
		for _, feeds := range []bool{false, true} {
			list = append(list, scenario{fmt.Sprintf("storm-%d%s", n, form(feeds)), []string{groupStorm}, feeds, func(b *bench, _ string) (Result, error) { return b.storm(n, feeds) }})
		}
	}
	for _, n := range o.Memberships {
		list = append(list, scenario{fmt.Sprintf("scale-%d", n), []string{groupScale}, false, func(b *bench, _ string) (Result, error) { return b.scale(n) }})
	}
	return list
}

// form is the end of the names of scenarios in which clients are end users on feeds.
func form(feeds bool) string {
	if feeds {
		return "-feeds"
	}
	return ""
}

var errRefused = errors.New("refused")

// ask sends a command and reads its reply into v, unless that is nil.
func (b *bench) ask(worker int, verb room.Verb, body, v any) error {
	return b.askAt(worker, subjects.Command(string(verb)), body, v)
}

// askAs sends a command in the user form.
func (b *bench) askAs(worker int, verb room.Verb, user string, body, v any) error {
	return b.askAt(worker, subjects.UserCommand(string(verb), subjects.User(user)), body, v)
}

func (b *bench) askAt(worker int, subject string, body, v any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	m, err := b.conn(worker).Request(subject, data, requestTimeout)
	if err != nil {
		return err
	}
	if m.Header.Get(micro.ErrorHeader) != "" {
		return fmt.Errorf("%w: %s", errRefused, m.Data)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(m.Data, v)
}

func (b *bench) join(w int, roomID, user string, v any) error {
	return b.ask(w, room.Join, &room.RoomRequest{RoomID: roomID, Caller: room.Caller{UserID: user}}, v)
}

// make creates rooms without members.
func (b *bench) make(run string, n int) error {
	_, err := b.each(n, min(n, b.InFlight), func(w, i int) error {
		return b.ask(w, room.Create, &room.CreateRequest{RoomID: roomName(run, i), Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay}}, nil)
	})
	if err != nil {
		return err
	}
	return b.settled()
}

func roomName(run string, i int) string { return fmt.Sprintf("%s-%d", run, i) }

func userName(i int) string { return fmt.Sprintf("user-%d", i) }

// joins measures n joins, each by another user, spread over rooms.
func (b *bench) joins(run string, rooms, n int) (Result, error) {
	return b.joinsBeside(run, rooms, n, true)
}

// joinsPlain is join-hot compared with an append to a stream that republishes nothing.
func (b *bench) joinsPlain(run string) (Result, error) { return b.joinsBeside(run, 1, b.Count, false) }

func (b *bench) joinsBeside(run string, rooms, n int, republish bool) (Result, error) {
	if err := b.make(run, rooms); err != nil {
		return Result{}, err
	}
	base, err := b.appendRaw(b.Count, b.InFlight, republish)
	if err != nil {
		return Result{}, err
	}
	from := b.head()
	t, err := b.each(n, b.InFlight, func(w, i int) error { return b.join(w, roomName(run, i%rooms), userName(i), nil) })
	if err != nil {
		return Result{}, err
	}
	r := compared(t, base, "append")
	if !republish {
		r.Baseline = "append, plain stream"
	}
	want := make(map[place]struct{}, n)
	for i := range n {
		want[place{roomName(run, i%rooms), userName(i)}] = struct{}{}
	}
	r.Facts, err = b.verifyJoins(from, want)
	return r, err
}

// switches measures users that switch from room to room.
func (b *bench) switches(run string) (Result, error) {
	if err := b.make(run, b.Rooms); err != nil {
		return Result{}, err
	}
	from := b.head()
	at := make([]int, b.InFlight)
	_, err := b.each(b.InFlight, b.InFlight, func(w, i int) error {
		at[i] = i % b.Rooms
		return b.join(w, roomName(run, at[i]), userName(i), nil)
	})
	if err != nil {
		return Result{}, err
	}
	base, err := b.appendRaw(b.Count, b.InFlight, true)
	if err != nil {
		return Result{}, err
	}
	t, err := b.each(b.Count/3, b.InFlight, func(w, _ int) error {
		to := (at[w] + 1 + rand.IntN(b.Rooms-1)) % b.Rooms
		err := b.ask(w, room.Switch, &room.SwitchRequest{
			Caller: room.Caller{UserID: userName(w)}, FromRoomID: roomName(run, at[w]), ToRoomInfo: room.RoomInfo{RoomID: roomName(run, to)},
		}, nil)
		at[w] = to
		return err
	})
	if err != nil {
		return Result{}, err
	}
	r := compared(t, base, "append")
	want := make(map[place]struct{}, len(at))
	for i, to := range at {
		want[place{roomName(run, to), userName(i)}] = struct{}{}
	}
	r.Facts, err = b.verifyPlaces(from, want)
	return r, err
}

// latency is one join at a time, compared with an echo followed by an append.
func (b *bench) latency(run string) (Result, error) {
	n := b.Count / 30
	if err := b.make(run, 1); err != nil {
		return Result{}, err
	}
	echo, err := b.echo(n, 1)
	if err != nil {
		return Result{}, err
	}
	base, err := b.appendRaw(n, 1, true)
	if err != nil {
		return Result{}, err
	}
	t, err := b.each(n, 1, func(w, i int) error { return b.join(w, roomName(run, 0), userName(i), nil) })
	r := compared(t, base, "echo p50 + append p50")
	r.Base = 1000 / (echo.at(0.5) + base.at(0.5))
	r.Ratio = t.at(0.5) / (echo.at(0.5) + base.at(0.5))
	r.Floor = "p50 as a multiple; less is better"
	return r, err
}

// refusals measures joins of rooms that do not exist; each needs a sync point.
func (b *bench) refusals(run string) (Result, error) {
	base, err := b.echo(b.Count, b.InFlight)
	if err != nil {
		return Result{}, err
	}
	t, err := b.each(b.Count, b.InFlight, func(w, i int) error {
		err := b.join(w, roomName(run, i%b.Rooms), userName(i), nil)
		if errors.Is(err, errRefused) {
			return nil
		}
		return fmt.Errorf("a join into a room that does not exist was answered with %v", err)
	})
	return compared(t, base, "echo"), err
}

// inTurn does one operation at a time, n measured ones and n of their baseline by turns, so
// that both see the machine in the same state. op's even calls are the measured ones.
func (b *bench) inTurn(n int, baseline string, op func(i int) error) (Result, error) {
	return b.byTurns(n, baseline, func(i int) (time.Duration, error) {
		at := time.Now()
		err := op(i)
		return time.Since(at), err
	})
}

// byTurns is inTurn for an op that says itself how long it took.
func (b *bench) byTurns(n int, baseline string, op func(i int) (time.Duration, error)) (Result, error) {
	var t [2]timing
	_, err := b.each(2*n, 1, func(_, i int) error {
		took, err := op(i)
		t[i%2].took = append(t[i%2].took, took)
		return err
	})
	for i := range t {
		t[i].n = n
		for _, d := range t[i].took {
			t[i].seconds += d.Seconds()
		}
		slices.Sort(t[i].took)
	}
	r := compared(t[0], t[1], baseline)
	r.Ratio = t[0].at(0.5) / t[1].at(0.5)
	r.Floor = "p50 as a multiple; less is better"
	return r, err
}
