package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// What top costs the service in each interval, however many rooms there are and however much
// happens: the NATS server sends it at most mostHeard facts and as many messages, since it ends
// the subscription itself after that; each instance says once how it is; and at most mostAsked
// rooms are asked about, besides one page of rooms.
const (
	mostHeard  = 500
	mostAsked  = 10
	mostListed = 40
	keptProbes = 100 // of which so many times are kept
	keptRooms  = 2000
	fading     = 0.6 // of a rate stays from one interval to the next
	faded      = 0.005
	askAgain   = 30 * time.Second // before a room's members are asked for again
)

// busy is a room as top shows it.
type busy struct {
	Room     string  `json:"roomID"`
	Name     string  `json:"roomName,omitzero"`
	Facts    float64 `json:"factsPerSecond"`
	Messages float64 `json:"messagesPerSecond"`
	Members  int     `json:"members"` // -1: not known
	asked    time.Time
}

func (b *busy) rate() float64 { return b.Facts + b.Messages }

// snapshot is what top knows at a moment.
type snapshot struct {
	Time      time.Time          `json:"time"`
	Server    string             `json:"server"`
	RTT       float64            `json:"rttMs"`
	P50       float64            `json:"p50Ms"` // of small commands
	P99       float64            `json:"p99Ms"`
	Facts     float64            `json:"factsPerSecond"`
	Messages  float64            `json:"messagesPerSecond"`
	Sampled   bool               `json:"sampled"`  // more happened than was listened to
	Commands  map[string]float64 `json:"commands"` // a second, by verb
	Instances []instance         `json:"instances"`
	Rooms     []busy             `json:"rooms"`            // the busiest ones first
	Lacks     []string           `json:"lacks,omitzero"`   // what this connection may not do
	Trouble   string             `json:"trouble,omitzero"` // why figures are missing
}

// sampler looks at the service again and again.
type sampler struct {
	*session
	rooms    *client.Client
	interval time.Duration

	known  map[string]*busy
	trips  []time.Duration
	before []instance
	when   time.Time // of before
	listed time.Time // when a page of rooms was last asked for
	denied map[string]bool
}

func newSampler(s *session, interval time.Duration) *sampler {
	return &sampler{session: s, rooms: s.watcher(), interval: interval, known: map[string]*busy{}, denied: map[string]bool{}}
}

// sample takes an interval, and says what there was in it.
func (p *sampler) sample(ctx context.Context) (*snapshot, error) {
	if !p.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	shot := &snapshot{Server: p.place(), Commands: map[string]float64{}}
	began := time.Now()
	if trip, err := p.nc.RTT(); err == nil {
		shot.RTT = ms(trip)
	}
	if err := p.timeCommands(ctx, shot); err != nil {
		return nil, err
	}
	if err := p.instances(ctx, shot); err != nil {
		return nil, err
	}
	if err := p.listen(ctx, shot, p.interval-time.Since(began)); err != nil {
		return nil, err
	}
	p.askMembers(ctx, shot)
	shot.Time, shot.Rooms = time.Now(), p.busiest()
	shot.Lacks = slices.Sorted(maps.Keys(p.denied))
	return shot, nil
}

func ms(t time.Duration) float64 { return float64(t) / float64(time.Millisecond) }

// may asks something unless it was forbidden before.
func (p *sampler) may(ctx context.Context, what string, ask func(context.Context) error) error {
	if p.denied[what] {
		return nil
	}
	err := p.asking(ctx, p.Timeout+p.interval, ask)
	if errors.Is(err, errForbidden) {
		p.denied[what] = true
		return nil
	}
	return err
}

func (p *sampler) timeCommands(ctx context.Context, shot *snapshot) error {
	err := p.may(ctx, subjects.Command("list"), func(ctx context.Context) error {
		trips, err := p.roundTrips(ctx, p.rooms)
		p.trips = append(p.trips, trips...)
		return err
	})
	if errors.Is(err, client.ErrNoService) {
		shot.Trouble, err = "no room service answers", nil
	}
	if refused := (*room.Error)(nil); errors.As(err, &refused) {
		shot.Trouble, err = printable(refused.Message), nil
	}
	if n := len(p.trips) - keptProbes; n > 0 {
		p.trips = p.trips[n:]
	}
	if n := len(p.trips); n > 0 {
		times := slices.Sorted(slices.Values(p.trips))
		shot.P50, shot.P99 = ms(times[n/2]), ms(times[min(n*99/100, n-1)])
	}
	return err
}

