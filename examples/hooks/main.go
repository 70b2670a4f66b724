// Hooks answers what the room service asks before it decides commands: it replaces words in
// what is said, and lets only those into a room who have paid for it.
//
//	roomd --hook send=room.hook.send,enter=room.hook.come,join=room.hook.come,create=room.hook.come,switch=room.hook.come
//	go run ./examples/hooks --nats nats://127.0.0.1:4222 --word darn --word heck --paid 'club=alice;bob'
//
// The first kind of rule changes a send, the second refuses whatever brings somebody in.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"
)

func main() {
	var flags struct {
		Nats    string            `default:"nats://127.0.0.1:4222" help:"The server that the room service runs on."`
		Subject string            `default:"room.hook.*" help:"Where the questions arrive."`
		Word    []string          `help:"A word that is replaced by asterisks; may be repeated."`
		Paid    map[string]string `placeholder:"ROOM=USER;USER" mapsep:"," help:"A room, and who has paid for it; may be repeated."`
	}
	kong.Parse(&flags)
	paid := map[string][]string{}
	for room, users := range flags.Paid {
		paid[room] = strings.Split(users, ";")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flags.Nats, flags.Subject, NewRules(flags.Word, paid)); err != nil {
		fmt.Fprintln(os.Stderr, "hooks:", err)
		os.Exit(1)
	}
}

// run answers until ctx ends, and says when it begins.
func run(ctx context.Context, url, subject string, rules *Rules) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := rules.Answer(nc, subject); err != nil {
		return err
	}
	if err := nc.FlushTimeout(10 * time.Second); err != nil {
		return err
	}
	fmt.Println("answering", subject)
	<-ctx.Done()
	return nc.Drain()
}
