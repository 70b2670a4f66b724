package room_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Pages of any size list the members oldest first, whoever leaves in between.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.run("create - lobby delay=9")
		var want []subjects.User // oldest first
		fresh := 0
		for range rapid.IntRange(1, 30).Draw(t, "runs") {
			var lines []string
			if rapid.IntRange(0, 2).Draw(t, "what") > 0 || len(want) == 0 {
				for range rapid.IntRange(1, 8).Draw(t, "joins") {
					fresh++
					u := fmt.Sprintf("u%d", fresh%60)
					if !slices.Contains(want, subjects.User(u)) {
						lines = append(lines, "join "+u+" lobby")
						want = append(want, subjects.User(u))
					}
				}
			} else {
				for range rapid.IntRange(1, min(12, len(want))).Draw(t, "leaves") {
					i := rapid.IntRange(0, len(want)-1).Draw(t, "who")
					lines = append(lines, "leave "+string(want[i])+" lobby")
					want = slices.Delete(want, i, i+1)
				}
			}
			w.run(lines...)
			size := rapid.IntRange(1, 7).Draw(t, "page")
			var got []subjects.User
			for flag := ""; ; {
				order, err := room.PageOrder(flag)
				if err != nil {
					t.Fatalf("%q: %v", flag, err)
				}
				n := 0
				w.rooms["lobby"].After(order, func(m *room.Member) bool {
					got = append(got, m.User)
					flag = room.PageFlag(m)
					n++
					return n < size
				})
				if n < size || len(got) > len(want) {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("pages of %d: %v; want %v", size, got, want)
			}
		}
	})
}

func TestPageFlag(t *testing.T) {
	for _, order := range []uint64{1 << 16, 1<<16 + 1, 35, 36, 1<<53 - 1, ^uint64(0)} {
		if got, err := room.PageOrder(room.PageFlag(&room.Member{Order: order})); got != order || err != nil {
			t.Errorf("%d comes back as %d, %v", order, got, err)
		}
	}
	if got, err := room.PageOrder(""); got != 0 || err != nil {
		t.Errorf("the first page: %d, %v", got, err)
	}
	for _, flag := range []string{"-1", "+1", " ", "ä", "a b", "zzzzzzzzzzzzzzzzzzzz"} {
		if got, err := room.PageOrder(flag); err == nil {
			t.Errorf("%q is read as %d", flag, got)
		}
	}
}
