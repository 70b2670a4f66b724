package faults_test

import (
	"os"
	"testing"
	"time"

	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

const (
	patience = worlds.Patience // bounds every wait; none is expected to take nearly as long
	look     = worlds.Look
	answerBy = 10 * time.Second // the contract's
)

// long says that the tests have time: the long form is for a machine that is free at night.
var long = os.Getenv("NATSROOMS_LONG") != ""

// world is a world in which things break.
type world struct {
	*worlds.World
	late *roomtest.Lateness // of this machine
}

type instance = worlds.Instance

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return anotherWorld(t)
}

// anotherWorld is a second one in the same test.
func anotherWorld(t *testing.T) *world {
	t.Helper()
	return broken(worlds.New(t))
}

// callerOf is a world on a server that somebody else started.
func callerOf(t *testing.T, url string) *world {
	t.Helper()
	return broken(worlds.At(t, url))
}

func broken(w *worlds.World) *world {
	w.Breaks = true
	return &world{w, w.Measure()}
}

// as is a caller.
func as(user, request string) room.Caller { return worlds.As(user, request) }
