// Game is a lobby with tables of four seats: players come in, sit down at the first table that
// has a free seat, and the game begins when it has none left.
//
//	go run ./examples/game alice
//	go run ./examples/game --bots 3
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"
)

func main() {
	var flags struct {
		Name string `arg:"" optional:"" help:"Who plays."`
		Bots int    `help:"How many others come in with it."`
	}
	kong.Parse(&flags)
	var names []string
	if flags.Name != "" {
		names = append(names, flags.Name)
	}
	for i := range flags.Bots {
		names = append(names, fmt.Sprintf("bot-%d", i+1))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := play(ctx, names); err != nil {
		fmt.Fprintln(os.Stderr, "game:", err)
		os.Exit(1)
	}
}

// play plays one game with each of the players, side by side.
func play(ctx context.Context, names []string) error {
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL))
	if err != nil {
		return err
	}
	defer nc.Close()
	over := make(chan error)
	for _, name := range names {
		go func() { over <- one(ctx, nc, name) }()
	}
	for range names {
		err = cmp.Or(err, <-over)
	}
	return err
}

// one is a player's evening.
func one(ctx context.Context, nc *nats.Conn, name string) error {
	p, err := Come(ctx, nc, name)
	if err != nil {
		return err
	}
	defer p.Close()
	at, err := p.Sit(ctx)
	if err != nil {
		return err
	}
	players, err := p.Begin(ctx, func(n int) { fmt.Printf("%s sits at %s: %d of %d\n", name, at, n, Seats) })
	if err != nil {
		return err
	}
	if err := p.Ready(ctx, players); err != nil {
		return err
	}
	fmt.Printf("%s: the game begins with %s\n", name, strings.Join(players, ", "))
	return p.Rise(ctx)
}
