package roomtest

import (
	"testing"

	"github.com/nats-io/nkeys"
)

// KeyPair makes a key, as [nkeys.CreateUser] or one of its kind does, with its public key
// and with its seed as a line of a file.
func KeyPair(t testing.TB, create func() (nkeys.KeyPair, error)) (key nkeys.KeyPair, public, seed string) {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = key.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return key, public, string(raw) + "\n"
}
