package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"natsrooms/roomsvc/auth"
)

const secret = "a secret that only this test knows, 48 bytes long"

// material is key pairs of each kind, made once.
type material struct {
	rsa, otherRSA *rsa.PrivateKey
	ed            ed25519.PrivateKey
}

func makeKeys(t *testing.T) material {
	t.Helper()
	var m material
	var err error
	if m.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if m.otherRSA, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if _, m.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return m
}

func publicPEM(t *testing.T, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func privatePEM(t *testing.T, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// set makes a key set from keys by their IDs.
func set(t *testing.T, keys map[string]any) []byte {
	t.Helper()
	var s jwkset.JWKSMarshal
	for id, k := range keys {
		alg := jwkset.ALG("")
		if _, ok := k.([]byte); ok {
			alg = jwkset.AlgHS256
		}
		jwk, err := jwkset.NewJWKFromKey(k, jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: alg}, Marshal: jwkset.JWKMarshalOptions{Private: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Keys = append(s.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parse(t *testing.T, file []byte) *auth.Keys {
	t.Helper()
	k, err := auth.ParseKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// forge signs exactly as told, even if it makes no sense.
func forge(t *testing.T, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEachKindOfKey(t *testing.T) {
	t.Parallel()
	m := makeKeys(t)
	for name, c := range map[string]struct {
		verify, sign []byte
		id           string
	}{
		"secret":            {[]byte(secret), []byte(secret), ""},
		"secret, newlines":  {[]byte(secret + "\r\n"), []byte(secret + "\n"), ""},
		"RSA":               {publicPEM(t, m.rsa), privatePEM(t, m.rsa), ""},
		"Ed25519":           {publicPEM(t, m.ed), privatePEM(t, m.ed), ""},
		"a set of one":      {set(t, map[string]any{"a": &m.rsa.PublicKey}), privatePEM(t, m.rsa), ""},
		"a set of one, kid": {set(t, map[string]any{"a": &m.rsa.PublicKey}), privatePEM(t, m.rsa), "a"},
		"a set, RSA":        {set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public(), "c": []byte(secret)}), privatePEM(t, m.rsa), "a"},
		"a set, Ed25519":    {set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public(), "c": []byte(secret)}), privatePEM(t, m.ed), "b"},
		"a set, secret":     {set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public(), "c": []byte(secret)}), []byte(secret), "c"},
	} {
		token, err := auth.Sign(c.sign, c.id, auth.Claims{User: "alice", Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if claims, err := parse(t, c.verify).Read(token, ""); err != nil || claims.User != "alice" {
			t.Errorf("%s: %+v, %v", name, claims, err)
		}
	}
}

func TestTokensSignedWithTheWrongKey(t *testing.T) {
	t.Parallel()
	m := makeKeys(t)
	alice := jwt.MapClaims{"sub": "alice"}
	rsaKey, both := publicPEM(t, m.rsa), set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public(), "c": []byte(secret)})
	none := jwt.UnsafeAllowNoneSignatureType
	good := forge(t, jwt.SigningMethodRS256, m.rsa, "", alice)
	for name, c := range map[string]struct {
		file  []byte
		token string
	}{
		"no algorithm":                     {rsaKey, forge(t, jwt.SigningMethodNone, none, "", alice)},
		"no algorithm, secret":             {[]byte(secret), forge(t, jwt.SigningMethodNone, none, "", alice)},
		"no algorithm, set":                {both, forge(t, jwt.SigningMethodNone, none, "a", alice)},
		"HS256 by the public key's file":   {rsaKey, forge(t, jwt.SigningMethodHS256, rsaKey, "", alice)},
		"HS256 by its trimmed file":        {rsaKey, forge(t, jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(rsaKey))), "", alice)},
		"HS256 by the public key, Ed25519": {publicPEM(t, m.ed), forge(t, jwt.SigningMethodHS256, []byte(m.ed.Public().(ed25519.PublicKey)), "", alice)},
		"HS256 by a key of the set":        {both, forge(t, jwt.SigningMethodHS256, []byte(m.ed.Public().(ed25519.PublicKey)), "b", alice)},
		"HS512 by the right secret":        {[]byte(secret), forge(t, jwt.SigningMethodHS512, []byte(secret), "", alice)},
		"PS256 by the right key":           {rsaKey, forge(t, jwt.SigningMethodPS256, m.rsa, "", alice)},
		"another secret":                   {[]byte(secret), forge(t, jwt.SigningMethodHS256, []byte(secret+"x"), "", alice)},
		"another RSA key":                  {rsaKey, forge(t, jwt.SigningMethodRS256, m.otherRSA, "", alice)},
		"another key of the set":           {both, forge(t, jwt.SigningMethodRS256, m.rsa, "b", alice)},
		"a kid that is not in the set":     {both, forge(t, jwt.SigningMethodRS256, m.rsa, "z", alice)},
		"no kid, several keys":             {both, forge(t, jwt.SigningMethodRS256, m.rsa, "", alice)},
		"a kid that is not the only key's": {set(t, map[string]any{"a": &m.rsa.PublicKey}), forge(t, jwt.SigningMethodRS256, m.rsa, "b", alice)},
		"signature cut off":                {rsaKey, good[:strings.LastIndexByte(good, '.')+1]},
		"signature of another payload":     {rsaKey, good[:strings.IndexByte(good, '.')] + ".eyJzdWIiOiJib2IifQ" + good[strings.LastIndexByte(good, '.'):]},
		"no token":                         {rsaKey, "password"},
		"nothing":                          {rsaKey, ""},
	} {
		if claims, err := parse(t, c.file).Read(c.token, ""); err == nil {
			t.Errorf("%s: %q gets in", name, claims.User)
		}
	}
}

