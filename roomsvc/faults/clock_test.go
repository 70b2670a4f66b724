package faults_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// The machine's clock is set, back or forth by an hour, while people are in rooms. That is told
// at once. Stays are as long as they were, times neither go back nor stand still, and an empty
// room ends when it was to end.
func TestClockIsSet(t *testing.T) {
	for name, set := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var off atomic.Int64
			i := w.Start(roomsvc.Config{Wall: func() time.Time { return time.Now().Add(time.Duration(off.Load())) }})
			w.Create("lobby", 3600, "alice")
			w.Create("ends", 2, "bob")
			joined := time.Now()
			w.Leave("ends", "bob")
			off.Store(int64(set))
			began := time.Now()
			w.Until(patience, "it to be told", func() bool { return strings.Contains(i.Log.String(), "the clock of this machine was set") })
			if took := time.Since(began); !w.late.Within(took, 2*time.Second, began) {
				t.Errorf("that was told after %v", took)
			}
			if err := i.Check(w.Ctx); err != nil {
				t.Errorf("not ready: %v", err)
			}
			w.Until(patience, "the empty room to end", func() bool {
				_, err := w.Client.Get(w.Ctx, room.ReadRequest{RoomID: "ends"})
				return err != nil
			})
			if took := time.Since(joined); !w.late.Within(took, 5*time.Second, joined) {
				t.Errorf("it ended after %v", took)
			}
			w.Leave("lobby", "alice")
			stay := time.Since(joined)
			before := events.Time(0)
			for _, f := range w.Facts() {
				if f.Time < before {
					t.Errorf("%s is of %v, after one of %v", f.ID, f.Time, before)
				}
				before = f.Time
				for _, l := range f.Left {
					if is := l.LeftAt.Time().Sub(l.JoinedAt.Time()); l.UserID == "alice" && !w.late.Within((is-stay).Abs(), 2*time.Second, joined) {
						t.Errorf("alice stayed for %v, and the fact says %v", stay, is)
					}
				}
			}
			off.Store(0)
			w.Until(patience, "it to be over", func() bool { return strings.Contains(i.Log.String(), "problem=clock after=") })
		})
	}
}
