package journal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// CheckDomain refuses what can be no name of a JetStream domain; the empty name is none at all.
func CheckDomain(domain string) error {
	if strings.ContainsAny(domain, ".*> \t\r\n") {
		return fmt.Errorf("%q is no JetStream domain: its name has no dots, blanks, * or >", domain)
	}
	return nil
}

// jetStream is the JetStream of a domain; with no domain, the one that the connection is in.
func jetStream(nc *nats.Conn, domain string) (jetstream.JetStream, error) {
	if domain == "" {
		return jetstream.New(nc)
	}
	return jetstream.NewWithDomain(nc, domain)
}

// noJetStream says why there is no JetStream. It must not make anybody switch one on where the
// rooms are stored elsewhere, which would give them a second journal.
func noJetStream(nc *nats.Conn, domain string, err error) error {
	at := nc.ConnectedUrlRedacted()
	off := errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
	silent := errors.Is(err, nats.ErrNoResponders) && !Passing(nc, err)
	switch {
	case domain != "" && (off || silent):
		return fmt.Errorf("no JetStream with the domain %q answers at %s; correct --js-domain (JSDomain of roomsvc.Config), or see that the server there, or one that its leaf nodes lead to, has it and that the account may use it", domain, at)
	case off || silent:
		return fmt.Errorf("JetStream is off at %s. If that server is a leaf node and rooms are stored behind it, leave it off and name the domain that they are stored in (--js-domain, JSDomain of roomsvc.Config); otherwise switch it on there (a jetstream block in its configuration), rooms are stored in it", at)
	}
	return fmt.Errorf("asking %s about JetStream: %w", at, err)
}
