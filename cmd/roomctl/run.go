package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/cmd/internal/creds"
	"natsrooms/cmd/internal/version"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

// Where roomctl looks for a server and an acting user if flags don't name them.
const (
	defaultServer = "nats://127.0.0.1:4222"
	envServer     = "ROOMCTL_SERVER"
	envContext    = "ROOMCTL_CONTEXT"
	envAs         = "ROOMCTL_AS"
)

// newParser is the parser of command lines. exited is called when --help or --version has said
// what there is to say.
func newParser(c *cli, stdout, stderr io.Writer, exited func(int)) *kong.Kong {
	parser, err := kong.New(c, kong.Name("roomctl"), kong.Description(description),
		kong.Vars{"defaultServer": defaultServer, "envServer": envServer, "envContext": envContext, "envAs": envAs, "envToken": envToken, "version": version.String()},
		kong.WithHyphenPrefixedParameters(true), kong.Writers(stdout, stderr), kong.Exit(exited),
		kong.Help(func(_ kong.HelpOptions, k *kong.Context) error {
			return newManual(lookOf(stdout), k.Model).print(stdout, k.Selected())
		}))
	if err != nil {
		panic(err) // the declarations in cli.go are wrong
	}
	return parser
}

// Run executes one command line and returns its exit code. Without any it lists the commands.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := false
	parser := newParser(&c, stdout, stderr, func(int) { exited = true })
	if len(args) == 0 {
		args = []string{"help"}
	}
	parsed, err := parser.Parse(args)
	if exited {
		return exitOK
	}
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	s := &session{options: c.options, args: args, stdin: stdin, stdout: stdout, stderr: stderr, look: lookOf(stdout), abort: abort}
	defer s.close()
	var wrong *kong.ParseError
	switch {
	case errors.As(err, &wrong):
		s.command = commandOf(wrong.Context)
	case err == nil:
		s.command = commandOf(parsed)
	}
	if err == nil {
		err = s.check(parsed)
	} else {
		s.JSON = forPrograms(args)
	}
	if err != nil {
		return s.exit(usageError{err})
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return s.exit(parsed.Run(s))
}

// check refuses what the parser lets pass, and finds the server.
func (s *session) check(parsed *kong.Context) error {
	if s.Timeout < 0 {
		return fmt.Errorf("--timeout is %s; it must be a duration like 15s", s.Timeout)
	}
	for _, arg := range s.args {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("%q is not UTF-8; IDs and texts must be", arg)
		}
	}
	typed := func(name string) bool {
		return slices.ContainsFunc(parsed.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == name })
	}
	switch {
	case s.Context == "":
	case typed("server") && !typed("context"): // what is typed comes before the environment
		s.Context = ""
	case typed("server"):
		return errors.New("--context names the server; leave out --server")
	default:
		s.Server = ""
	}
	if s.Context == "" {
		s.Server = cmp.Or(s.Server, defaultServer)
	}
	return nil
}

// forPrograms reports whether a command line that makes no sense asks for JSON.
func forPrograms(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json-lines")
}

// commandOf is the name of the command that was given, with a trailing blank; it is empty if
// there was none.
func commandOf(c *kong.Context) string {
	if c == nil || c.Selected() == nil {
		return ""
	}
	name := ""
	for n := c.Selected(); n != nil && n.Type == kong.CommandNode; n = n.Parent {
		name = n.Name + " " + name
	}
	return name
}

// session is one run of roomctl.
type session struct {
	options
	args           []string
	command        string // its name and a trailing blank
	stdin          io.Reader
	stdout, stderr io.Writer
	look           look
	abort          context.CancelCauseFunc // aborts what is in progress

	nc        *nats.Conn
	expires   time.Time                          // when the token expires; zero: it never does, or there is none
	forbidden atomic.Pointer[context.CancelFunc] // what is called instead when the server forbids something; nil: nothing
	userForm  bool                               // commands are sent on the subjects that only the user's own clients may use
	domain    string                             // of JetStream; empty: that of the server
	replies   []jsontext.Value                   // as they arrived
	lists     listing                            // of the replies
	requestID string                             // set for a command that changes something
	next      map[*room.Code][]string            // what to type after a refusal
}

// client connects.
func (s *session) client() (*client.Client, error) {
	if err := s.dial(); err != nil {
		return nil, err
	}
	return client.New(s.nc, client.Config{
		UserID: s.As, UserForm: s.userForm, SessionID: s.Session, Timeout: s.Timeout, Once: true,
		OnReply: func(_ room.Verb, reply jsontext.Value) { s.replies = append(s.replies, reply) },
	}), nil
}

