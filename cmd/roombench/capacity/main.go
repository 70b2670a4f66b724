// Capacity measures what a deployment costs at a steady rate of work: processor time, memory and
// disk, for one server or for a cluster of three. It starts everything itself, checks that
// everybody heard everything, and prints a table.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"natsrooms/cmd/internal/version"
	"natsrooms/cmd/roombench/process"
)

// Options are the flags.
type Options struct {
	Roomd   string        `default:"bin/roomd" placeholder:"FILE" help:"The program to measure (${default})."`
	Servers int           `default:"1" enum:"1,3" help:"1: roomd with a server of its own. 3: a roomd beside a cluster of three servers with three replicas, all on this machine (${default})."`
	Sync    string        `default:"2m" placeholder:"2m" help:"How long servers may take to force what they store to the disk (${default})."`
	For     time.Duration `default:"20s" help:"How long each load is measured (${default})."`
	Quick   bool          `help:"Only the smallest load."`
	Dir     string        `placeholder:"DIR" help:"Where to store (the directory for temporary files)."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	if s := os.Getenv(serverEnv); s != "" {
		serve(s)
		return
	}
	var o Options
	kong.Parse(&o, kong.Name("capacity"), kong.Vars{"version": version.String()},
		kong.Description("Measures what natsrooms costs at a steady rate of work: processor, memory and disk."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	list := loads
	if o.Quick {
		list = loads[:1]
	}
	fmt.Println(head)
	for _, l := range list {
		r, err := measure(ctx, o, l)
		if err != nil {
			fmt.Fprintf(os.Stderr, "capacity: %+v: %v\n", l, err)
			os.Exit(1)
		}
		fmt.Println(r)
	}
	fmt.Printf("\n%d server(s), --sync %s; %d cores of %s, %s\n", o.Servers, o.Sync, runtime.NumCPU(), process.Machine(), runtime.Version())
}
