// Roomctl is what a person types to use a room service over NATS: it makes rooms,
// enters and leaves them, lists who is there and shows what happens in them.
// "roomctl demo" shows all of it in a minute; "roomctl --help" lists the commands and
// the exit codes that scripts can rely on.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// After the first signal, signals have their default effect again: the second one kills.
	context.AfterFunc(ctx, stop)
	if completes(ctx, os.Stdout, os.Stderr) {
		return
	}
	os.Exit(Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
