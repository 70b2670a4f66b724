// Package client is the Go client of the room service.
//
// [New] makes a [Client] of a connection to NATS. It has a method for each command, and
// it does what a client would otherwise have to do itself: it sends a request again when the
// service is busy, restarts or does not answer, it renews the lease of its session, and
// it watches rooms ([Client.Watch]), hears messages ([Client.Messages]) and follows its
// own session ([Client.States]) through losses, reconnects and restarts of the service.
//
// The shortest program that enters a room and watches it:
//
//	ctx := context.Background()
//	nc, err := nats.Connect(nats.DefaultURL)
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer nc.Close()
//	lease := 60 // seconds that alice stays in her rooms if this program vanishes
//	alice := client.New(nc, client.Config{UserID: "alice", LeaseSeconds: &lease})
//	defer alice.Close()
//	if _, err := alice.Enter(ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
//		log.Fatal(err)
//	}
//	for u, err := range alice.Watch(ctx, client.WatchRequest{RoomID: "lobby"}) {
//		if err != nil {
//			log.Fatal(err)
//		}
//		if u.Roster != nil { // else there is no room now
//			fmt.Println(u.Roster.Len(), "members")
//		}
//	}
//
// # Errors
//
// A command that the service refuses returns an [*Error]. Its Code is one of the error
// codes below, so errors.Is(err, client.ErrRoomNotExist) works, and its Outcome says
// whether the command may have had an effect all the same. Of the errors that are no
// refusals, [ErrNoService] says that nobody answers commands, and [ErrClosed] ends the
// watches of a closed client. The documentation of [Client] lists all of them, and which
// leave open whether the command had its effect.
package client
