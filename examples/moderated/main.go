// Moderated watches over what is said in all rooms: it replaces rude words, refuses links, and
// mutes for ten minutes who tries that three times.
//
//	go run ./examples/moderated
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "moderated:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	if _, err := Moderate(nc, "room.hook.send"); err != nil {
		return err
	}
	fmt.Println("moderating; Ctrl-C ends it")
	<-ctx.Done()
	return nc.Drain()
}
