package post

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	mostSecrets = 2 // one, and another while it is being changed
	leastBytes  = 24
	mostBytes   = 64
	lookEvery   = time.Second // at the files of secrets
	prefix      = "whsec_"
)

// Secrets are what requests are signed with: each is a file with one line, `whsec_` and 24 to 64
// random bytes in base64. They are read again when the files change.
type Secrets struct {
	files []string

	mu     sync.Mutex // guards the fields below
	looked time.Time
	states []state
	keys   []*standardwebhooks.Webhook
}

// state is what tells that a file has changed.
type state struct {
	at   time.Time
	size int64
}

// ReadSecrets reads the files, of which there may be two: requests have a signature by each.
func ReadSecrets(files []string) (*Secrets, error) {
	switch {
	case len(files) == 0:
		return nil, errors.New("names no file with a secret to sign with; make one: echo whsec_$(openssl rand -base64 32)")
	case len(files) > mostSecrets:
		return nil, fmt.Errorf("names %d files; there may be %d, while one secret takes the place of another", len(files), mostSecrets)
	}
	s := &Secrets{files: files, looked: time.Now()}
	s.states = s.now()
	var err error
	s.keys, err = read(files)
	return s, err
}

func read(files []string) (keys []*standardwebhooks.Webhook, err error) {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("can't be read: %w", err)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(data)), prefix))
		if err != nil || len(key) < leastBytes || len(key) > mostBytes {
			return nil, fmt.Errorf("is no secret (%s): it must be one line, %s and %d to %d random bytes in base64, such as echo whsec_$(openssl rand -base64 32) prints", file, prefix, leastBytes, mostBytes)
		}
		w, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, w)
	}
	return keys, nil
}

// now is what the files are like.
func (s *Secrets) now() []state {
	states := make([]state, len(s.files))
	for i, file := range s.files {
		if info, err := os.Stat(file); err == nil {
			states[i] = state{info.ModTime(), info.Size()}
		}
	}
	return states
}

// current are the keys as the files have them. If those can't be read, or make no sense, the keys
// stay what they were.
func (s *Secrets) current() []*standardwebhooks.Webhook {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < lookEvery {
		return s.keys
	}
	s.looked = time.Now()
	if states := s.now(); !slices.Equal(states, s.states) {
		if keys, err := read(s.files); err == nil {
			s.keys, s.states = keys, states
		}
	}
	return s.keys
}

// sign is the signatures of a request, separated by blanks.
func (s *Secrets) sign(id string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, key := range s.current() {
		one, err := key.Sign(id, at, body)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	return strings.Join(all, " "), nil
}
