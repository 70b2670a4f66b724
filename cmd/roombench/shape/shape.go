// Package shape drives room clients as they are in the field: each has a connection of its own
// and one command in flight, and hears the rooms that it is in. Three kinds of work are measured
// with them: a crowd that enters and leaves in turn, a storm of all entering one room at once,
// and an audience that hears what one member says. Echo and raw fan-out over as many connections
// are the same work without rooms.
//
// Everybody counts what arrives, and checks the order of it. What is lost, doubled or out of
// order is an error, so that such a run has no figure. There is one exception, which is a part of
// the contract: copies on the feeds of end users that would be too late are left to history.
// They are asked for there, and counted.
package shape

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"time"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// How long the driver waits.
const (
	answerWithin = 15 * time.Second // for the next answer to anybody
	feedsWithin  = 5 * time.Second  // for the next copy on a feed; those that wait for two seconds go to nobody
	look         = 10 * time.Millisecond
)

// dialing is how many connections are made at a time.
const dialing = 64

// Config is what clients need to know.
type Config struct {
	Address string                                // HOST:PORT of the server
	Login   wire.Login                            // of trusted callers
	EndUser func(user string) wire.Login          // of end users
	Feeds   bool                                  // the clients are end users, and hear rooms on their feeds
	Plain   *Plain                                // trusted callers of a service that has no rooms; nil: it has them
	CPU     func() (server, driver time.Duration) // processor time so far
}

// Plain is where a service without rooms takes commands, and where it tells what it has stored.
// Commands, replies and facts are read as those of a room service, but such a service does not
// know entering from leaving: whatever users do, they join by its facts.
type Plain struct {
	Commands string // the subject of all commands
	Stored   string // what a room's subject begins with; its ID follows
}

// Roster is who is in a room, and the room's newest fact.
type Roster struct {
	Sequence uint64
	Users    []string
}

// Truth is what the service says when it is asked afterwards.
type Truth struct {
	Roster func(roomID string) (Roster, error)                        // without users of a plain service
	Facts  func(roomID string, after, until uint64) ([][]byte, error) // those kept, as CloudEvents
}

// Measured is what came of some work.
type Measured struct {
	N          int
	Took       []time.Duration // of each command, sorted
	Lasted     time.Duration
	Deliveries float64       // member entries that clients and listeners heard, a second
	Server     time.Duration // processor time that it took
	Driver     time.Duration
	Late       time.Duration // from the last answer to the last fact heard
	History    int           // copies on feeds that were left to history
	Copies     int           // facts and messages heard by everybody together
}

// names are rooms, and how their facts are heard.
type names struct {
	rooms  []string
	prefix []byte   // of all of them, with their number after it
	facts  []string // the subjects of back ends
}

// newNames are n rooms whose names begin with prefix.
func newNames(prefix string, n int) *names {
	k := &names{prefix: []byte(prefix + "-")}
	for i := range n {
		id := string(k.prefix) + strconv.Itoa(i)
		k.rooms, k.facts = append(k.rooms, id), append(k.facts, subjects.Facts(subjects.Room(id)))
	}
	return k
}

// names are n rooms as clients hear them.
func (cfg *Config) names(prefix string, n int) *names {
	k := newNames(prefix, n)
	if cfg.Plain != nil {
		for i, id := range k.rooms {
			k.facts[i] = cfg.Plain.Stored + id
		}
	}
	return k
}

// of is the room that a subject ends with, -1 if it is none of ours.
func (k *names) of(subject []byte) int {
	number, ok := bytes.CutPrefix(subject[bytes.LastIndexByte(subject, '.')+1:], k.prefix)
	if i := int(wire.Number(number)); ok && i < len(k.rooms) {
		return i
	}
	return -1
}

// command is where a user's commands go: in the user form, in the trusted one, or to a service
// without rooms.
func (cfg *Config) command(verb room.Verb, user string) string {
	switch {
	case cfg.Plain != nil:
		return cfg.Plain.Commands
	case cfg.Feeds:
		return subjects.UserCommand(string(verb), subjects.User(user))
	}
	return subjects.Command(string(verb))
}

func (cfg *Config) login(user string) wire.Login {
	if cfg.Feeds && cfg.EndUser != nil {
		return cfg.EndUser(user)
	}
	return cfg.Login
}

// dialAll makes n connections, some at a time.
func dialAll[T any](n int, dial func(i int) (T, error), hangUp func(T)) ([]T, error) {
	all, errs := make([]T, n), make([]error, n)
	turns := make(chan struct{}, dialing)
	var wg sync.WaitGroup
	for i := range n {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			all[i], errs[i] = dial(i)
		})
	}
	wg.Wait()
	failed := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if failed < 0 {
		return all, nil
	}
	for i, c := range all {
		if errs[i] == nil {
			hangUp(c)
		}
	}
	return nil, errs[failed]
}

func hangUp[T interface{ Close() }](all []T) {
	for _, c := range all {
		c.Close()
	}
}