func TestUnusableKeyFiles(t *testing.T) {
	t.Parallel()
	m := makeKeys(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, says string }{
		"nothing":               {"", "0 bytes"},
		"a short secret":        {"0123456789012345678901234567890\n", "has 31 bytes"},
		"a private key":         {string(privatePEM(t, m.rsa)), "the private key"},
		"two keys":              {string(publicPEM(t, m.rsa)) + string(publicPEM(t, m.ed)), "one key and nothing else"},
		"a weak key":            {string(publicPEM(t, weak)), "has 1024 bits"},
		"another curve":         {string(publicPEM(t, ec)), "can't be used for HS256"},
		"a certificate":         {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", `"CERTIFICATE"`},
		"a torn key":            {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"},
		"no JSON":               {"{", "not valid JSON"},
		"no keys":               {`{"keys":[]}`, "has no key"},
		"one key alone":         {`{"kty":"oct","k":"AAAA"}`, `a list "keys"`},
		"private keys of a set": {string(set(t, map[string]any{"a": m.rsa})), "the private key"},
		"keys without kid":      {strings.Replace(string(set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public()})), `"kid":"a"`, `"kid":""`, 1), "has no kid"},
		"one kid twice":         {strings.Replace(string(set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public()})), `"kid":"a"`, `"kid":"b"`, 1), "two keys"},
		"a key of another alg":  {`{"keys":[{"kty":"oct","alg":"HS512","k":"` + strings.Repeat("A", 86) + `"}]}`, `alg is "HS512"`},
	} {
		if _, err := auth.ParseKeys([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want it to say %q", name, err, c.says)
		}
	}
}

// What anybody may know is no secret: with it anybody could sign tokens.
func TestPublicKeysAreNotSecrets(t *testing.T) {
	t.Parallel()
	m := makeKeys(t)
	block, _ := pem.Decode(publicPEM(t, m.rsa))
	text := base64.StdEncoding.EncodeToString(block.Bytes)
	ed, _ := pem.Decode(publicPEM(t, m.ed))
	both := string(set(t, map[string]any{"a": &m.rsa.PublicKey, "b": m.ed.Public()}))
	for name, file := range map[string]string{
		"PEM without its lines": text + "\n",
		"in lines":              text[:64] + "\n" + text[64:128] + "\r\n" + text[128:],
		"Ed25519":               base64.StdEncoding.EncodeToString(ed.Bytes),
		"PKCS 1":                base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&m.rsa.PublicKey)),
		"DER":                   string(block.Bytes),
		"SSH":                   "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q a@b\n",
		"a marked set":          "\uFEFF" + both,
		"a list":                both[strings.Index(both, "["):strings.LastIndex(both, "}")],
	} {
		keys, err := auth.ParseKeys([]byte(file))
		if err == nil {
			_, err = keys.Read(forge(t, jwt.SigningMethodHS256, []byte(strings.TrimRight(file, "\r\n")), "", jwt.MapClaims{"sub": "mallory", "admin": true}), "")
			t.Errorf("%s is taken for a secret; signing with it: %v", name, err)
		} else if !strings.Contains(err.Error(), "no secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
