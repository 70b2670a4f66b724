// Package creds is how the programs say to a NATS server who they are, and to people no
// more of it than they may see.
package creds

import (
	"errors"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Kinds is what Read takes, for an error's sentence.
const Kinds = "name a .creds file, one with an nkey seed, or one with a line user:password"

// Read reads a file that says who somebody is to a server: a .creds file as the nsc
// tool writes it, the seed of an nkey, or a user and a password with a colon between.
func Read(file string) (nats.Option, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(raw))
	if strings.Contains(text, "BEGIN NATS USER JWT") {
		// The client reads it again at each connect, so that it may be replaced meanwhile; what
		// it would say of a bad one then looks like a server that is away.
		if _, err := nkeys.ParseDecoratedUserNKey(raw); err != nil {
			return nil, err
		}
		return nats.UserCredentials(file), nil
	}
	if key, err := nkeys.FromSeed([]byte(text)); err == nil {
		public, err := key.PublicKey()
		return nats.Nkey(public, key.Sign), err
	}
	user, password, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(text, "\n") {
		return nil, errors.New("it holds no credentials")
	}
	return nats.UserInfo(user, password), nil
}

// Redact takes users and passwords out of a list of server URLs. One without a scheme may
// have a password too, and a password may have any sign in it but the comma.
func Redact(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		scheme, rest, ok := strings.Cut(server, "://")
		if !ok || strings.ContainsAny(scheme, ":@") {
			scheme, rest = "", server
		} else {
			scheme += "://"
		}
		list[i] = scheme + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return strings.Join(list, ",")
}
