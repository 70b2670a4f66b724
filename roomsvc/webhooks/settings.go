package webhooks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/post"
	"natsrooms/subjects"
)

// Hook is where events are delivered, and which.
type Hook struct {
	Name     string        // lower-case letters, digits and dashes, at most 32; "": made from the URL. Its place in the streams belongs to the name
	URL      string        // https, or http if Private
	Secrets  []string      // files with what it is signed with: one, or two while one is changed
	Types    []string      // of events, such as member.joined or io.natsrooms.member.joined.v1; empty: all
	Rooms    string        // events only of rooms whose ID begins like that; empty: of all
	Messages bool          // messages too, and their deletion
	Binary   bool          // CloudEvents in binary mode: the data is the body, the rest headers; otherwise structured
	Private  bool          // it may lead to an address that is not public
	Timeout  time.Duration // for one delivery, 1 s to 30 s; 0: 10 s
}

// Settings say what is delivered. With the zero value nothing is.
type Settings struct {
	Hooks  []Hook
	GiveUp time.Duration // how old an event that cannot be delivered may become: 1 s to 30 days; 0: 72 h
	First  time.Duration // the pause after the first failure; it doubles with each; 0: 1 s
	Most   time.Duration // the longest pause; 0: 10 min
}

// DefaultGiveUp is how old an event may become that cannot be delivered.
const DefaultGiveUp = 72 * time.Hour

const (
	defaultTimeout = 10 * time.Second
	minTimeout     = time.Second
	maxTimeout     = 30 * time.Second
	minGiveUp      = time.Second
	maxGiveUp      = 30 * 24 * time.Hour
	defaultFirst   = time.Second
	defaultMost    = 10 * time.Minute
	mostHooks      = 32
	mostPrefix     = 128 // bytes
)

var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// NameOf is what a webhook without a name is called.
func NameOf(url string) string {
	sum := sha256.Sum256([]byte(url))
	return "hook-" + hex.EncodeToString(sum[:4])
}

// Check fills in what is not set, and says what is not possible. It does not read the secrets.
func (s *Settings) Check() error {
	s.GiveUp, s.First, s.Most = cmp.Or(s.GiveUp, DefaultGiveUp), cmp.Or(s.First, defaultFirst), cmp.Or(s.Most, defaultMost)
	switch {
	case s.GiveUp < minGiveUp || s.GiveUp > maxGiveUp:
		return fmt.Errorf("webhooks are given up after %v; it must be %v to %v", s.GiveUp, minGiveUp, maxGiveUp)
	case s.First < 0 || s.Most < s.First:
		return fmt.Errorf("webhooks pause for %v after the first failure and %v at most; the second must not be less", s.First, s.Most)
	case len(s.Hooks) > mostHooks:
		return fmt.Errorf("there are %d webhooks; there may be %d", len(s.Hooks), mostHooks)
	}
	s.Hooks = slices.Clone(s.Hooks)
	taken := map[string]bool{}
	for i := range s.Hooks {
		h := &s.Hooks[i]
		h.Name = cmp.Or(h.Name, NameOf(h.URL))
		if err := h.check(); err != nil {
			return fmt.Errorf("webhook %q: %w", h.Name, err)
		}
		if taken[h.Name] {
			return fmt.Errorf("webhook %q: its name is taken by another one; give each a name of its own", h.Name)
		}
		taken[h.Name] = true
	}
	return nil
}

func (h *Hook) check() error {
	if !names.MatchString(h.Name) {
		return errors.New("name may have lower-case letters, digits and dashes in between, at most 32")
	}
	if err := post.CheckURL(h.URL, h.Private); err != nil {
		return fmt.Errorf("url %w", err)
	}
	if len(h.Secrets) == 0 {
		return errors.New("secret is missing: name a file with what it is signed with")
	}
	if len(h.Rooms) > mostPrefix {
		return fmt.Errorf("rooms has %d bytes; it may have %d", len(h.Rooms), mostPrefix)
	}
	if h.Timeout = cmp.Or(h.Timeout, defaultTimeout); h.Timeout < minTimeout || h.Timeout > maxTimeout {
		return fmt.Errorf("timeout is %v; it must be %v to %v", h.Timeout, minTimeout, maxTimeout)
	}
	h.Types = slices.Clone(h.Types)
	for i, name := range h.Types {
		full, err := typeOf(name)
		if err != nil {
			return err
		}
		if said(full) && !h.Messages {
			return fmt.Errorf("types has %q, which is about messages, and messages is not true", name)
		}
		h.Types[i] = full
	}
	return nil
}

// typeOf is the whole name of a type of event.
func typeOf(name string) (string, error) {
	var known []string
	for _, t := range events.Types {
		if t.Type == events.UserStateChanged { // a notice, which no stream has
			continue
		}
		short := strings.TrimSuffix(strings.TrimPrefix(t.Type, events.TypePrefix), ".v1")
		if name == t.Type || name == short {
			return t.Type, nil
		}
		known = append(known, short)
	}
	return "", fmt.Errorf("types has %q, which is no event; there are %s", name, strings.Join(known, ", "))
}

// said reports whether a type is one of the stream of messages.
func said(typ string) bool { return typ == events.MessageSent || typ == events.MessageDeleted }

// wants says whether an event of a type, in a room, is for the webhook.
func (h *Hook) wants(r subjects.Room, typ string) bool {
	return strings.HasPrefix(string(r), h.Rooms) && (len(h.Types) == 0 || slices.Contains(h.Types, typ))
}

// wantsFacts and wantsMessages say whether one of the streams may have anything for it.
func (h *Hook) wantsFacts() bool {
	return len(h.Types) == 0 || slices.ContainsFunc(h.Types, func(t string) bool { return !said(t) })
}

func (h *Hook) wantsMessages() bool {
	return h.Messages && (len(h.Types) == 0 || slices.ContainsFunc(h.Types, said))
}
