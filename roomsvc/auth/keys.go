package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Keys smaller than these are too weak: RFC 7518, sections 3.2 and 3.3.
const (
	minSecretBytes = 32
	minRSABits     = 2048
)

// Keys verify tokens. Each key goes with one algorithm.
type Keys struct {
	keys  []key
	named bool // a token must say with its `kid` which of them it is signed with
}

type key struct {
	id     string
	method jwt.SigningMethod
	verify any
	print  uint64 // stands for the key, wherever it is read
}

// ParseKeys reads a key file: a JSON Web Key Set (RFC 7517), a public key in PEM (RSA for
// RS256, Ed25519 for EdDSA), or else a secret for HS256 of at least 32 bytes, not counting
// trailing line ends.
func ParseKeys(file []byte) (*Keys, error) {
	text := bytes.TrimSpace(file)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		return parseSet(text)
	case bytes.Contains(text, []byte("-----BEGIN")):
		public, err := parsePEM(text)
		if err != nil {
			return nil, err
		}
		return one(public)
	case isPublic(file):
		return nil, errors.New("this is a public key or a key set in a form that roomd does not read, and no secret, since anybody may know it; give it as PEM, or as a JSON Web Key Set that begins with {")
	}
	return one(trimEnd(file))
}

// isPublic reports whether a file that would count as a secret is a public key without its
// PEM lines, an SSH key, or a key set after a byte order mark or without its object:
// anybody who knows it could sign tokens with it.
func isPublic(file []byte) bool {
	text := bytes.TrimSpace(bytes.TrimPrefix(file, []byte("\uFEFF")))
	if bytes.HasPrefix(text, []byte("ssh-")) || (bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("["))) && json.Valid(text) {
		return true
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
	if err != nil {
		der = file
	}
	_, err = x509.ParsePKIXPublicKey(der)
	if err != nil {
		_, err = x509.ParsePKCS1PublicKey(der)
	}
	if err != nil {
		_, err = x509.ParseCertificate(der)
	}
	return err == nil
}

func trimEnd(file []byte) []byte { return bytes.TrimRight(file, "\r\n") }

func one(material any) (*Keys, error) {
	k, err := newKey("", material)
	if err != nil {
		return nil, err
	}
	return &Keys{keys: []key{k}}, nil
}

// newKey finds the algorithm that goes with a key.
func newKey(id string, material any) (key, error) {
	switch m := material.(type) {
	case []byte:
		if len(m) < minSecretBytes {
			return key{}, fmt.Errorf("the secret has %d bytes; HS256 needs %d or more; openssl rand -base64 48 prints one", len(m), minSecretBytes)
		}
		return key{id, jwt.SigningMethodHS256, m, fingerprint(m)}, nil
	case *rsa.PublicKey:
		if m.N.BitLen() < minRSABits {
			return key{}, fmt.Errorf("the RSA key has %d bits; RS256 needs %d or more", m.N.BitLen(), minRSABits)
		}
		return key{id, jwt.SigningMethodRS256, m, fingerprint(x509.MarshalPKCS1PublicKey(m))}, nil
	case ed25519.PublicKey:
		return key{id, jwt.SigningMethodEdDSA, m, fingerprint(m)}, nil
	case *rsa.PrivateKey, ed25519.PrivateKey:
		return key{}, errors.New("this is the private key, which only the maker of the tokens should have; give roomd the public one")
	}
	return key{}, fmt.Errorf("a key of type %T can't be used for HS256, RS256 or EdDSA with Ed25519", material)
}

// parsePEM reads the one key of a PEM file, public or private.
func parsePEM(text []byte) (any, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the PEM file must hold one key and nothing else; several keys go into a JSON Web Key Set")
	}
	var k any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		k, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		k, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("the PEM file holds a %q; it must be a PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("the PEM file's key cannot be read: %w", err)
	}
	return k, nil
}

// parseSet reads a key set. It leaves out keys for encryption; any other key that cannot be
// used is an error, because tokens signed with it would be refused for no visible reason.
func parseSet(text []byte) (*Keys, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("the key set is not valid JSON: %w", err)
	}
	keys := &Keys{named: len(set.Keys) > 1}
	for i, entry := range set.Keys {
		if entry.USE == jwkset.UseEnc {
			continue
		}
		k, err := fromSet(entry)
		if err != nil {
			return nil, fmt.Errorf("key %d of the set (kid %q): %w", i+1, entry.KID, err)
		}
		if keys.named && k.id == "" {
			return nil, fmt.Errorf("key %d of the set has no kid; with several keys each needs one", i+1)
		}
		if keys.find(k.id) != nil {
			return nil, fmt.Errorf("two keys of the set have the kid %q", k.id)
		}
		keys.keys = append(keys.keys, k)
	}
	if len(keys.keys) == 0 {
		return nil, errors.New(`the key set has no key to verify tokens with; it is an object with a list "keys"`)
	}
	return keys, nil
}

func fromSet(entry jwkset.JWKMarshal) (key, error) {
	entry.X5U, entry.X5C = "", nil // the key is in the file; nothing is fetched
	jwk, err := jwkset.NewJWKFromMarshal(entry, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, err
	}
	k, err := newKey(entry.KID, jwk.Key())
	if err == nil && entry.ALG != "" && entry.ALG.String() != k.method.Alg() {
		err = fmt.Errorf("its alg is %q, and roomd uses such a key for %s", entry.ALG, k.method.Alg())
	}
	return k, err
}

// fingerprint stands for a key. It tells nobody anything about a secret that is long enough to be
// one.
func fingerprint(material []byte) uint64 {
	sum := sha256.Sum256(append([]byte("natsrooms token key\n"), material...))
	return binary.BigEndian.Uint64(sum[:8])
}

// Has reports whether a key is one of these; see [Claims].
func (k *Keys) Has(print uint64) bool {
	return slices.ContainsFunc(k.keys, func(o key) bool { return o.print == print })
}

// Gone is how many of these keys are not among others.
func (k *Keys) Gone(others *Keys) (n int) {
	for _, own := range k.keys {
		if !others.Has(own.print) {
			n++
		}
	}
	return n
}

// Len is how many keys there are.
func (k *Keys) Len() int { return len(k.keys) }

func (k *Keys) find(id string) *key {
	for i := range k.keys {
		if k.keys[i].id == id {
			return &k.keys[i]
		}
	}
	return nil
}

// of is the key that a token must be signed with. The algorithm that the token names is
// only compared: an attacker who could choose it would sign with HS256 and the bytes of a
// public key, or not at all.
func (k *Keys) of(token *jwt.Token) (*key, error) {
	if _, ok := token.Header["crit"]; ok { // RFC 7515, section 4.1.11
		return nil, errors.New("it has crit, whose extensions are not supported")
	}
	found := &k.keys[0]
	if id, _ := token.Header["kid"].(string); k.named || found.id != "" && id != "" {
		if found = k.find(id); found == nil {
			return nil, fmt.Errorf("no key has its kid %.64q", id)
		}
	}
	if token.Method.Alg() != found.method.Alg() {
		return nil, fmt.Errorf("its alg is %.16q, and the key is for %s", token.Method.Alg(), found.method.Alg())
	}
	return found, nil
}
