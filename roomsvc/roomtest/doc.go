// Package roomtest starts real NATS servers inside a test: JetStream on, in a
// directory of the test's own, at a free port, gone when the test ends.
//
//	func TestSomething(t *testing.T) {
//		s := roomtest.Server(t)
//		nc := roomtest.Conn(t, s)
//		...
//	}
//
// A server that has to go away and come back with what it stored, at the same port,
// is a [Node]:
//
//	n := roomtest.Start(t, roomtest.SyncAlways)
//	nc := roomtest.Conn(t, n.Server)
//	n.Restart() // nc connects again
//
// One that tells who has lost its connection has a system account to be heard in:
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
// These servers sync every two minutes, not always as roomd does: a test that does
// not cut the power has nothing of it but the wait. What they log is dropped; what
// keeps one from starting fails the test.
package roomtest
