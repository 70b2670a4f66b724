// Package health is where the parts of an instance report what is wrong with what surrounds
// them: the store, the streams, the clock. A report stands until it is taken back. Its
// beginning and its end are a line in the log each, however often it is repeated meanwhile.
package health

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Problem is one thing that is wrong now.
type Problem struct {
	Name   string    `json:"name"`  // of its kind, as docs/operations.md lists them
	Text   string    `json:"text"`  // a sentence for people: what is so, and what to do
	Unfit  bool      `json:"unfit"` // something is refused, or a promise is not kept; otherwise all is served
	Since  time.Time `json:"since"` // when it was first reported
	number int       // in the order of their beginnings
}

// Book holds what is wrong. It is safe for concurrent use.
type Book struct {
	log *slog.Logger

	mu    sync.Mutex // guards the fields below it
	known map[string]Problem
	count int
}

// New returns an empty book.
func New(log *slog.Logger) *Book { return &Book{log: log, known: map[string]Problem{}} }

// Unfit reports a problem because of which something is refused or a promise is not kept; nil
// takes it back.
func (b *Book) Unfit(name string, err error) { b.set(name, err, true) }

// Tell reports a problem that operators should know of although everything is served; nil
// takes it back.
func (b *Book) Tell(name string, err error) { b.set(name, err, false) }

func (b *Book) set(name string, err error, unfit bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, was := b.known[name]
	switch {
	case err == nil && was:
		delete(b.known, name)
		b.log.Info("a problem is over", "problem", name, "after", time.Since(p.Since).Round(time.Millisecond))
	case err != nil && !was:
		b.count++
		b.known[name] = Problem{name, err.Error(), unfit, time.Now(), b.count}
		b.log.Warn("a problem", "problem", name, "error", err)
	case err != nil:
		p.Text, p.Unfit = err.Error(), unfit
		b.known[name] = p
	}
}

// Problems lists what is wrong now, the oldest first.
func (b *Book) Problems() []Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Problem, 0, len(b.known))
	for _, p := range b.known {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Problem) int { return a.number - b.number })
	return list
}

// Err says why the instance is not fit; nil if it is.
func (b *Book) Err() error {
	if why := text(b.Problems(), true); why != "" {
		return errors.New(why)
	}
	return nil
}

// Text says all that is wrong, "" if nothing is.
func (b *Book) Text() string { return text(b.Problems(), false) }

func text(list []Problem, unfit bool) string {
	var all []string
	for _, p := range list {
		if p.Unfit || !unfit {
			all = append(all, p.Text)
		}
	}
	return strings.Join(all, "; ")
}
