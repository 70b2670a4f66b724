// Roomd serves rooms over NATS. By default it brings its own NATS server, so that
// one program and one directory are a whole deployment; with --nats it uses a server
// or cluster that is already running.
//
// It prints one line on standard output, "ready nats://HOST:PORT VERSION", once commands
// are answered. SIGTERM and SIGINT make it answer the commands in flight and exit with 0;
// a second one ends it at once. SIGHUP makes it read its configuration again. It
// exits with 1 if it cannot serve, and with 2 if its settings make no sense; standard error says why
// in one sentence. The commands config print, config check and ready serve nothing.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	in, err := read(os.Args[1:], os.Stdout, os.Exit)
	if err == nil && in.command != cmdPrint && in.command != cmdReady {
		err = in.check()
	}
	if err == nil {
		switch in.command {
		case cmdServe:
			serve(in.cfg)
			return
		case cmdPrint:
			err = in.print(os.Stdout)
		case cmdCheck:
			if err = examine(in.cfg, os.Stderr); err == nil {
				fmt.Println("ok")
			}
		case cmdReady:
			if err := ready(in.cfg.HTTP); err != nil {
				fmt.Fprintf(os.Stderr, "roomd: %v\n", err)
				os.Exit(1)
			}
			fmt.Println("ready")
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "roomd: %v\nroomd --help lists the options.\n", err)
		os.Exit(2)
	}
}

// serve serves until somebody ends it.
func serve(cfg Config) {
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
