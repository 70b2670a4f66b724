package leases

import (
	"fmt"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// away lets time pass in which nobody could renew, and then hears the first beat. The last
// beat before was at the moment of the call.
func (l *offline) away(d time.Duration) {
	l.Helper()
	l.beats()
	time.Sleep(d)
	l.beats()
}

// After an outage each session has the grace time, and a third of its lease if that is longer;
// an instance that was there, and one that starts, see it alike.
func TestOutage(t *testing.T) {
	for _, seconds := range []int{5, 60, 3600} {
		lease := time.Duration(seconds) * time.Second
		patience := max(10*time.Second, lease/3)
		for _, leases := range []float64{0.5, 1, 2, 20} {
			for _, restart := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v leases of %v, restart %v", leases, lease, restart), func(t *testing.T) {
					everywhere(t, func(l *offline) {
						outage := time.Duration(leases * float64(lease))
						l.started()
						l.hears("gone before", 5, nil, 0)
						l.serves(5 * time.Second)
						before := l.server()
						l.over(map[string]events.Time{"gone before": before})
						l.hears("back", seconds, nil, 0)
						l.hears("away", seconds, nil, 0)
						l.serves(lease / 3)
						end := l.server() - events.Time(lease/3/time.Millisecond) + events.Time(seconds)*1000
						l.away(outage)
						if restart {
							l.known.clock = moment{}
							l.restarts()
						}
						for _, s := range []string{"back", "away"} {
							if !l.Of(Session{"u", s}).Live {
								l.Errorf("%s is out", s)
							}
						}
						l.over(map[string]events.Time{"gone before": before})
						l.marks("gone before", before)
						lasts := max(patience, lease*2/3-outage) // after the return
						l.serves(lasts - tick)
						l.over(nil)
						if _, r := l.asks("back", Ask{Renewal: true}); r == nil {
							l.Error("the renewal is not stored")
						}
						l.hears("back", seconds, nil, 0)
						l.serves(tick)
						l.over(map[string]events.Time{"away": end})
						l.marks("away", end)
						l.serves(lease - 2*tick)
						l.over(nil)
						l.serves(tick)
						l.over(map[string]events.Time{"back": l.server()})
					})
				})
			}
		}
	}
}

// restarts makes the book count once more, like an instance that has read the bucket.
func (l *offline) restarts() { l.known.start(moment{l.seq, l.server(), time.Now()}) }

// A connection that closed does not take its session out sooner after an outage.
func TestOutageAfterAClosedConnection(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		a := room.Connection{ServerID: "S", ClientID: 1}
		l.started()
		l.hears("s", 60, &a, 0)
		l.Closed(a)
		closed := l.server()
		l.away(12 * time.Second)
		l.over(nil)
		l.serves(20*time.Second - tick)
		l.over(nil)
		l.serves(tick)
		l.over(map[string]events.Time{"s": closed + 10_000})
	})
}

// After a standstill, what closed meanwhile is heard to close only now. That moves no end.
func TestConnectionClosedInAnOutage(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		a := room.Connection{ServerID: "S", ClientID: 1}
		l.started()
		l.Ask()
		l.hears("s", 60, &a, 0)
		end := l.server() + 60_000
		l.away(2 * time.Minute)
		l.Closed(a)
		l.serves(20*time.Second - tick)
		l.over(nil)
		l.serves(tick)
		l.over(map[string]events.Time{"s": end})
	})
}

// Outages one after another spare a session each time, as long as somebody who was spared by
// the one before may still be away; then they are forgotten.
func TestOutagesInARow(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		l.started()
		l.hears("s", 60, nil, 0)
		end := l.server() + 60_000
		for range 100 {
			l.away(15 * time.Second)
			l.serves(19 * time.Second)
			l.over(nil)
		}
		if n := len(l.known.beats.late(l.known.patience(room.MaxLease))); n > mostOutages {
			l.Errorf("%d outages are remembered", n)
		}
		l.serves(time.Second)
		l.over(map[string]events.Time{"s": end})
		l.serves(room.MaxLease / 3 * time.Second)
		l.beats()
		if n := len(l.known.beats.late(l.known.patience(room.MaxLease))); n > 0 {
			l.Errorf("%d outages are remembered that spare nobody", n)
		}
	})
}

// A bucket of an earlier version has no beats: nobody knows how long it was left alone.
func TestFirstBeat(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		l.hears("s", 5, nil, time.Hour)
		end := l.server() - 3_595_000
		l.known.start(moment{l.seq, l.server(), time.Now()})
		l.beats()
		l.over(nil)
		time.Sleep(10 * time.Second)
		l.serves(0)
		l.over(map[string]events.Time{"s": end})
	})
}

// An empty room whose delay ended during an outage waits once more, for the grace time or for
// its delay if that is shorter.
func TestOutageSparesRooms(t *testing.T) {
	for _, c := range []struct{ delay, left time.Duration }{{5 * time.Second, 5 * time.Second}, {30 * time.Second, 10 * time.Second}, {time.Minute, 0}} {
		inBubble(t, time.Hour, func(l *offline) {
			l.started()
			since := l.server()
			l.away(50 * time.Second)
			if left := l.Spares(since, c.delay); left != c.left {
				l.Errorf("with a delay of %v it waits %v, want %v", c.delay, left, c.left)
			}
			if left := l.Spares(since-3_600_000, c.delay); left != 0 {
				l.Errorf("one that was due before waits %v", left)
			}
			time.Sleep(c.left)
			l.serves(0)
			if left := l.Spares(since, c.delay); left != 0 {
				l.Errorf("after that it waits %v", left)
			}
		})
	}
}
