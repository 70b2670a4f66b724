package auth_test

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/policy"
	"natsrooms/subjects"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	keys := parse(t, []byte(secret))
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   auth.Claims
	}{
		"a user":      {jwt.MapClaims{"sub": "al.ice"}, auth.Claims{User: "al.ice"}},
		"for a while": {jwt.MapClaims{"sub": "alice", "exp": soon.Unix(), "nbf": 1}, auth.Claims{User: "alice", Expires: soon}},
		"rooms":       {jwt.MapClaims{"sub": "alice", "exp": soon.Unix(), "rooms": []string{"a", "b.c"}}, auth.Claims{User: "alice", Expires: soon, Rooms: []subjects.Room{"a", "b.c"}}},
		"no rooms":    {jwt.MapClaims{"sub": "alice", "exp": soon.Unix(), "rooms": []string{}}, auth.Claims{User: "alice", Expires: soon, Rooms: []subjects.Room{}}},
		"verbs":       {jwt.MapClaims{"sub": "alice", "verbs": []string{"get", "send"}}, auth.Claims{User: "alice", Verbs: []string{"get", "send"}}},
		"a back end":  {jwt.MapClaims{"sub": "alice", "admin": true}, auth.Claims{User: "alice", Admin: true}},
		"no back end": {jwt.MapClaims{"sub": "alice", "admin": false, "verbs": []string{"get"}}, auth.Claims{User: "alice", Verbs: []string{"get"}}},
		"more":        {jwt.MapClaims{"sub": "alice", "iss": "us", "given_name": "Alice"}, auth.Claims{User: "alice"}},
		"called":      {jwt.MapClaims{"sub": "alice", "name": "Alice", "info": map[string]int{"age": 9}}, auth.Claims{User: "alice", Name: new("Alice"), Info: []byte(`{"age":9}`)}},
		"nobody":      {jwt.MapClaims{"sub": "alice", "name": ""}, auth.Claims{User: "alice", Name: new("")}},
		"a host":      {jwt.MapClaims{"sub": "alice", "exp": soon.Unix(), "host": []string{"a", "b.c"}}, auth.Claims{User: "alice", Expires: soon, Hosts: []subjects.Room{"a", "b.c"}}},
		"an ID":       {jwt.MapClaims{"sub": "alice", "jti": "T1", "iat": 1700000000}, auth.Claims{User: "alice", ID: "T1", Issued: time.Unix(1700000000, 0)}},
		"too early":   {jwt.MapClaims{"sub": "alice", "nbf": time.Now().Add(20 * time.Second).Unix()}, auth.Claims{User: "alice"}},
	} {
		got, err := keys.Read(forge(t, jwt.SigningMethodHS256, []byte(secret), "", c.claims), "")
		if err != nil || !got.Expires.Equal(c.want.Expires) {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if !keys.Has(got.Key) {
			t.Errorf("%s: no key is named %x", name, got.Key)
		}
		got.Expires, got.Key = c.want.Expires, 0
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}

// A token is good for half a minute more than it says, because clocks differ, and so is what comes
// from it.
func TestLeeway(t *testing.T) {
	t.Parallel()
	keys := parse(t, []byte(secret))
	ended := time.Now().Add(-20 * time.Second).Truncate(time.Second)
	got, err := keys.Read(forge(t, jwt.SigningMethodHS256, []byte(secret), "", jwt.MapClaims{"sub": "alice", "exp": ended.Unix(), "rooms": []string{"a"}}), "")
	if err != nil || !got.Until().Equal(ended.Add(30*time.Second)) || !got.Grant().Until.Time().Equal(got.Until()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := keys.Read(forge(t, jwt.SigningMethodHS256, []byte(secret), "", jwt.MapClaims{"sub": "alice", "exp": ended.Add(-11 * time.Second).Unix()}), ""); err == nil {
		t.Error("it is good for longer")
	}
}

func TestRefusedClaims(t *testing.T) {
	t.Parallel()
	keys := parse(t, []byte(secret))
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		says   string
	}{
		"no user":           {jwt.MapClaims{}, "its sub is empty"},
		"a long user":       {jwt.MapClaims{"sub": strings.Repeat("x", 129)}, "longer than 128 bytes"},
		"a control":         {jwt.MapClaims{"sub": "al\nice"}, "control character"},
		"a number":          {jwt.MapClaims{"sub": 7}, "malformed"},
		"expired":           {jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(-time.Minute).Unix()}, "expired"},
		"exp a text":        {jwt.MapClaims{"sub": "alice", "exp": "tomorrow"}, "malformed"},
		"not yet":           {jwt.MapClaims{"sub": "alice", "nbf": time.Now().Add(time.Hour).Unix()}, "not valid yet"},
		"rooms a text":      {jwt.MapClaims{"sub": "alice", "rooms": "lobby"}, "rooms is not a list"},
		"rooms null":        {jwt.MapClaims{"sub": "alice", "rooms": nil}, "rooms is not a list"},
		"an empty room":     {jwt.MapClaims{"sub": "alice", "rooms": []string{""}}, "in rooms an ID is empty"},
		"a null room":       {jwt.MapClaims{"sub": "alice", "rooms": []any{"a", nil}}, "rooms is not a list"},
		"verbs null":        {jwt.MapClaims{"sub": "alice", "verbs": nil}, "verbs is not a list"},
		"verbs a text":      {jwt.MapClaims{"sub": "alice", "verbs": "get"}, "verbs is not a list"},
		"no verbs":          {jwt.MapClaims{"sub": "alice", "verbs": []string{}}, "verbs is empty"},
		"an unknown verb":   {jwt.MapClaims{"sub": "alice", "verbs": []string{"get", "fly"}}, `"fly" is not a command`},
		"a wildcard":        {jwt.MapClaims{"sub": "alice", "verbs": []string{"*"}}, `"*" is not a command`},
		"a trusted verb":    {jwt.MapClaims{"sub": "alice", "verbs": []string{"list"}}, `"list" is for back ends`},
		"admin a text":      {jwt.MapClaims{"sub": "alice", "admin": "true"}, "neither true nor false"},
		"admin null":        {jwt.MapClaims{"sub": "alice", "admin": nil}, "neither true nor false"},
		"admin and verbs":   {jwt.MapClaims{"sub": "alice", "admin": true, "verbs": []string{"get"}}, "cannot both be meant"},
		"admin and rooms":   {jwt.MapClaims{"sub": "alice", "admin": true, "exp": time.Now().Add(time.Hour).Unix(), "rooms": []string{"a"}}, "cannot both be meant"},
		"host null":         {jwt.MapClaims{"sub": "alice", "host": nil}, "host is not a list"},
		"an empty host":     {jwt.MapClaims{"sub": "alice", "host": []string{""}}, "in host an ID is empty"},
		"host for ever":     {jwt.MapClaims{"sub": "alice", "host": []string{"a"}}, "has no exp"},
		"admin and host":    {jwt.MapClaims{"sub": "alice", "admin": true, "exp": time.Now().Add(time.Hour).Unix(), "host": []string{"a"}}, "cannot both be meant"},
		"name null":         {jwt.MapClaims{"sub": "alice", "name": nil}, "name is not a text"},
		"info a list":       {jwt.MapClaims{"sub": "alice", "info": []int{}}, "info is not one JSON object"},
		"iat null":          {jwt.MapClaims{"sub": "alice", "iat": nil}, "iat is not a time"},
		"jti a number":      {jwt.MapClaims{"sub": "alice", "jti": 7}, "malformed"},
		"much too early":    {jwt.MapClaims{"sub": "alice", "nbf": time.Now().Add(40 * time.Second).Unix()}, "not valid yet"},
		"exp null":          {jwt.MapClaims{"sub": "alice", "exp": nil}, "exp is not a time"},
		"exp too large":     {jwt.MapClaims{"sub": "alice", "exp": 1e18}, "exp is not a time"},
		"nbf null":          {jwt.MapClaims{"sub": "alice", "nbf": nil}, "nbf is not a time"},
		"nbf too large":     {jwt.MapClaims{"sub": "alice", "nbf": 1e300}, "nbf is not a time"},
		"rooms for ever":    {jwt.MapClaims{"sub": "alice", "rooms": []string{"a"}}, "has no exp"},
		"no audience":       {jwt.MapClaims{"sub": "alice"}, "aud"},
		"for somebody else": {jwt.MapClaims{"sub": "alice", "aud": []string{"shop"}}, "aud"},
	} {
		audience := ""
		if c.says == "aud" {
			audience = "rooms"
		}
		got, err := keys.Read(forge(t, jwt.SigningMethodHS256, []byte(secret), "", c.claims), audience)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v; want it to say %q", name, got, err, c.says)
		}
	}
	if _, err := keys.Read(forge(t, jwt.SigningMethodHS256, []byte(secret), "", jwt.MapClaims{"sub": "alice", "aud": []string{"shop", "rooms"}}), "rooms"); err != nil {
		t.Errorf("for us among others: %v", err)
	}
}