// instances also counts commands, as what was taken since the last time.
func (p *sampler) instances(ctx context.Context, shot *snapshot) error {
	var all []instance
	err := p.may(ctx, "$SRV.STATS."+subjects.MicroService, func(ctx context.Context) (err error) {
		all, err = p.session.instances(ctx)
		return err
	})
	if errors.Is(err, client.ErrNoService) {
		shot.Trouble, err = "no room service answers", nil
	}
	now := time.Now()
	if took := now.Sub(p.when).Seconds(); !p.when.IsZero() && took > 0 {
		for _, i := range all {
			at := slices.IndexFunc(p.before, func(b instance) bool { return b.Name == i.Name && b.Started.Equal(i.Started) })
			for verb, n := range i.Commands {
				if at >= 0 && n > p.before[at].Commands[verb] {
					shot.Commands[verb] += (n - p.before[at].Commands[verb]) / took
				}
			}
		}
		shot.Commands["list"] = max(shot.Commands["list"]-probes/took, 0) // ours
	}
	p.before, p.when, shot.Instances = all, now, all
	return err
}

// listen hears some of what happens.
func (p *sampler) listen(ctx context.Context, shot *snapshot, long time.Duration) error {
	long = max(long, p.interval/4)
	heard := map[string]*busy{}
	count := func(subject string, of func(string) (subjects.Room, bool), each func(*busy, *nats.Msg)) (total float64, all bool, err error) {
		var msgs []*nats.Msg
		took := long
		err = p.may(ctx, subject, func(ctx context.Context) (err error) {
			msgs, took, err = p.hear(ctx, subject, long/2)
			return err
		})
		for _, m := range msgs {
			id, ok := of(m.Subject)
			if !ok {
				continue
			}
			if heard[string(id)] == nil {
				heard[string(id)] = &busy{Room: string(id), Members: -1}
			}
			each(heard[string(id)], m)
		}
		per := 1 / max(took.Seconds(), 0.001)
		for _, b := range heard {
			if subject == subjects.FactsPattern {
				b.Facts *= per
			} else {
				b.Messages *= per
			}
		}
		return float64(len(msgs)) * per, len(msgs) < mostHeard, err
	}
	facts, allFacts, err := count(subjects.FactsPattern, subjects.RoomOfFacts, func(b *busy, m *nats.Msg) {
		b.Facts++
		if f, err := events.DecodeFact(m.Data); err == nil {
			note(b, f)
		}
	})
	if err != nil {
		return err
	}
	said, allSaid, err := count(subjects.MessagesPattern, subjects.RoomOfMessages, func(b *busy, _ *nats.Msg) { b.Messages++ })
	shot.Facts, shot.Messages, shot.Sampled = facts, said, !allFacts || !allSaid
	p.merge(heard)
	return err
}

// note takes from a fact how many members there are.
func note(b *busy, f *events.Fact) {
	switch f.Type {
	case events.RoomCreated:
		b.Members, b.Name = f.Info.MemberCount, f.Info.RoomName
	case events.MemberJoined, events.MemberLeft, events.SessionJoined, events.SessionLeft:
		b.Members = f.MemberCount
	case events.RoomDestroyed:
		b.Members = 0
	}
}

