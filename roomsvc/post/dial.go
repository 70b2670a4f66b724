package post

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrPrivate says that an address is not one of the public internet.
var ErrPrivate = errors.New("is an address of a private network, of this machine or its link, and those are not allowed here")

// special are ranges that are reachable from inside only, or stand for other addresses, besides
// those that [netip.Addr] knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers' own
	netip.MustParsePrefix("192.0.0.0/24"),    // protocols
	netip.MustParsePrefix("192.88.99.0/24"),  // relays of 6to4
	netip.MustParsePrefix("198.18.0.0/15"),   // measurements
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64, which stands for an IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same, of a network's own
	netip.MustParsePrefix("2001::/32"),       // Teredo
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("fec0::/10"),       // site-local, as it once was
	netip.MustParsePrefix("::/96"),           // IPv4-compatible, as it once was
	netip.MustParsePrefix("2001:db8::/32"),   // documents
	netip.MustParsePrefix("192.0.2.0/24"),    // documents
	netip.MustParsePrefix("198.51.100.0/24"), // documents
	netip.MustParsePrefix("203.0.113.0/24"),  // documents
}

// public reports whether an address is one of the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// control refuses a connection to an address that is not public. It is called with each address
// that a name stands for, just before the connection is made.
func control(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	if !public(a) {
		return fmt.Errorf("%s %w", a, ErrPrivate)
	}
	return nil
}
