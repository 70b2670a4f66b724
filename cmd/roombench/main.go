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
	"time"

	"github.com/alecthomas/kong"

	"natsrooms/cmd/internal/version"
)

// Options are the flags. Each is also an environment variable, ROOMBENCH_ and its name.
type Options struct {
	Scenarios   []string      `arg:"" optional:"" help:"Scenarios to run, or groups of them: ${scenarios}. Default: those of --shape."`
	Shape       string        `default:"requests" enum:"requests,clients" help:"Which scenarios run if none is named. requests: many requests over few connections. clients: a connection of its own and one command in flight for each client (${default})."`
	Nats        string        `default:"nats://127.0.0.1:4222" placeholder:"URL" help:"The server that the service runs on (${default})."`
	PID         int           `name:"pid" placeholder:"N" help:"The process of that server and service, so that its processor time is measured."`
	Roomd       string        `placeholder:"FILE" help:"A roomd to start for the run, with a server and a directory of its own, instead of --nats and --pid. The group scale needs it."`
	RoomdArgs   []string      `sep:" " placeholder:"ARGS" default:"--feeds" help:"What that roomd is started with, besides where it listens and stores (${default})."`
	Sync        string        `default:"2m" placeholder:"2m" help:"Its --sync (${default})."`
	Dir         string        `placeholder:"DIR" help:"Where it stores (the directory for temporary files)."`
	Key         string        `placeholder:"FILE" help:"With --auth jwt: what tokens are signed with. --nats then names a user that may do everything."`
	Connections int           `default:"4" help:"NATS connections of the shape requests (${default})."`
	InFlight    int           `default:"512" help:"Requests in flight there, each from a goroutine that waits for its answer (${default})."`
	Clients     int           `default:"512" help:"Clients of clients-spread and clients-hot (${default})."`
	Listeners   int           `default:"3" help:"Connections that listen in every room of clients and storm, and keep account of what they hear (${default})."`
	Count       int           `default:"60000" help:"Operations in a throughput scenario (${default})."`
	Runs        int           `default:"1" help:"Runs of each scenario with its baseline; the medians are printed (${default})."`
	Rooms       int           `default:"100" help:"Rooms of join-spread, switch, send and clients-spread (${default})."`
	Subscribers int           `default:"1000" help:"Subscribers of fanout and messages-fanout in each room (${default})."`
	Audience    int           `default:"500" help:"Clients that listen in clients-fanout (${default})."`
	Members     int           `default:"100000" help:"Members of the large room of join-large, leave-large and members-large (${default})."`
	Storm       []int         `default:"3000,10000" help:"Clients of each storm (${default})."`
	Memberships []int         `default:"10000,100000,1000000" help:"Memberships at each step of scale, in rising order (${default})."`
	PerRoom     int           `default:"10" help:"Members of each room in scale (${default})."`
	Rest        time.Duration `default:"0s" help:"How long a roomd of scale rests before its memory is looked at; it remembers requests for three minutes (${default})."`
	JSON        bool          `name:"json" help:"Print one JSON document instead of a table."`

	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

func main() {
	var o Options
	kong.Parse(&o, kong.Name("roombench"), kong.DefaultEnvars("ROOMBENCH"), kong.Vars{"scenarios": scenarioNames(Options{}), "version": version.String()},
		kong.Description("Measures a room service against raw NATS on the same server. docs/performance.md says what each scenario does. Rooms have unique names and outlive their last member by three hours; a run leaves rooms behind, so point it at a server that is only for measuring. A run in which anything is lost, doubled or out of order prints what that was, and no figure."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "roombench:", err)
		os.Exit(1)
	}
}
