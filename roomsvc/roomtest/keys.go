package roomtest

import (
	"testing"

	"github.com/nats-io/nkeys"
)

// KeyPair makes a key with create, which is [nkeys.CreateUser] or one like it. It also returns
// the public key, and the seed as a line of a file.
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
