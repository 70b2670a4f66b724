// Package roomtest starts real NATS servers inside a test: with JetStream on, in a
// directory of the test's own, on a free port, and gone when the test ends.
//
//	func TestSomething(t *testing.T) {
//		s := roomtest.Server(t)
//		nc := roomtest.Conn(t, s)
//		...
//	}
//
// A server that has to go away and come back with what it stored, on the same port,
// is a [Node]:
//
//	n := roomtest.Start(t, roomtest.SyncAlways)
//	nc := roomtest.Conn(t, n.Server)
//	n.Restart() // nc connects again
//
// A server that announces closed connections has a system account to listen in:
//
//	s := roomtest.Server(t, roomtest.System)
//	system := roomtest.SystemConn(t, s)
//
// Streams with three replicas need a cluster:
//
//	nodes := roomtest.Cluster(t, 3)
//	nc := roomtest.Conn(t, nodes[0].Server)
//	roomtest.StreamLeader(t, nodes, "ROOMS").Stop()
//
// These servers sync every two minutes, not always as roomd does: a test that does not
// cut the power gains nothing from syncing but the wait. What they log is dropped; an
// error that keeps one from starting fails the test.
package roomtest
