// Package worlds makes what a test of the service has around it: one NATS server, any number
// of instances of the service, and a trusted caller.
//
//	func TestSomething(t *testing.T) {
//		w := worlds.New(t)
//		i := w.Start(roomsvc.Config{})
//		worlds.OK[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
//		i.Kill()
//		...
//	}
//
// Each instance has a connection of its own, which can be cut, and what it logs can be read.
// The caller sends commands as text, whose answers are held against the contract, or by the
// Go client. What the journal and the bucket have can be read, and compared with what the
// service answers.
package worlds