// hear listens for a while, and not any longer once it has heard enough. The server ends the
// subscription by itself then.
func (p *sampler) hear(ctx context.Context, subject string, while time.Duration) (msgs []*nats.Msg, took time.Duration, err error) {
	sub, err := p.nc.SubscribeSync(subject)
	if err != nil {
		return nil, while, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.AutoUnsubscribe(mostHeard); err != nil {
		return nil, while, err
	}
	began := time.Now()
	until, cancel := context.WithDeadline(ctx, began.Add(while))
	defer cancel()
	for len(msgs) < mostHeard {
		m, err := sub.NextMsgWithContext(until)
		if errors.Is(err, context.DeadlineExceeded) && time.Since(began) >= while {
			return msgs, while, nil
		}
		if err != nil {
			return msgs, while, err
		}
		msgs = append(msgs, m)
	}
	return msgs, time.Since(began), nil
}

// merge lets what was heard before fade, and adds what is new.
func (p *sampler) merge(heard map[string]*busy) {
	for id, b := range p.known {
		now := heard[id]
		if now == nil {
			now = &busy{Members: -1}
		}
		b.Facts, b.Messages = b.Facts*fading+now.Facts*(1-fading), b.Messages*fading+now.Messages*(1-fading)
		if now.Members >= 0 {
			b.Members, b.Name = now.Members, cmp.Or(now.Name, b.Name)
		}
		if b.rate() < faded && b.asked.IsZero() || b.Members == 0 && now.Members == 0 && b.rate() < faded {
			delete(p.known, id)
		} else if b.rate() < faded {
			b.Facts, b.Messages = 0, 0
		}
	}
	for id, b := range heard {
		if p.known[id] == nil && len(p.known) < keptRooms {
			p.known[id] = b
		}
	}
}

// askMembers asks about the rooms that are shown first, and fills what is left with rooms in
// which nothing happens.
func (p *sampler) askMembers(ctx context.Context, shot *snapshot) {
	now := time.Now()
	if len(p.known) < mostListed && now.Sub(p.listed) > askAgain {
		p.listed = now
		if err := p.list(ctx, now); err != nil {
			shot.Trouble = cmp.Or(shot.Trouble, p.sentence(err))
		}
	}
	asked := 0
	for _, b := range p.busiest() {
		if asked == mostAsked {
			return
		}
		if b.Members >= 0 && now.Sub(b.asked) < askAgain || b.Members >= 0 && b.rate() > 0 {
			continue
		}
		asked++
		known := p.known[b.Room]
		err := p.may(ctx, subjects.Command("get"), func(ctx context.Context) error {
			reply, err := p.rooms.Get(ctx, room.ReadRequest{RoomID: b.Room})
			if err == nil {
				known.Name, known.Members, known.asked = reply.Room.RoomName, reply.Room.MemberCount, now
			}
			return err
		})
		if errors.Is(err, room.ErrRoomNotExist) {
			delete(p.known, b.Room)
		} else if err != nil {
			shot.Trouble = cmp.Or(shot.Trouble, p.sentence(err))
			return
		}
	}
}

// list asks for one page of rooms.
func (p *sampler) list(ctx context.Context, now time.Time) error {
	return p.may(ctx, subjects.Command("list"), func(ctx context.Context) error {
		reply, err := p.rooms.List(ctx, room.ListRequest{Page: room.Page{Count: mostListed}})
		if err != nil {
			return err
		}
		for _, r := range reply.RoomList {
			if p.known[r.RoomID] == nil {
				p.known[r.RoomID] = &busy{Room: r.RoomID}
			}
			b := p.known[r.RoomID]
			b.Name, b.Members, b.asked = r.RoomName, r.MemberCount, now
		}
		return nil
	})
}

// busiest is the rooms by rate, then by members.
func (p *sampler) busiest() []busy {
	list := make([]busy, 0, len(p.known))
	for _, b := range p.known {
		list = append(list, *b)
	}
	slices.SortFunc(list, byRate)
	return list[:min(len(list), mostListed)]
}

func byRate(x, y busy) int {
	return cmp.Or(cmp.Compare(y.rate(), x.rate()), cmp.Compare(y.Members, x.Members), cmp.Compare(x.Room, y.Room))
}

func byMembers(x, y busy) int { return cmp.Or(cmp.Compare(y.Members, x.Members), byRate(x, y)) }
func byName(x, y busy) int    { return cmp.Compare(x.Room, y.Room) }
