package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/natscontext"

	"natsrooms/cmd/internal/creds"
)

// reach connects to the server that was named, or to that of a context.
func (s *session) reach(opts []nats.Option) (*nats.Conn, error) {
	if s.Context == "" {
		return nats.Connect(s.Server, opts...)
	}
	nc, settings, err := natscontext.Connect(s.Context, opts...)
	var missing *os.PathError
	switch {
	case err == nil && settings.NSCLookup != "": // the library reads nothing of what nsc says
		nc.Close()
		return nil, usageError{fmt.Errorf("--context: %s takes its settings from nsc, which roomctl cannot ask; use -s URL --creds FILE", word(s.Context))}
	case err == nil:
		s.Server, s.domain = settings.URL, cmp.Or(s.domain, settings.JSDomain)
		return nc, nil
	case errors.As(err, &missing), isContext(err):
		return nil, usageError{fmt.Errorf("--context: %s cannot be used: %w", word(s.Context), err)}
	}
	return nil, err
}

// isContext reports whether an error is about the context itself, and not about the server.
func isContext(err error) bool {
	var badURL *url.Error
	for _, of := range []string{"unknown context", "invalid context", "cannot find 'nsc'", "nsc invoke", "could not parse nsc", "json:", "invalid character", "unexpected end of JSON", "nkeys:", "windows cert"} {
		if strings.Contains(err.Error(), of) {
			return true
		}
	}
	return errors.As(err, &badURL)
}

// place is where the server is, for people.
func (s *session) place() string {
	if s.Server == "" {
		return "the server of the context " + word(s.Context)
	}
	return creds.Redact(s.Server)
}

// contexts is the names of the contexts of the nats command line.
func contexts() []string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(home, ".config")
	}
	files, err := filepath.Glob(filepath.Join(dir, "nats", "context", "*.json"))
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files
}
