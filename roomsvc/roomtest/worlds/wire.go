package worlds

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Wire remembers the TCP connection under a NATS connection: it is meant for
// [nats.SetCustomDialer]. The zero value is ready to use.
type Wire struct {
	// Lag is by how much everything heard on it is late, a [time.Duration].
	Lag atomic.Int64

	mu   sync.Mutex // guards conn
	conn net.Conn
}

// Dial connects.
func (w *Wire) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	w.mu.Lock()
	w.conn = conn
	w.mu.Unlock()
	return lagging{conn, &w.Lag}, err
}

// Cut ends the TCP connection, as a network does. It is false if the connection had ended.
func (w *Wire) Cut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn.Close() == nil
}

type lagging struct {
	net.Conn
	by *atomic.Int64
}

func (c lagging) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(c.by.Load()))
	return n, err
}
