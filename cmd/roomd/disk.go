package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"natsrooms/roomsvc/space"
)

const (
	mostReserve = 4 << 20     // bytes of the disk that are kept free, or
	reservePart = 50          // a part of it, if that is less
	healthEvery = time.Second // how often the server is asked whether it is well
)

// disk is where the embedded server stores.
type disk struct {
	server *server.Server
	dir    string

	mu     sync.Mutex // guards the fields below it
	asked  time.Time  // when the server was asked
	broken error      // what it said
}

// look says how full it is.
func (d *disk) look() space.Store {
	js, err := d.server.Jsz(nil)
	if err != nil || js.Disabled {
		js = &server.JSInfo{}
	}
	used := int64(js.Store)
	st := space.Store{Used: used, Free: max(js.Config.MaxStore-used, 0), Broken: d.health()}
	total, free, ok := diskSpace(d.dir)
	if !ok {
		return st
	}
	if reserve := min(mostReserve, total/reservePart); free < reserve {
		st.Full = fmt.Errorf("the disk with %s is full: %d bytes are free, and %d are kept free", d.dir, free, reserve)
	}
	st.Free = min(st.Free, free)
	return st
}

// health is what keeps the server from storing. It goes on running when it no longer can.
func (d *disk) health() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.asked) < healthEvery || !d.server.Running() {
		return d.broken
	}
	d.asked, d.broken = time.Now(), nil
	if !d.server.JetStreamEnabled() {
		d.broken = errors.New("the server has switched JetStream off")
	} else if health := d.server.Healthz(nil); health.Status != "ok" {
		d.broken = errors.New(health.Error)
	}
	return d.broken
}
