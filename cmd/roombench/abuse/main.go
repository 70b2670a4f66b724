// Abuse measures what hostile end users, with valid tokens and nothing else, can do to honest
// ones. It starts a roomd with --auth jwt, has honest users send and read, and lets one attack
// after the other loose on it, from a process of its own. It prints a table.
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
	Attacks []string      `arg:"" optional:"" help:"Attacks to measure: ${attacks}. Default: all."`
	Roomd   string        `default:"bin/roomd" placeholder:"FILE" help:"The program to attack (${default})."`
	For     time.Duration `default:"6s" help:"How long each attack lasts (${default})."`
	Sizes   []string      `default:"1x1,1x4,1x16,4x4" placeholder:"USERSxCONNECTIONS" help:"How many users attack, with how many connections each (${default})."`
	Quick   bool          `help:"The same as --sizes 1x4."`
	Limit   string        `placeholder:"NAME=N" help:"For roomd; with user-commands=0 and so on it shows what the limits are good for."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	if attack := os.Getenv(attackEnv); attack != "" {
		assault(attack)
		return
	}
	var o Options
	kong.Parse(&o, kong.Name("abuse"), kong.Vars{"attacks": attackNames(), "version": version.String()},
		kong.Description("Measures what hostile end users can do to honest ones, on a roomd of its own."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println(head)
	rows, err := run(ctx, o, func(r *Row) { fmt.Println(r) })
	if len(rows) > 0 {
		fmt.Printf("\n99 of 100 honest commands took up to, by hostile users x connections of each:\n\n%s\non %d cores of %s, %s\n", summary(rows), runtime.NumCPU(), process.Machine(), runtime.Version())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}
