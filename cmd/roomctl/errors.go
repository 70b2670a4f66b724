package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/cmd/internal/creds"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

// The exit codes.
const (
	exitOK = iota
	exitRefused
	exitUsage
	exitNoServer
	exitNoService
	exitUnknown
)

// exits explains them.
var exits = []struct {
	code  int
	means string
}{
	{exitOK, "done; for watch and top: ended by a signal or a key"},
	{exitRefused, "refused, by the service or by the NATS server's permissions, and nothing happened; for doctor: something is not well"},
	{exitUsage, "the command line makes no sense"},
	{exitNoServer, "no NATS server can be reached"},
	{exitNoService, "a NATS server is there, but no room service answers"},
	{exitUnknown, "no outcome: the service is busy, does not answer, or does not know whether it happened; --request-id makes it safe to try again"},
}

// problem is an error of roomctl itself, as programs see it; what the service refuses has the
// service's codes.
type problem struct{ code, means string }

var (
	problemUsage     = problem{"USAGE", "the command line makes no sense; `field` names the flag or argument if it is one alone"}
	problemForbidden = problem{"FORBIDDEN", "the NATS server's permissions do not allow it"}
	problemUndone    = problem{"NOTHING_DONE", "none of what was asked for could be done; the reply, on standard output, says why"}
	problemUnwell    = problem{"NOT_WELL", "`roomctl doctor` found something; its document, on standard output, says what"}
	problemNoServer  = problem{"NO_SERVER", "no NATS server can be reached, or none that lets one in"}
	problemNoService = problem{"NO_SERVICE", "no room service answers at the NATS server"}
	problemNoOutcome = problem{"NO_OUTCOME", "no answer came; `outcome` says whether something may have happened"}
)

// problems are all of them.
var problems = []problem{problemUsage, problemForbidden, problemUndone, problemUnwell, problemNoServer, problemNoService, problemNoOutcome}

// problemBody is such an error as JSON.
type problemBody struct {
	Error struct {
		Code    string       `json:"code"`
		Message string       `json:"message"`
		Field   string       `json:"field,omitzero"`
		Hint    string       `json:"hint,omitzero"` // what to type or do next
		Outcome room.Outcome `json:"outcome"`
	} `json:"error"`
}

var errNoServer = errors.New("there is no NATS server")

// untrustedError is a server that is there, but can't prove that it is the right one.
type untrustedError struct {
	server string
	why    *tls.CertificateVerificationError
}

func (e untrustedError) Error() string {
	line := "the server at " + e.server + " has a certificate that is not trusted here"
	if _, ok := errors.AsType[x509.UnknownAuthorityError](e.why); ok {
		return line + "; name its CA in SSL_CERT_FILE"
	}
	return fmt.Sprintf("%s (%v)", line, e.why.Err)
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// undoneError is a success that changed nothing: none of what was asked for could be done.
type undoneError struct{ what, hint string }

func (e undoneError) Error() string { return e.what }

func exitCode(err error) int {
	var refused *room.Error
	var usage usageError
	var undone undoneError
	var untrusted untrustedError
	var found unwellError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &refused):
		if refused.Outcome == room.Unknown || errors.Is(err, room.ErrBusy) {
			return exitUnknown
		}
		return exitRefused
	case errors.As(err, &found):
		if found.why != nil {
			return exitCode(found.why)
		}
		return exitRefused
	case errors.Is(err, nats.ErrPermissionViolation), errors.As(err, &undone):
		return exitRefused
	case errors.As(err, &usage), errors.Is(err, nats.ErrMaxPayload):
		return exitUsage
	case errors.Is(err, errNoServer), errors.As(err, &untrusted):
		return exitNoServer
	case errors.Is(err, client.ErrNoService):
		return exitNoService
	}
	return exitUnknown
}

// exit says what went wrong and what to type next, and returns the exit code.
func (s *session) exit(err error) int {
	if err == nil {
		return exitOK
	}
	if s.programs() {
		if body, err := json.Marshal(s.errorBody(err)); err == nil {
			fmt.Fprintf(s.stderr, "%s\n", body)
		}
		return exitCode(err)
	}
	fmt.Fprintf(s.stderr, "roomctl: %s\n", s.sentence(err))
	if hint := s.hint(err); hint != "" {
		fmt.Fprintf(s.stderr, "  %s\n", hint)
	}
	return exitCode(err)
}

// errorBody is an error as programs see it: a refusal as it came, or one of the problems.
func (s *session) errorBody(err error) any {
	var refused *room.Error
	if errors.As(err, &refused) {
		return refused.Body()
	}
	var b problemBody
	e := &b.Error
	e.Code, e.Message, e.Hint, e.Outcome = problemOf(err).code, s.sentence(err), s.hint(err), room.None
	switch exitCode(err) {
	case exitUsage:
		e.Field = fieldOf(e.Message)
	case exitUnknown:
		if s.requestID != "" {
			e.Outcome = room.Unknown
		}
	}
	return b
}

func problemOf(err error) problem {
	if errors.Is(err, errUnwell) {
		return problemUnwell
	}
	switch exitCode(err) {
	case exitUsage:
		return problemUsage
	case exitNoServer:
		return problemNoServer
	case exitNoService:
		return problemNoService
	case exitRefused:
		if errors.Is(err, nats.ErrPermissionViolation) {
			return problemForbidden
		}
		return problemUndone
	}
	return problemNoOutcome
}

