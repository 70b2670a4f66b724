package roomtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports from the first to before the end are none of those that systems give to whoever asks for any port:
// Linux gives those from 32768 on (ip_local_port_range), others from 49152 on.
const (
	portsFirst = 10_000
	portsEnd   = 32_000
)

// Ports are n ports of this machine that nobody listens on. No connection of another test, and
// no server that listens on any port, takes one of them before it is used.
func Ports(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range 1000 {
		port := portsFirst + rand.IntN(portsEnd-portsFirst)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // not before all are found
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("there are no free ports")
	return nil
}