// Claims are matched by their exact names, and none may be given twice.
func TestClaimNamesAreExact(t *testing.T) {
	t.Parallel()
	keys := parse(t, []byte(secret))
	got, err := keys.Read(forge(t, jwt.SigningMethodHS256, []byte(secret), "", jwt.MapClaims{"sub": "alice", "Admin": true, "SUB": "bob", "Rooms": "all", "VERBS": nil, "EXP": 1}), "")
	if want := (auth.Claims{User: "alice", Key: got.Key}); err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("another provider's claims give %+v, %v", got, err)
	}
	sign := func(header, payload string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		sum, err := jwt.SigningMethodHS256.Sign(text, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(sum)
	}
	const header, payload = `{"alg":"HS256"}`, `{"sub":"alice"}`
	if got, err := keys.Read(sign(header, payload), ""); err != nil || got.User != "alice" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, token := range map[string]string{
		"two users":            sign(header, `{"sub":"alice","sub":"bob"}`),
		"admin twice":          sign(header, `{"sub":"alice","admin":false,"admin":true}`),
		"a critical extension": sign(`{"alg":"HS256","crit":["exp"],"exp":1}`, payload),
		"an unencoded payload": sign(`{"alg":"HS256","crit":["b64"],"b64":false}`, payload),
		"alg in small letters": sign(`{"alg":"hs256"}`, payload),
		"alg a list":           sign(`{"alg":["HS256"]}`, payload),
		"a token in a token":   sign(`{"alg":"HS256","cty":"JWT"}`, `"`+sign(header, payload)+`"`),
		"more after the end":   sign(header, payload+payload),
		"four parts":           sign(header, payload) + ".x",
	} {
		if got, err := keys.Read(token, ""); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Where a token says its key can be found does not matter.
	for _, more := range []string{`"jku":"http://127.0.0.1:1/keys"`, `"jwk":{"kty":"oct","k":"c2VjcmV0"}`, `"x5u":"http://127.0.0.1:1/"`, `"kid":"../../etc/passwd"`} {
		if got, err := keys.Read(sign(`{"alg":"HS256",`+more+`}`, payload), ""); err != nil || got.User != "alice" {
			t.Errorf("%s: %+v, %v", more, got, err)
		}
	}
}

func TestSignRefusesBadClaims(t *testing.T) {
	t.Parallel()
	for _, c := range []auth.Claims{{}, {User: "alice", Verbs: []string{"fly"}}, {User: "alice", Admin: true, Verbs: []string{"get"}}} {
		if token, err := auth.Sign([]byte(secret), "", c); err == nil {
			t.Errorf("%+v: %s", c, token)
		}
	}
	m := makeKeys(t)
	for _, file := range [][]byte{[]byte("short"), publicPEM(t, m.rsa), []byte("-----BEGIN")} {
		if _, err := auth.Sign(file, "", auth.Claims{User: "alice"}); err == nil {
			t.Errorf("signed with %.20s", file)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		claims auth.Claims
		name   string
	}{
		{auth.Claims{User: "al.ice"}, "user:al=2Eice"},
		{auth.Claims{User: "alice", Admin: true}, "admin:alice"},
	} {
		if name := auth.Name(&c.claims); name != c.name {
			t.Errorf("%+v is called %q", c.claims, name)
		}
	}
	if p := (&auth.Claims{User: "alice", Admin: true}).Permissions(); !reflect.DeepEqual(p, policy.Of(policy.BackEnd)) {
		t.Errorf("a back end may %+v", p)
	}
}