// named is a flag in a sentence, or an argument as the parser writes it.
var named = regexp.MustCompile(`--[a-z][a-z-]*|<([a-z=-]+)>`)

// fieldOf is the first flag or argument that a sentence names.
func fieldOf(sentence string) string {
	m := named.FindStringSubmatch(sentence)
	if m == nil {
		return ""
	}
	return cmp.Or(m[1], m[0])
}

func (s *session) sentence(err error) string {
	var refused *room.Error
	switch {
	case errors.As(err, &refused):
		return printable(refused.Message)
	case errors.Is(err, nats.ErrPermissionViolation):
		what := err.Error()
		if _, after, ok := strings.Cut(what, nats.ErrPermissionViolation.Error()+": "); ok {
			what = after
		}
		return fmt.Sprintf("the NATS server does not allow it (%s)", what)
	case errors.Is(err, client.ErrNoService):
		return fmt.Sprintf("there is a NATS server at %s, but no room service answers there", s.place())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s%s", s.Timeout, s.maybe())
	case errors.Is(err, context.Canceled):
		return "stopped before it was done" + s.maybe()
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected):
		if s.expired() {
			return "the server ended the connection, since the token had expired" + s.maybe()
		}
		return "the connection broke before the answer came" + s.maybe()
	}
	if line := noValue(err); line != "" {
		return line
	}
	// kong lists a flag's empty default too.
	return strings.Replace(err.Error(), `,"" but got`, " but got", 1)
}

// maybe is what can be said about a change whose answer is missing.
func (s *session) maybe() string {
	if s.requestID == "" {
		return ""
	}
	return "; whether it happened is not known"
}

// hint is what to type next, if that helps.
func (s *session) hint(err error) string {
	var refused *room.Error
	var undone undoneError
	if errors.Is(err, errUnwell) {
		return ""
	}
	switch exitCode(err) {
	case exitRefused:
		switch {
		case errors.As(err, &refused):
			return s.nextHint(s.next[refused.Code])
		case errors.As(err, &undone):
			return undone.hint
		case errors.Is(err, nats.ErrPermissionViolation) && s.As != "" && !s.userForm:
			return "if you connect as an end user that the server knows: add --end-user"
		}
	case exitUsage:
		return "see: roomctl " + s.command + "--help"
	case exitNoServer:
		return s.unmetHint(err)
	case exitNoService:
		if s.Server == "" {
			return "start one: roomd --nats URL"
		}
		return "start one: roomd --nats " + shellWord(creds.Redact(s.Server))
	case exitUnknown:
		if s.expired() {
			return s.newToken()
		}
		if errors.As(err, &refused) && refused.Outcome == room.None || s.requestID == "" {
			return "try again: " + commandLine(s.args)
		}
		return "to find out, and make it happen if it did not: " + s.again()
	}
	return ""
}

// unmetHint is what to try where no server is, or none that lets one in.
func (s *session) unmetHint(err error) string {
	switch {
	case unwelcome(err) && s.expired():
		return s.newToken()
	case unwelcome(err) && s.Token != "" && s.Creds != "":
		return "the server does not accept the token with these credentials; the log of roomd says why, or nothing if the server refused the credentials by itself"
	case unwelcome(err) && s.Token != "":
		return "the server does not accept the token; the log of roomd says why, or nothing if it was not asked: a server in operator mode wants sentinel credentials as well, with --creds FILE"
	case unwelcome(err) && s.Creds != "":
		return "the server does not accept these credentials; if they are sentinel credentials, add the user's token with --token FILE"
	case unwelcome(err):
		return "name a credentials file with --creds FILE, a token with --token FILE, or a user with -s nats://USER:PASSWORD@HOST:PORT"
	case !errors.Is(err, errNoServer):
		return ""
	case s.Server == defaultServer:
		return "start one that serves rooms: roomd"
	}
	return "name another with -s URL, or in " + envServer
}

// expired reports whether there is a token and it has expired.
func (s *session) expired() bool { return !s.expires.IsZero() && time.Now().After(s.expires) }

func (s *session) newToken() string {
	return "the token was valid until " + s.expires.Format(time.DateTime) + "; ask for a new one"
}

// unwelcome reports whether the server is there, but does not let this roomctl in.
func unwelcome(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired)
}

// nextHint is empty if an ID would be taken for a flag: better no hint than a wrong one.
func (s *session) nextHint(args []string) string {
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") && arg != createFlag {
			return ""
		}
	}
	if len(args) == 0 {
		return ""
	}
	return "try: " + s.typed(args...)
}

// which is the command that lists rooms: all of them, or an end user's own.
func (s *session) which() []string {
	if s.userForm {
		return []string{"rooms"}
	}
	return []string{"ls"}
}

// again is the same command line with the request's ID.
func (s *session) again() string {
	for _, arg := range s.args {
		if arg == "--request-id" || strings.HasPrefix(arg, "--request-id=") {
			return commandLine(s.args)
		}
	}
	flag := "--request-id=" + s.requestID
	if end := slices.Index(s.args, "--"); end >= 0 {
		return commandLine(slices.Insert(slices.Clone(s.args), end, flag))
	}
	return commandLine(append(slices.Clone(s.args), flag))
}
