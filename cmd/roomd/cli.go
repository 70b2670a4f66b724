package main

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats-server/v2/server"

	"natsrooms/cmd/internal/creds"
	"natsrooms/cmd/internal/version"
	"natsrooms/roomsvc/hooks"
)

// cli is everything that the command line may say. Without a command, roomd serves.
type cli struct {
	Config

	Serve    struct{} `cmd:"" default:"1" help:"Serve rooms; this is what roomd does without a command."`
	Settings struct {
		Print struct{} `cmd:"" help:"Print every setting, and where it comes from: a flag, a variable, a line of the file, or the default."`
		Check struct{} `cmd:"" help:"Say whether roomd could start with these settings, as far as files and flags tell; exit with 2 if not."`
	} `cmd:"" name:"config" help:"Look at the settings."`
	Ready struct{} `cmd:"" help:"Ask the roomd that runs here, at --http, whether it answers commands; exit with 1 if not."`
}

// The commands, as [invocation] names them.
const (
	cmdServe = "serve"
	cmdPrint = "config print"
	cmdCheck = "config check"
	cmdReady = "ready"
)

// invocation is what somebody asked roomd for.
type invocation struct {
	command string
	cfg     Config
	flags   []*kong.Flag
	file    *file                 // nil: none
	given   map[string]*kong.Flag // on the command line
}

// read reads arguments, ROOMD_ variables and the configuration file, and checks what can be
// checked of each alone. --help prints to stdout and calls exit.
func read(args []string, stdout io.Writer, exit func(int)) (*invocation, error) {
	var c cli
	from := &fileResolver{}
	parser, err := kong.New(&c, kong.Name("roomd"), kong.DefaultEnvars("ROOMD"), kong.Vars{"version": version.String()},
		kong.Description("Serves rooms over NATS, with a NATS server of its own unless --nats names one."),
		kong.WithHyphenPrefixedParameters(true), kong.Writers(stdout, io.Discard), kong.Exit(exit), kong.Resolvers(from))
	if err != nil {
		return nil, err
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return nil, plain(err)
	}
	in := &invocation{command: ctx.Command(), flags: ctx.Flags(), file: from.file, given: map[string]*kong.Flag{}}
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			in.given[p.Flag.Name] = p.Flag
		}
	}
	in.cfg = c.Config
	switch {
	case from.file != nil:
		in.cfg.again = func() (Config, error) { return parse(args, io.Discard, func(int) {}) }
	case in.cfg.Config != "" && in.cfg.NATSConfig != "":
		return nil, fmt.Errorf("--config %s is NATS server configuration, because its name does not end in .yaml or .yml, and so is --nats-config; give one of the two", in.cfg.Config)
	case in.cfg.Config != "":
		in.cfg.NATSConfig = in.cfg.Config
	}
	return in, nil
}

// parse reads arguments, variables and the file, and checks the settings as a whole.
func parse(args []string, stdout io.Writer, exit func(int)) (Config, error) {
	in, err := read(args, stdout, exit)
	if err != nil {
		return Config{}, err
	}
	return in.cfg, in.check()
}

var flagAtStart = regexp.MustCompile(`^--([a-z-]+)`)

// check checks the settings as a whole. What the file says is wrong is found there.
func (in *invocation) check() error {
	err := in.cfg.check()
	if err == nil {
		return nil
	}
	if m := flagAtStart.FindStringSubmatch(err.Error()); m != nil && in.source(m[1]) == in.file.where(m[1]) && in.file.where(m[1]) != "" {
		return fmt.Errorf("%s: %w", in.file.where(m[1]), err)
	}
	return err
}

// source says where a flag's value comes from; empty: nothing sets it.
func (in *invocation) source(name string) string {
	if in.given[name] != nil {
		return "--" + name
	}
	for _, flag := range in.flags {
		if flag.Name == name && variable(flag) != "" {
			return variable(flag)
		}
	}
	return in.file.where(name)
}

// standards are the values of flags that nothing sets, for people; those that are not here have
// none.
var standards = map[string]string{
	"host": defaultHost, "port": "4222", "store-dir": defaultStoreDir, "sync": "always", "wait": "1m", "auth-names": "token",
	"facts-keep": "168h", "max-rooms": "unlimited", "max-members": "unlimited", "max-rooms-per-user": "unlimited", "messages-keep": "24h",
	"messages-per-room": "2000", "messages-until": "90", "message-rate": "unlimited", "recall": "2m", "lease": "60s", "grace": "10s", "devices": "many",
	"websocket-origins": "those of the examples", "webhook-give-up": "72h", "hook-timeout": "1s", "hook-failure": "deny", "hook-most": "256", "replicas": "1", "log-level": "info",
}

// standard is the value of a flag that nothing sets.
func (in *invocation) standard(name string) string {
	switch {
	case name == "ids" && in.cfg.Auth != "":
		return "strict"
	case name == "ids":
		return "any"
	case name == "image" && in.cfg.NATS == "":
		return imageFile + " in --store-dir"
	}
	return standards[name]
}

// print prints every setting and where it comes from. Users and passwords in URLs are left out.
func (in *invocation) print(w io.Writer) error {
	inFile := map[string]string{}
	if in.cfg.NATSConfig != "" {
		opts, err := server.ProcessConfigFile(in.cfg.NATSConfig)
		if opts == nil {
			return fmt.Errorf("cannot read the configuration of the NATS server: %w", err)
		}
		inFile = setByServer(opts)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, flag := range in.flags {
		if len(flag.Envs) == 0 {
			continue
		}
		value, from := shown(flag), in.source(flag.Name)
		switch {
		case from != "":
		case inFile[flag.Name] != "":
			value, from = inFile[flag.Name], in.cfg.NATSConfig
		case in.standard(flag.Name) != "":
			value, from = in.standard(flag.Name), "default"
		default:
			value, from = "-", "not set"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", flag.Name, value, from)
	}
	return table.Flush()
}

// setByServer is what the NATS server's configuration says of settings for which there are flags.
func setByServer(opts *server.Options) map[string]string {
	set := map[string]string{"host": opts.Host, "store-dir": opts.StoreDir}
	if opts.Port != 0 {
		set["port"] = fmt.Sprint(opts.Port)
	}
	if opts.SyncAlways {
		set["sync"] = "always"
	} else if opts.SyncInterval != 0 {
		set["sync"] = opts.SyncInterval.String()
	}
	return set
}

// shown is the value of a flag, for people.
func shown(flag *kong.Flag) string {
	v := flag.Target
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case string:
		if flag.Name == "nats" {
			return creds.Redact(value)
		}
		return value
	case map[string]int:
		return pairs(value)
	case map[string]string: // hooks: verbs, and subjects or URLs
		plain := map[string]string{}
		for verb, target := range value {
			if plain[verb] = target; hooks.OverHTTP(target) {
				plain[verb] = withoutSecrets(target)
			}
		}
		return pairs(plain)
	case Webhooks:
		return value.String()
	case []string:
		return strings.Join(value, ",")
	case Sync:
		if value.Always {
			return "always"
		}
		return value.Every.String()
	default:
		return strings.ToLower(fmt.Sprint(value))
	}
}

// pairs is names and values as a flag takes them.
func pairs[V any](m map[string]V) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s=%v", name, m[name]))
	}
	return strings.Join(list, ",")
}
