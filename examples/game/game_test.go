package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/roomtest/worlds"
)

// Eleven players sit down at once, through two instances of the service: two tables are full,
// and the third one waits for the player who comes last.
func TestTables(t *testing.T) {
	w := worlds.New(t)
	w.Start(roomsvc.Config{})
	w.Start(roomsvc.Config{})
	players := make([]*Player, 11)
	for i := range players {
		var err error
		if players[i], err = Come(t.Context(), w.NC, fmt.Sprint("p", i)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(players[i].Close)
	}
	var sitting sync.WaitGroup
	at := make([]string, len(players))
	for i, p := range players {
		sitting.Go(func() {
			var err error
			if at[i], err = p.Sit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	sitting.Wait()
	count := func(roomID string) int {
		t.Helper()
		q := client.ReadRequest{RoomID: roomID}
		q.Sync = true
		r, err := w.Client.Count(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return r.MemberCount
	}
	if a, b, c := count(table(1)), count(table(2)), count(table(3)); a != Seats || b != Seats || c != 3 {
		t.Fatalf("%d, %d and %d players sit at the tables", a, b, c)
	}

	last := slices.Index(at, table(3))
	began := make(chan []string)
	waiting := make(chan int, 2*Seats)
	go func() {
		who, err := players[last].Begin(t.Context(), func(n int) { waiting <- n })
		if err != nil {
			t.Error(err)
		}
		began <- who
	}()
	if n := <-waiting; n != 3 {
		t.Errorf("%d players wait", n)
	}
	late, err := Come(t.Context(), w.NC, "late")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(late.Close)
	if roomID, err := late.Sit(t.Context()); err != nil || roomID != table(3) {
		t.Fatalf("the last one sits at %s: %v", roomID, err)
	}
	if who := <-began; len(who) != Seats || !slices.Contains(who, "late") {
		t.Errorf("the game begins with %v", who)
	}
	for i, p := range append(players, late) {
		if err := p.Rise(t.Context()); err != nil {
			t.Errorf("player %d: %v", i, err)
		}
	}
	if n := count(Lobby); n != 12 {
		t.Errorf("%d players are in the lobby", n)
	}
}

// The program plays games to their end, one for each four players; the second game is at a table
// that has been played at, or at a new one.
func TestGames(t *testing.T) {
	w := worlds.New(t)
	w.Start(roomsvc.Config{})
	t.Setenv("NATS_URL", w.NC.ConnectedUrl())
	for range 2 {
		if err := play(t.Context(), []string{"a", "b", "c", "d", "e", "f", "g", "h"}); err != nil {
			t.Fatal(err)
		}
	}
}
