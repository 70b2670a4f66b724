package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

const envToken = "ROOMCTL_TOKEN"

type tokenCmd struct {
	Key   string        `required:"" type:"existingfile" placeholder:"FILE" help:"What to sign it with: a private key in PEM (RSA or Ed25519), or the secret that roomd has as --auth-key."`
	KeyID string        `name:"kid" placeholder:"ID" help:"The kid of that key, if roomd has a key set."`
	Sub   string        `required:"" placeholder:"USER" help:"The user that it is for."`
	Rooms []string      `placeholder:"ROOM" help:"Rooms that the user is granted."`
	Host  []string      `placeholder:"ROOM" help:"Rooms that the user is a host of, and may join."`
	Name  string        `placeholder:"NAME" help:"What the user is called."`
	Info  string        `placeholder:"JSON" help:"What else others see of the user: one JSON object."`
	ID    string        `name:"id" placeholder:"JTI" help:"The token's jti, by which it can be refused later: roomctl block --token-id."`
	Verbs []string      `placeholder:"VERB" help:"Commands that the user may give (all that end users may)."`
	TTL   time.Duration `name:"ttl" default:"1h" placeholder:"1h" help:"How long it is valid (${default}); 0: for ever."`
	Admin bool          `help:"Give it a back end's permissions, which are to act for every user."`
}

// Run prints a token. It needs no server.
func (c *tokenCmd) Run(s *session) error {
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return usageError{err}
	}
	claims := auth.Claims{User: subjects.User(c.Sub), Verbs: c.Verbs, Admin: c.Admin}
	for _, id := range c.Rooms {
		claims.Rooms = append(claims.Rooms, subjects.Room(id))
	}
	for _, id := range c.Host {
		claims.Hosts = append(claims.Hosts, subjects.Room(id))
	}
	if claims.ID = c.ID; c.Name != "" {
		claims.Name = &c.Name
	}
	if c.Info != "" {
		claims.Info = jsontext.Value(c.Info)
	}
	if c.TTL < 0 {
		return usageError{errors.New("--ttl is negative; such a token would never be valid")}
	}
	if c.TTL > 0 {
		claims.Expires = time.Now().Add(c.TTL)
	}
	token, err := auth.Sign(key, c.KeyID, claims)
	if err != nil {
		return usageError{err}
	}
	if s.programs() {
		return s.own(map[string]string{"token": token}, "")
	}
	fmt.Fprintln(s.stdout, token)
	return nil
}

// bearer reads --token, a file or a token itself, which says who acts and where commands are sent.
func (s *session) bearer() ([]nats.Option, error) {
	if s.Token == "" {
		return s.endUser()
	}
	token := s.Token
	raw, unread := os.ReadFile(token)
	if unread == nil {
		token = string(raw)
	}
	token = strings.TrimSpace(token)
	claims, err := auth.Peek(token)
	if err != nil {
		if os.IsNotExist(unread) && strings.Count(token, ".") != 2 {
			return nil, usageError{fmt.Errorf("--token: %s is neither a file nor a token; correct the path, or make a token with roomctl token", word(s.Token))}
		}
		return nil, usageError{fmt.Errorf("--token is neither a file nor a token that can be read: %w", err)}
	}
	s.expires = claims.Expires
	if claims.Admin {
		return []nats.Option{nats.Token(token)}, nil
	}
	user := string(claims.User)
	if cmp.Or(s.As, user) != user {
		return nil, usageError{fmt.Errorf("the token is for %s, and --as says %s; leave --as out", word(user), word(s.As))}
	}
	s.As = user
	return []nats.Option{nats.Token(token), s.speaksFor(claims.User)}, nil
}

// endUser makes the acting user an end user without a token, if --end-user is given.
func (s *session) endUser() ([]nats.Option, error) {
	if !s.EndUser {
		return nil, nil
	}
	user, err := subjects.ParseUser(s.As)
	if err != nil {
		return nil, usageError{fmt.Errorf("--end-user needs the user's ID as --as: %w", err)}
	}
	return []nats.Option{s.speaksFor(user)}, nil
}

// speaksFor keeps to what an end user may do: its own commands and its own inboxes.
func (s *session) speaksFor(user subjects.User) nats.Option {
	s.userForm = true
	return nats.CustomInboxPrefix(subjects.UserInbox(user))
}
