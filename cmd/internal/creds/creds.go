// Package creds is how the programs identify themselves to a NATS server, and how they
// keep the secrets of that out of what people see.
package creds

import (
	"errors"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Kinds is what Read accepts, for use in an error message.
const Kinds = "name a .creds file, one with an nkey seed, or one with a line user:password"

// Read reads a file of credentials for a server: a .creds file as the nsc tool writes it,
// the seed of an nkey, or a user and a password separated by a colon.
func Read(file string) (nats.Option, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(raw))
	if strings.Contains(text, "BEGIN NATS USER JWT") {
		// The client reads the file again at each connect, so it may be replaced meanwhile. But
		// then a bad file would look as if the server were away, so it is checked here.
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

// Redact takes users and passwords out of a list of server URLs. A URL without a scheme
// may have a password too, and a password may contain any character except a comma.
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
