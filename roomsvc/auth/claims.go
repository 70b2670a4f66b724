package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"natsrooms/events"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Claims is what a token says.
type Claims struct {
	User    subjects.User   // `sub`
	Rooms   []subjects.Room // `rooms`: the rooms that the user is granted until the token expires; nil if the claim is missing
	Hosts   []subjects.Room // `host`: the rooms that the user is a host of until the token expires; nil if the claim is missing
	Verbs   []string        // `verbs`: the commands that the user may give; nil for all
	Name    *string         // `name`: what the user is called; nil if the claim is missing
	Info    jsontext.Value  // `info`: what else others see of the user, one JSON object; nil if the claim is missing
	Admin   bool            // `admin`: this is no end user but a back end
	ID      string          // `jti`: by which the token can be revoked; empty if the claim is missing
	Issued  time.Time       // `iat`; zero if the claim is missing
	Expires time.Time       // `exp`; zero: never
	Key     uint64          // stands for the key that it is signed with, in this process and others
}

// Leeway is how much the clock of whoever made a token may differ from that of roomd.
const Leeway = 30 * time.Second

// Until is until when roomd takes the token for valid; zero: for ever.
func (c *Claims) Until() time.Time {
	if c.Expires.IsZero() {
		return time.Time{}
	}
	return c.Expires.Add(Leeway)
}

// Grant is what the token gives besides permissions.
func (c *Claims) Grant() room.Grant {
	g := room.Grant{From: c.bearer(room.Connection{}), Rooms: c.Rooms, Hosts: c.Hosts, Named: c.Name != nil || c.Info != nil, Info: c.Info}
	if c.Name != nil {
		g.Name = *c.Name
	}
	if until := c.Until(); !until.IsZero() {
		g.Until = events.TimeOf(until)
	}
	return g
}

// bearer is who asks for that connection with the token.
func (c *Claims) bearer(conn room.Connection) room.Bearer {
	b := room.Bearer{User: c.User, BackEnd: c.Admin, Connection: conn, TokenID: c.ID, Key: c.Key}
	if !c.Issued.IsZero() {
		b.IssuedAt = events.TimeOf(c.Issued)
	}
	return b
}

// wire is a token's payload. It distinguishes a missing claim from null, because a null
// where a list was meant would grant more than the list.
type wire struct {
	jwt.RegisteredClaims
	Rooms json.RawMessage `json:"rooms,omitempty"`
	Hosts json.RawMessage `json:"host,omitempty"`
	Name  json.RawMessage `json:"name,omitempty"`
	Info  json.RawMessage `json:"info,omitempty"`
	Verbs json.RawMessage `json:"verbs,omitempty"`
	Admin json.RawMessage `json:"admin,omitempty"`
}

// UnmarshalJSON accepts claims by their exact names, each once. Tokens of an identity
// provider may have an `Admin` of their own, which encoding/json would take for ours.
func (w *wire) UnmarshalJSON(data []byte) error {
	type plain wire
	var times struct {
		Expires   json.RawMessage `json:"exp"`
		NotBefore json.RawMessage `json:"nbf"`
		IssuedAt  json.RawMessage `json:"iat"`
	}
	return errors.Join(jsonv2.Unmarshal(data, (*plain)(w)), jsonv2.Unmarshal(data, &times),
		checkTime("exp", times.Expires), checkTime("nbf", times.NotBefore), checkTime("iat", times.IssuedAt))
}

// latest is the end of the year 9999. Times far beyond it overflow into arbitrary ones.
const latest = 253402300799

// checkTime refuses a value that is not a time, since it would set no limit.
func checkTime(name string, raw json.RawMessage) error {
	var seconds *float64
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, &seconds); err != nil || seconds == nil || *seconds < 0 || *seconds > latest {
		return fmt.Errorf("its %s is not a time in seconds", name)
	}
	return nil
}

