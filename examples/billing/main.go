// Billing adds up the minutes that each user spent in rooms, from member.left alone: each
// entry says when a stay began and when it ended.
//
//	go run ./examples/billing --nats nats://127.0.0.1:4222
//
// It reads the stream ROOMS with a durable consumer, so it continues where it stopped, and
// prints the totals whenever they have changed.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"

	"natsrooms/events/attendance"
)

func main() {
	var flags struct {
		Nats string `default:"nats://127.0.0.1:4222" help:"The server that the room service runs on."`
	}
	kong.Parse(&flags)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flags.Nats); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "billing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	b, err := Open(ctx, nc)
	if err != nil {
		return err
	}
	return b.Run(ctx, func(totals attendance.Totals) {
		for _, user := range slices.Sorted(maps.Keys(totals)) {
			fmt.Printf("%-20s %10.2f min in %d stays\n", user, float64(totals[user].SpentMs)/60_000, totals[user].Stays)
		}
		fmt.Println()
	})
}
