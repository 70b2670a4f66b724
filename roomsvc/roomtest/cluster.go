package roomtest

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// election is how long a cluster may take to agree on something.
const election = 30 * time.Second

// Nodes makes n servers of one JetStream cluster, without starting them: a test that starts
// some of them has a cluster that elects nobody.
func Nodes(t testing.TB, n int, opts ...Option) []*Node {
	t.Helper()
	routes := freeRoutes(t, n)
	nodes := make([]*Node, n)
	for i := range nodes {
		nodes[i] = newNode(t, append(slices.Clone(opts), func(o *server.Options) {
			o.ServerName = fmt.Sprintf("test-%d", i+1)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: portOf(routes[i])}
			o.Routes = routes
		}))
	}
	return nodes
}

// Cluster starts n servers as one JetStream cluster and returns when it has a meta
// leader that knows all of them, so that streams can be made right away.
func Cluster(t testing.TB, n int, opts ...Option) []*Node {
	t.Helper()
	nodes := Nodes(t, n, opts...)
	for _, node := range nodes {
		node.Start()
	}
	waitFor(t, election, "a meta leader with all its peers", func() bool {
		leader := metaLeader(nodes)
		return leader != nil && len(leader.JetStreamClusterPeers()) == n
	})
	for _, node := range nodes {
		node.WaitCurrent()
	}
	return nodes
}

// Gateways starts two clusters of one server each that a gateway joins, and returns when they have
// one JetStream between them.
func Gateways(t testing.TB, opts ...Option) [2]*Node {
	t.Helper()
	at, routes := freeRoutes(t, 2), freeRoutes(t, 2)
	names := [2]string{"east", "west"}
	var nodes [2]*Node
	for i := range nodes {
		nodes[i] = newNode(t, append(slices.Clone(opts), func(o *server.Options) {
			o.ServerName = names[i] + "-1"
			o.Cluster = server.ClusterOpts{Name: names[i], Host: "127.0.0.1", Port: portOf(routes[i])}
			o.Gateway = server.GatewayOpts{Name: names[i], Host: "127.0.0.1", Port: portOf(at[i])}
			o.Routes = []*url.URL{routes[i]} // itself: a cluster has routes
			for n, name := range names {
				o.Gateway.Gateways = append(o.Gateway.Gateways, &server.RemoteGatewayOpts{Name: name, URLs: []*url.URL{at[n]}})
			}
		}))
		nodes[i].Start()
	}
	waitFor(t, election, "a meta leader with both clusters", func() bool {
		leader := metaLeader(nodes[:])
		return leader != nil && len(leader.JetStreamClusterPeers()) == len(nodes)
	})
	for _, node := range nodes {
		node.WaitCurrent()
	}
	return nodes
}

// MetaLeader waits for the cluster's meta leader.
func MetaLeader(t testing.TB, nodes []*Node) (leader *Node) {
	t.Helper()
	waitFor(t, election, "a meta leader", func() bool {
		leader = metaLeader(nodes)
		return leader != nil
	})
	return leader
}

func metaLeader(nodes []*Node) *Node {
	return first(nodes, func(n *Node) bool { return n.JetStreamIsLeader() })
}

// StreamLeader waits for the leader of a stream of the global account.
func StreamLeader(t testing.TB, nodes []*Node, stream string) (leader *Node) {
	t.Helper()
	waitFor(t, election, "a leader of the stream "+stream, func() bool {
		leader = first(nodes, func(n *Node) bool { return n.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) })
		return leader != nil
	})
	return leader
}

// WaitCurrent waits until the node knows what the cluster's meta leader knows.
func (n *Node) WaitCurrent() {
	n.t.Helper()
	waitFor(n.t, election, n.Name()+" to be current", n.JetStreamIsCurrent)
}

func first(nodes []*Node, is func(*Node) bool) *Node {
	for _, n := range nodes {
		if n.Running() && is(n) {
			return n
		}
	}
	return nil
}

// freeRoutes are addresses that nobody listens on.
func freeRoutes(t testing.TB, n int) []*url.URL {
	t.Helper()
	routes := make([]*url.URL, n)
	for i, port := range Ports(t, n) {
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	}
	return routes
}

func portOf(u *url.URL) int {
	address, err := net.ResolveTCPAddr("tcp", u.Host)
	if err != nil {
		panic(err) // freeRoutes made it
	}
	return address.Port
}