// Read verifies a token and reads its claims. audience, if not empty, is what its `aud`
// must contain. The error says why the token is refused; it is for logs and not for
// whoever sent the token.
func (k *Keys) Read(token, audience string) (*Claims, error) {
	options := []jwt.ParserOption{jwt.WithStrictDecoding(), jwt.WithLeeway(Leeway)}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	var w wire
	var signed *key
	find := func(t *jwt.Token) (_ any, err error) {
		if signed, err = k.of(t); err != nil {
			return nil, err
		}
		return signed.verify, nil
	}
	if _, err := jwt.ParseWithClaims(token, &w, find, options...); err != nil {
		return nil, err
	}
	c, err := w.claims()
	if err == nil {
		c.Key = signed.print
	}
	return c, err
}

func (w *wire) claims() (*Claims, error) {
	var c Claims
	var err error
	if c.User, err = subjects.ParseUser(w.Subject); err != nil {
		return nil, fmt.Errorf("its sub %w", err)
	}
	if w.ExpiresAt != nil {
		c.Expires = w.ExpiresAt.Time
	}
	if c.ID = w.ID; w.IssuedAt != nil {
		c.Issued = w.IssuedAt.Time
	}
	if c.Rooms, err = rooms("rooms", w.Rooms); err != nil {
		return nil, err
	}
	if c.Hosts, err = rooms("host", w.Hosts); err != nil {
		return nil, err
	}
	if (c.Rooms != nil || c.Hosts != nil) && c.Expires.IsZero() {
		return nil, errors.New("it names rooms and has no exp; a grant must end")
	}
	if c.Name, c.Info, err = w.called(); err != nil {
		return nil, err
	}
	if c.Verbs, err = list("verbs", w.Verbs); err != nil {
		return nil, err
	}
	if err := checkVerbs(c.Verbs); err != nil {
		return nil, err
	}
	if w.Admin != nil && json.Unmarshal(w.Admin, &c.Admin) != nil || string(w.Admin) == "null" {
		return nil, errors.New("its admin is neither true nor false")
	}
	if c.Admin && (c.Rooms != nil || c.Hosts != nil || c.Verbs != nil) {
		return nil, errors.New("it has admin beside rooms, host or verbs, which cannot both be meant")
	}
	return &c, nil
}

// called is what the user is called. The limits on it are the service's.
func (w *wire) called() (name *string, info jsontext.Value, err error) {
	if w.Name != nil {
		if err := json.Unmarshal(w.Name, &name); err != nil || name == nil {
			return nil, nil, errors.New("its name is not a text")
		}
	}
	if w.Info != nil {
		if info = jsontext.Value(w.Info); info.Kind() != jsontext.KindBeginObject {
			return nil, nil, errors.New("its info is not one JSON object")
		}
	}
	return name, info, nil
}

func rooms(name string, raw json.RawMessage) ([]subjects.Room, error) {
	ids, err := list(name, raw)
	if ids == nil {
		return nil, err
	}
	rooms := make([]subjects.Room, len(ids))
	for i, id := range ids {
		if rooms[i], err = subjects.ParseRoom(id); err != nil {
			return nil, fmt.Errorf("in %s an ID %w", name, err)
		}
	}
	return rooms, nil
}

// list reads a list of strings; nil if the claim is missing.
func list(name string, raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var entries []*string
	if err := json.Unmarshal(raw, &entries); err != nil || entries == nil || slices.Contains(entries, nil) {
		return nil, fmt.Errorf("its %s is not a list of strings", name)
	}
	list := make([]string, len(entries))
	for i, s := range entries {
		list[i] = *s
	}
	return list, nil
}

// checkVerbs refuses anything that is not an end user's command, since each becomes a
// subject, and an empty list, which a NATS server would take to mean no limit.
func checkVerbs(verbs []string) error {
	if verbs != nil && len(verbs) == 0 {
		return errors.New("its verbs is empty; leave it out for all of them")
	}
	for _, verb := range verbs {
		i := slices.IndexFunc(room.Commands, func(c room.CommandInfo) bool { return string(c.Verb) == verb })
		if i < 0 {
			return fmt.Errorf("in verbs %.64q is not a command", verb)
		}
		if room.Commands[i].Trusted {
			return fmt.Errorf("in verbs %q is for back ends only", verb)
		}
	}
	return nil
}

// Permissions is what a connection with these claims may do.
func (c *Claims) Permissions() policy.Permissions {
	if c.Admin {
		return policy.Of(policy.BackEnd)
	}
	return policy.User(c.User, c.Verbs)
}