// dial connects as the user that the flags name.
func (s *session) dial(opts ...nats.Option) error {
	bearer, err := s.bearer()
	if err == nil {
		s.nc, err = s.connect(append(bearer, opts...)...)
	}
	return err
}

// actor connects for a command that needs a user who acts.
func (s *session) actor() (*client.Client, error) {
	nobody := usageError{errors.New("nobody acts; name a user with --as USER, or for all that follows in " + envAs)}
	if s.As == "" && s.Token == "" {
		return nil, nobody
	}
	c, err := s.client()
	if err == nil && s.As == "" { // a back end's token names no user to act for
		return nil, nobody
	}
	return c, err
}

// connect does not wait or retry: a server that is not there now counts as missing.
func (s *session) connect(opts ...nats.Option) (*nats.Conn, error) {
	opts = append([]nats.Option{
		nats.Name("roomctl"),
		nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrPermissionViolation) {
				return
			}
			if give := s.forbidden.Load(); give != nil {
				(*give)()
				return
			}
			s.abort(err)
		}),
	}, opts...)
	if s.Creds != "" {
		user, err := creds.Read(s.Creds)
		if err != nil {
			return nil, usageError{fmt.Errorf("--creds cannot be used (%w); %s", err, creds.Kinds)}
		}
		opts = append(opts, user)
	}
	nc, err := s.reach(opts)
	var badURL *url.Error
	var slow net.Error
	var untrusted *tls.CertificateVerificationError
	var usage usageError
	switch {
	case err == nil:
		return nc, nil
	case errors.As(err, &usage):
		return nil, err
	case errors.As(err, &badURL):
		return nil, usageError{fmt.Errorf("%s is not the URL of a NATS server", s.place())}
	case errors.As(err, &untrusted):
		return nil, untrustedError{s.place(), untrusted}
	case errors.Is(err, nats.ErrNoServers):
		return nil, fmt.Errorf("%w at %s", errNoServer, s.place())
	case unwelcome(err):
		return nil, fmt.Errorf("%w at %s that lets you in (%w)", errNoServer, s.place(), err)
	case errors.As(err, &slow) && slow.Timeout():
		return nil, fmt.Errorf("%w at %s that answers (%w)", errNoServer, s.place(), err)
	}
	return nil, fmt.Errorf("%w at %s (%w)", errNoServer, s.place(), err)
}

// jetStream is for the streams of the domain where the service has them.
func (s *session) jetStream() (jetstream.JetStream, error) {
	if s.domain != "" {
		return jetstream.NewWithDomain(s.nc, s.domain)
	}
	return jetstream.New(s.nc)
}

func (s *session) close() {
	if s.nc != nil {
		s.nc.Close()
	}
}

// caller is the user who acts, for a command that changes something.
func (s *session) caller(f requestFlag) room.Caller {
	s.requestID = cmp.Or(f.RequestID, nuid.Next())
	return room.Caller{UserID: s.As, UserName: s.UserName, SessionID: s.Session, RequestID: s.requestID}
}

// typed is a command line as a person would type it next, with those flags of this one that
// the environment does not set.
func (s *session) typed(args ...string) string {
	var flags []string
	if s.Context != "" && s.Context != os.Getenv(envContext) {
		flags = append(flags, "--context", s.Context)
	}
	if s.Context == "" && s.Server != cmp.Or(os.Getenv(envServer), defaultServer) && creds.Redact(s.Server) == s.Server {
		flags = append(flags, "-s", s.Server)
	}
	if s.Creds != "" {
		flags = append(flags, "--creds", s.Creds)
	}
	if s.Token != "" && s.Token != os.Getenv(envToken) {
		flags = append(flags, "--token", s.Token)
	}
	if s.As != "" && s.As != os.Getenv(envAs) && (s.EndUser || !s.userForm) {
		flags = append(flags, "--as", s.As)
	}
	if s.EndUser {
		flags = append(flags, "--end-user")
	}
	if s.Session != "" {
		flags = append(flags, "--session", s.Session)
	}
	return commandLine(append(args, flags...))
}

// commandLine is roomctl with arguments, quoted so that a shell does not change them.
func commandLine(args []string) string {
	line := []string{"roomctl"}
	for _, arg := range args {
		line = append(line, shellWord(arg))
	}
	return strings.Join(line, " ")
}

func shellWord(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.TrimFunc(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
