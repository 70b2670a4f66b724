package hooks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/post"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Settings say what the application is asked about. With the zero value it is asked nothing.
type Settings struct {
	Subjects map[room.Verb]string // where the application is asked about each verb of [Verbs]: a NATS subject, or an https URL; several may have the same
	Timeout  time.Duration        // how long an answer may take; 0: 1 s
	Allow    bool                 // commands pass about which no useful answer came in time; otherwise they are refused
	Most     int                  // questions that may wait for an answer at a time, on this instance; 0: 256
	Trusted  bool                 // also about what trusted callers ask for in a user's name
	Conn     *nats.Conn           // for the questions; nil: the service's own connection
	Secrets  []string             // files with what questions over HTTP are signed with: one, or two while one is changed
	Private  bool                 // questions over HTTP may go to addresses that are not public, and by http

	posters map[string]*post.Poster // by URL, see Open
}

// OverHTTP reports whether the application is asked over HTTP there, and not on a NATS subject.
func OverHTTP(target string) bool {
	return strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://")
}

// Open reads the secrets, of settings that have been checked. An error names what is wrong.
func (s *Settings) Open() error {
	s.posters = map[string]*post.Poster{}
	for verb, target := range s.Subjects {
		if !OverHTTP(target) || s.posters[target] != nil {
			continue
		}
		p, err := post.New(post.Config{URL: target, Secrets: s.Secrets, Private: s.Private, Timeout: maxTimeout})
		if err != nil {
			return fmt.Errorf("the hook for %s: %w", verb, err)
		}
		s.posters[target] = p
	}
	return nil
}

// Verbs are those that the application may be asked about.
var Verbs = []room.Verb{room.Send, room.Enter, room.Join, room.Create, room.Switch}

const (
	defaultTimeout = time.Second
	minTimeout     = 10 * time.Millisecond
	maxTimeout     = 5 * time.Second // every command is answered within ten seconds
	defaultMost    = 256
	maxMost        = 4096
)

// Check fills in what is not set, and says what is not possible.
func (s *Settings) Check() error {
	for verb, subject := range s.Subjects {
		if !slices.Contains(Verbs, verb) {
			return fmt.Errorf("a hook is for %q; there are hooks for %s", verb, names())
		}
		if OverHTTP(subject) {
			if err := post.CheckURL(subject, s.Private); err != nil {
				return fmt.Errorf("the hook for %s has a url that %w", verb, err)
			}
			if len(s.Secrets) == 0 {
				return fmt.Errorf("the hook for %s is asked over HTTP, and there is no secret to sign with", verb)
			}
			continue
		}
		if err := subjects.CheckHook(subject); err != nil {
			return fmt.Errorf("the hook for %s is asked at %q, which %w", verb, subject, err)
		}
	}
	s.Timeout = cmp.Or(s.Timeout, defaultTimeout)
	if s.Timeout < minTimeout || s.Timeout > maxTimeout {
		return fmt.Errorf("a hook may take %v to answer; it must be %v to %v", s.Timeout, minTimeout, maxTimeout)
	}
	s.Most = cmp.Or(s.Most, defaultMost)
	if s.Most < 1 || s.Most > maxMost {
		return fmt.Errorf("%d questions may wait for the application at a time; it must be 1 to %d", s.Most, maxMost)
	}
	return nil
}

func names() string {
	list := make([]string, len(Verbs))
	for i, v := range Verbs {
		list[i] = string(v)
	}
	return strings.Join(list, ", ")
}
