// Package intake takes requests off their subjects in the order in which the connection
// delivered them, whatever their subjects are. The library's micro service gives each of its
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

// waiting is how many requests may wait to be taken in. Those beyond it are dropped.
const waiting = 1 << 16

// lastWord is how long a server may take to say that it hands over no more requests.
const lastWord = time.Second

// Endpoint is one kind of request.
type Endpoint struct {
	Name    string
	Subject string
	Take    func(*nats.Msg) // must not wait
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

	arrived chan *nats.Msg
	subs    []*nats.Subscription
	which   map[*nats.Subscription]int // the endpoint of a subscription; read only
	ready   chan struct{}              // closed once which is whole
	drained chan struct{}              // closed once nothing more arrives
	done    chan struct{}              // closed once everything has been taken in
	stop    sync.Once
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
		arrived: make(chan *nats.Msg, waiting), which: map[*nats.Subscription]int{},
		ready: make(chan struct{}), drained: make(chan struct{}), done: make(chan struct{}),
	}
	go i.taking()
	err := i.subscribe()
	close(i.ready)
	if err != nil {
		i.Stop(context.Background())
		return nil, err
	}
	return i, nil
}

func (i *Intake) subscribe() error {
	for n, e := range i.Endpoints {
		sub, err := i.nc.ChanQueueSubscribe(e.Subject, i.QueueGroup, i.arrived)
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

// taking takes requests in, one after the other.
func (i *Intake) taking() {
	defer close(i.done)
	<-i.ready
	for {
		select {
		case m := <-i.arrived:
			i.take(m)
		case <-i.drained:
			for len(i.arrived) > 0 {
				i.take(<-i.arrived)
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
		_ = i.nc.FlushWithContext(ctx) // what the server sent before its answer has arrived
		close(i.drained)
	})
	<-i.done
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
