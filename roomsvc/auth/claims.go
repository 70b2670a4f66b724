package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Claims is what a token says.
type Claims struct {
	User    subjects.User   // `sub`
	Rooms   []subjects.Room // `rooms`: the rooms that the user is granted until the token expires; nil if the claim is missing
	Verbs   []string        // `verbs`: the commands that the user may give; nil for all
	Admin   bool            // `admin`: this is no end user but a back end
	Expires time.Time       // `exp`; zero: never
}

// wire is a token's payload. It distinguishes a missing claim from null, because a null
// where a list was meant would grant more than the list.
type wire struct {
	jwt.RegisteredClaims
	Rooms json.RawMessage `json:"rooms,omitempty"`
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
	}
	return errors.Join(jsonv2.Unmarshal(data, (*plain)(w)), jsonv2.Unmarshal(data, &times),
		checkTime("exp", times.Expires), checkTime("nbf", times.NotBefore))
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
	options := []jwt.ParserOption{jwt.WithStrictDecoding()}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	var w wire
	if _, err := jwt.ParseWithClaims(token, &w, k.of, options...); err != nil {
		return nil, err
	}
	return w.claims()
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
	if c.Rooms, err = rooms(w.Rooms); err != nil {
		return nil, err
	}
	if c.Rooms != nil && c.Expires.IsZero() {
		return nil, errors.New("it names rooms and has no exp; a grant must end")
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
	if c.Admin && (c.Rooms != nil || c.Verbs != nil) {
		return nil, errors.New("it has admin beside rooms or verbs, which cannot both be meant")
	}
	return &c, nil
}

func rooms(raw json.RawMessage) ([]subjects.Room, error) {
	ids, err := list("rooms", raw)
	if ids == nil {
		return nil, err
	}
	rooms := make([]subjects.Room, len(ids))
	for i, id := range ids {
		if rooms[i], err = subjects.ParseRoom(id); err != nil {
			return nil, fmt.Errorf("in rooms an ID %w", err)
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
