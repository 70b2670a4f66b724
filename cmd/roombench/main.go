// Roombench measures a room service against the NATS server that it runs on: every
// scenario is given as a ratio to plain NATS doing the most similar simple thing over as
// many connections and with as many requests in flight, in the same run.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Options are the flags. Each is also an environment variable, ROOMBENCH_ and its name.
type Options struct {
	Scenarios   []string `arg:"" optional:"" help:"Scenarios to run: ${scenarios}. Default: all."`
	Nats        string   `default:"nats://127.0.0.1:4222" placeholder:"URL" help:"The server that the service runs on (${default})."`
	Connections int      `default:"4" help:"NATS connections (${default}); 512 is like real clients: one connection and one request in flight each."`
	InFlight    int      `default:"512" help:"Requests in flight, each from a goroutine that waits for its answer (${default})."`
	Count       int      `default:"60000" help:"Operations in a throughput scenario (${default})."`
	Runs        int      `default:"1" help:"Runs of each scenario with its baseline; the medians are printed (${default})."`
	Rooms       int      `default:"100" help:"Rooms of join-spread, switch and send (${default})."`
	Subscribers int      `default:"1000" help:"Subscribers of fanout and messages-fanout (${default})."`
	Members     int      `default:"50000" help:"Members of join-large's large room (${default})."`
	JSON        bool     `name:"json" help:"Print one JSON document instead of a table."`
}

func main() {
	var o Options
	kong.Parse(&o, kong.Name("roombench"), kong.DefaultEnvars("ROOMBENCH"), kong.Vars{"scenarios": scenarioNames()},
		kong.Description("Measures a running room service against raw NATS on the same server. Rooms have unique names and outlive their last member by three hours; a run leaves its rooms behind, so point it at a server that is only for measuring."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "roombench:", err)
		os.Exit(1)
	}
}
