// Roomd serves rooms over NATS. By default it brings its own NATS server, so that
// one program and one directory are a whole deployment; with --nats it uses a server
// or cluster that is already running.
//
// It prints one line on standard output, "ready nats://HOST:PORT VERSION", once commands
// are answered. SIGTERM and SIGINT make it answer the commands in flight and exit with 0;
// a second one ends it at once. SIGHUP makes it read the keys for tokens again. It exits with 1 if it cannot serve, and with 2 if
// its arguments make no sense; standard error says why in one sentence.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	cfg, err := parse(os.Args[1:], os.Stdout, os.Exit)
	if err != nil {
		fmt.Fprintf(os.Stderr, "roomd: %v\nroomd --help lists the options.\n", err)
		os.Exit(2)
	}
	if os.Getenv("GOGC") == "" {
		go tuneGC()
	}
	// Whoever read the output may be gone, as when a terminal was closed: that ends a line, and
	// not the service.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// After the first signal, signals have their default effect again: the second one kills.
	context.AfterFunc(ctx, stop)
	if err := Run(ctx, cfg, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "roomd: %v\n", err)
		os.Exit(1)
	}
}
