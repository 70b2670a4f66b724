package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Sign makes a token, to try things out and as an example of what a back end makes. file is
// what tokens are signed with: a private key in PEM, or the secret for HS256. keyID is the
// `kid` of that key in a key set, if there is one.
func Sign(file []byte, keyID string, c Claims) (string, error) {
	method, private, err := signer(file)
	if err != nil {
		return "", err
	}
	w := wire{RegisteredClaims: jwt.RegisteredClaims{Subject: string(c.User), IssuedAt: jwt.NewNumericDate(time.Now())}}
	if w.ID = c.ID; !c.Issued.IsZero() {
		w.IssuedAt = jwt.NewNumericDate(c.Issued)
	}
	if !c.Expires.IsZero() {
		w.ExpiresAt = jwt.NewNumericDate(c.Expires)
	}
	if c.Rooms != nil {
		w.Rooms, _ = json.Marshal(c.Rooms)
	}
	if c.Hosts != nil {
		w.Hosts, _ = json.Marshal(c.Hosts)
	}
	if c.Name != nil {
		w.Name, _ = json.Marshal(c.Name)
	}
	w.Info = json.RawMessage(c.Info)
	if c.Verbs != nil {
		w.Verbs, _ = json.Marshal(c.Verbs)
	}
	if c.Admin {
		w.Admin = json.RawMessage("true")
	}
	if _, err := w.claims(); err != nil {
		return "", fmt.Errorf("nobody would accept that token: %w", err)
	}
	token := jwt.NewWithClaims(method, &w)
	if keyID != "" {
		token.Header["kid"] = keyID
	}
	return token.SignedString(private)
}

func signer(file []byte) (jwt.SigningMethod, any, error) {
	if !bytes.Contains(file, []byte("-----BEGIN")) {
		k, err := newKey("", trimEnd(file))
		return k.method, k.verify, err
	}
	private, err := parsePEM(bytes.TrimSpace(file))
	if err != nil {
		return nil, nil, err
	}
	switch private.(type) {
	case *rsa.PrivateKey:
		return jwt.SigningMethodRS256, private, nil
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA, private, nil
	}
	return nil, nil, errors.New("tokens are signed with a private key, RSA or Ed25519, or with a secret")
}

// Peek reads what a token says without verifying it, for a client that holds one and wants
// to know whose it is.
func Peek(token string) (*Claims, error) {
	var w wire
	if _, _, err := jwt.NewParser().ParseUnverified(token, &w); err != nil {
		return nil, err
	}
	return w.claims()
}
