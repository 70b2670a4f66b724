// Package worlds makes what a test of the service needs around it: a NATS server, any number
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
// Each instance has a connection of its own, which can be cut, and its log can be read. The
// caller sends commands as text, and their answers are checked against the contract, or it
// uses the Go client. The contents of the journal and of the bucket can be read and compared
// with what the service answers.
package worlds
