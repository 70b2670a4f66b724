package client_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
)

// A user enters a room and watches it: first as it is, then every fact, once and in order.
func ExampleClient_Watch() {
	nc, stop := serve()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	lease := 60 // seconds that alice stays in her rooms if this program vanishes
	alice := client.New(nc, client.Config{UserID: "alice", LeaseSeconds: &lease})
	defer alice.Close()
	if _, err := alice.Enter(ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
		log.Fatal(err)
	}
	for u, err := range alice.Watch(ctx, client.WatchRequest{RoomID: "lobby"}) {
		switch {
		case err != nil:
			log.Fatal(err)
		case u.Fresh != "":
			fmt.Println("the room as it is:", u.Roster.Len(), "member")
			join(ctx, nc, "bob") // any user, from any program
			continue
		}
		fmt.Println(u.Fact.Type, u.Fact.Joined[0].UserID, u.Roster.Len())
		break
	}
	// Output:
	// the room as it is: 1 member
	// io.natsrooms.member.joined.v1 bob 2
}

// Stored messages arrive once and in order; those that were missed are read from the
// history.
func ExampleClient_Messages() {
	nc, stop := serve()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	bob := client.New(nc, client.Config{UserID: "bob"})
	if _, err := bob.Enter(ctx, client.CreateRequest{RoomID: "lobby"}); err != nil {
		log.Fatal(err)
	}
	if _, err := bob.Send(ctx, client.SendRequest{RoomID: "lobby", Type: "text", Data: "hello"}); err != nil {
		log.Fatal(err)
	}
	for h, err := range bob.Messages(ctx, client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: new(uint64)}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(h.Message.Sender, "says", h.Message.Data)
		break
	}
	// Output:
	// bob says hello
}

func join(ctx context.Context, nc *nats.Conn, user string) {
	c := client.New(nc, client.Config{UserID: user})
	if _, err := c.Join(ctx, client.RoomRequest{RoomID: "lobby"}); err != nil {
		log.Fatal(err)
	}
}

// serve runs a NATS server and a room service on it.
func serve() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "natsrooms-example-")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		log.Fatal("the server takes no connections")
	}
	if nc, err = nats.Connect(s.ClientURL()); err != nil {
		log.Fatal(err)
	}
	svc, err := roomsvc.New(context.Background(), nc, roomsvc.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		log.Fatal(err)
	}
	return nc, func() {
		if err := svc.Stop(context.Background()); err != nil {
			log.Fatal(err)
		}
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}
