// Package intake takes requests off their subjects in the order in which a connection
// delivered them, whatever their subjects are. Requests that arrive on different connections do
// not wait for each other. The library's micro service gives each of its
// endpoints a queue of its own, so that of two requests with different verbs either may be
// seen first; a sender that does not wait for answers relies on the order. To everybody who
// looks, this is such a service: it answers the same questions about itself on $SRV, as
// the NATS service API says (ADR-32 of nats-architecture-and-design).
package intake

import (
	"context"
	"encoding/json" // the library's types are made for it
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"
)

// waiting is how many requests of a connection may wait to be taken in. Those beyond it are
// dropped.
const waiting = 1 << 16

// lastWord is how long a server may take to say that it hands over no more requests.
const lastWord = time.Second

// Endpoint is one kind of request.
type Endpoint struct {
	Name    string
	Subject string
	Take    func(*nats.Msg) // must not wait

	// Conn is the connection on which the requests arrive; nil is the service's own. Waiting is
	// how many of them may wait there, if it is not the service's own.
	Conn    *nats.Conn
	Waiting int
}

// Service says what the service is called, and which requests it takes.
type Service struct {
	Name        string
	Version     string
	Description string
	QueueGroup  string // of instances, one of which gets each request
	Endpoints   []Endpoint
	Stats       func() any // what is told besides the counts
}

// Intake takes requests in until it is stopped.
type Intake struct {
	Service
	nc      *nats.Conn
	id      string
	started time.Time
	counts  []count // of each endpoint

	doors   []*door
	subs    []*nats.Subscription
	which   map[*nats.Subscription]int // the endpoint of a subscription; read only
	ready   chan struct{}              // closed once which is whole
	drained chan struct{}              // closed once nothing more arrives
	taking  sync.WaitGroup             // until everything has been taken in
	stop    sync.Once
}

// door is where the requests of one connection arrive.
type door struct {
	nc      *nats.Conn
	arrived chan *nats.Msg
}

// count is what is known of an endpoint's requests.
type count struct {
	requests atomic.Int64
	took     atomic.Int64 // nanoseconds
}

// Listen begins to take requests in.
func Listen(nc *nats.Conn, s Service) (*Intake, error) {
	i := &Intake{
		Service: s, nc: nc, id: nuid.Next(), started: time.Now().UTC(), counts: make([]count, len(s.Endpoints)),
		which: map[*nats.Subscription]int{}, ready: make(chan struct{}), drained: make(chan struct{}),
	}
	err := i.subscribe()
	close(i.ready)
	if err != nil {
		i.Stop(context.Background())
		return nil, err
	}
	return i, nil
}

// door is where the requests of an endpoint arrive.
func (i *Intake) door(e *Endpoint) *door {
	nc, most := e.Conn, e.Waiting
	if nc == nil {
		nc, most = i.nc, waiting
	}
	for _, d := range i.doors {
		if d.nc == nc {
			return d
		}
	}
	d := &door{nc, make(chan *nats.Msg, most)}
	i.doors = append(i.doors, d)
	i.taking.Go(func() { i.takeIn(d) })
	return d
}

func (i *Intake) subscribe() error {
	for n := range i.Endpoints {
		e := &i.Endpoints[n]
		d := i.door(e)
		sub, err := d.nc.ChanQueueSubscribe(e.Subject, i.QueueGroup, d.arrived)
		if err != nil {
			return err
		}
		i.which[sub], i.subs = n, append(i.subs, sub)
	}
	for verb, answer := range map[micro.Verb]func() any{micro.PingVerb: i.ping, micro.InfoVerb: i.info, micro.StatsVerb: i.stats} {
		for _, about := range [][2]string{{"", ""}, {i.Name, ""}, {i.Name, i.id}} {
			subject, err := micro.ControlSubject(verb, about[0], about[1])
			if err != nil {
				return err
			}
			sub, err := i.nc.Subscribe(subject, func(m *nats.Msg) {
				if data, err := json.Marshal(answer()); err == nil {
					_ = m.Respond(data)
				}
			})
			if err != nil {
				return err
			}
			i.subs = append(i.subs, sub)
		}
	}
	return nil
}

// takeIn takes in the requests of one door, one after the other.
func (i *Intake) takeIn(d *door) {
	<-i.ready
	for {
		select {
		case m := <-d.arrived:
			i.take(m)
		case <-i.drained:
			for len(d.arrived) > 0 {
				i.take(<-d.arrived)
			}
			return
		}
	}
}

func (i *Intake) take(m *nats.Msg) {
	n := i.which[m.Sub]
	began := time.Now()
	i.Endpoints[n].Take(m)
	i.counts[n].requests.Add(1)
	i.counts[n].took.Add(int64(time.Since(began)))
}

// Stop takes in what the server has handed to this instance already, and nothing after it. ctx
// limits how long it waits for a server that does not answer, and so does lastWord.
func (i *Intake) Stop(ctx context.Context) {
	i.stop.Do(func() {
		for _, sub := range i.subs {
			_ = sub.Drain() // or the connection is closed: then nothing arrives any more
		}
		ctx, cancel := context.WithTimeout(ctx, lastWord)
		defer cancel()
		for _, d := range i.doors {
			_ = d.nc.FlushWithContext(ctx) // what the server sent before its answer has arrived
		}
		close(i.drained)
	})
	i.taking.Wait()
}

func (i *Intake) identity() micro.ServiceIdentity {
	return micro.ServiceIdentity{Name: i.Name, ID: i.id, Version: i.Version, Metadata: map[string]string{}}
}

func (i *Intake) ping() any {
	return micro.Ping{ServiceIdentity: i.identity(), Type: micro.PingResponseType}
}

func (i *Intake) info() any {
	info := micro.Info{ServiceIdentity: i.identity(), Type: micro.InfoResponseType, Description: i.Description}
	for _, e := range i.Endpoints {
		info.Endpoints = append(info.Endpoints, micro.EndpointInfo{Name: e.Name, Subject: e.Subject, QueueGroup: i.QueueGroup, Metadata: map[string]string{}})
	}
	return info
}

func (i *Intake) stats() any {
	stats := micro.Stats{ServiceIdentity: i.identity(), Type: micro.StatsResponseType, Started: i.started}
	data, _ := json.Marshal(i.Service.Stats())
	for n, e := range i.Endpoints {
		requests, took := i.counts[n].requests.Load(), time.Duration(i.counts[n].took.Load())
		stats.Endpoints = append(stats.Endpoints, &micro.EndpointStats{
			Name: e.Name, Subject: e.Subject, QueueGroup: i.QueueGroup, NumRequests: int(requests),
			ProcessingTime: took, AverageProcessingTime: took / time.Duration(max(requests, 1)), Data: data,
		})
	}
	return stats
}
