package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"natsrooms/roomsvc/space"
	"natsrooms/subjects"
)

const (
	mostReserve = 4 << 20               // bytes of the disk that are kept free, or
	reservePart = 50                    // a part of it, if that is less
	freeEvery   = 2 * time.Millisecond  // how often the file system is asked at most; a disk writes less than the reserve in that time
	usedEvery   = 50 * time.Millisecond // how often the server is asked what it holds
	healthEvery = time.Second           // and whether it is well
	doubtFor    = time.Second / 2       // how long it must say that it is not, until that is believed
)

// disk is where the embedded server stores.
type disk struct {
	server  *server.Server
	dir     string
	done    chan struct{}  // closed: watching ends
	watches sync.WaitGroup // the goroutine that does

	mu     sync.Mutex  // guards the fields below it
	looked time.Time   // when the file system was asked
	total  int64       // its bytes, and
	free   int64       // those that are free
	known  bool        // whether the file system says so
	store  space.Store // what the server says

	doubt doubt // of the goroutine that watches
}

// doubt is since when a server that was well has said that it is not. One that is just making a
// stream says that it has lost it.
type doubt time.Time

// believe returns what counts as broken, if it was before and the server says said now.
func (d *doubt) believe(said, before error, now time.Time) error {
	switch since := time.Time(*d); {
	case said == nil || before != nil || !since.IsZero() && now.Sub(since) >= doubtFor:
		*d = doubt{}
		return said
	case since.IsZero():
		*d = doubt(now)
	}
	return nil
}

// watchDisk begins to watch the disk of a server.
func watchDisk(s *server.Server, dir string) *disk {
	d := &disk{server: s, dir: dir, done: make(chan struct{})}
	d.ask(true)
	d.watches.Go(d.watch)
	return d
}

func (d *disk) close() {
	close(d.done)
	d.watches.Wait()
}

// watch asks the server again and again. Its answer may have to wait for a write to a disk that
// is slow, and no command must wait for that.
func (d *disk) watch() {
	used := time.NewTicker(usedEvery)
	defer used.Stop()
	for asked := time.Now(); ; {
		select {
		case now := <-used.C:
			health := now.Sub(asked) >= healthEvery || d.doubt != doubt{}
			if health {
				asked = now
			}
			d.ask(health)
		case <-d.done:
			return
		}
	}
}

// look says how full it is.
func (d *disk) look() space.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.looked) > freeEvery {
		d.looked = now
		d.total, d.free, d.known = diskSpace(d.dir)
	}
	st := d.store
	if !d.known {
		return st
	}
	st.Full = fullDisk(d.dir, d.total, d.free)
	st.Free = min(st.Free, d.free)
	return st
}

// fullDisk says that a disk is full; nil if it is not.
func fullDisk(dir string, total, free int64) error {
	if reserve := min(mostReserve, total/reservePart); free < reserve {
		return fmt.Errorf("the disk with %s is full: %d bytes are free, and %d are kept free", dir, free, reserve)
	}
	return nil
}

// ask asks the server what it holds and, if health, whether it is well. It goes on running when
// it can no longer store.
func (d *disk) ask(health bool) {
	if !d.server.Running() {
		return
	}
	d.mu.Lock()
	st := d.store
	d.mu.Unlock()
	if js, err := d.server.Jsz(nil); err == nil && !js.Disabled {
		st.Used = int64(js.Store)
		st.Free = max(js.Config.MaxStore-st.Used, 0)
	}
	if health {
		st.Broken = d.doubt.believe(d.health(st.Broken), st.Broken, time.Now())
	}
	d.mu.Lock()
	d.store = st
	d.mu.Unlock()
}

// health is what keeps the server from storing; before is what was known of that.
func (d *disk) health(before error) error {
	if !d.server.JetStreamEnabled() {
		return errors.New("the server has switched JetStream off")
	}
	return broken(d.server.Healthz(&server.HealthzOptions{Details: true}), before)
}

// broken is what a server's word about its health says about what the service stores. A server
// that is busy may say only that it does not let anybody in within a millisecond; then what was
// known before holds. Of streams that are not the service's, one is said to be lost while
// somebody deletes it.
func broken(h *server.HealthStatus, before error) error {
	for _, e := range h.Errors {
		switch {
		case e.Type == server.HealthzErrorConn:
			return before
		case e.Stream == "" || slices.Contains(subjects.AllStreams, e.Stream):
			return errors.New(e.Error)
		}
	}
	return nil
}
