package leases

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// offline is a book without a server, in simulated time. The server's clock differs from the
// machine's by off.
type offline struct {
	*testing.T
	*Book
	off time.Duration
	seq uint64
}

const tick = time.Millisecond

func newOffline(t *testing.T, off time.Duration) *offline {
	return &offline{t, &Book{known: newLedger(10*time.Second, nil, slog.New(slog.DiscardHandler))}, off, 0}
}

func inBubble(t *testing.T, off time.Duration, test func(*offline)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newOffline(t, off)) })
}

// everywhere runs a test with server clocks that are right, and wrong by an hour either way.
func everywhere(t *testing.T, test func(*offline)) {
	for name, off := range map[string]time.Duration{"right": 0, "ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) { inBubble(t, off, test) })
	}
}

func (l *offline) server() events.Time { return events.TimeOf(time.Now().Add(l.off)) }

// started makes the book count by itself from now on.
func (l *offline) started() {
	l.serves(0)
	l.known.start(moment{l.seq, l.server(), time.Now()})
}

// serves lets time pass, with beats all the while.
func (l *offline) serves(d time.Duration) {
	time.Sleep(d)
	l.known.beats.newest = moment{l.seq, l.server(), time.Now()}
}

// hears makes the book hear a lease that was stored a while ago.
func (l *offline) hears(s string, seconds int, c *room.Connection, ago time.Duration) {
	l.Helper()
	data, err := json.Marshal(&record{Seconds: seconds, Connection: c})
	if err != nil {
		l.Fatal(err)
	}
	l.seq++
	l.known.takeLease(Session{"u", s}, data, false, l.seq, l.server()-events.Time(ago/time.Millisecond))
}

// marks hears a marker over a lease.
func (l *offline) marks(s string, at events.Time) {
	l.Helper()
	data, err := json.Marshal(&record{EndedAt: at})
	if err != nil {
		l.Fatal(err)
	}
	l.seq++
	l.known.takeLease(Session{"u", s}, data, true, l.seq, l.server())
}

// beats makes the book hear a beat that follows the one that it knows.
func (l *offline) beats() {
	l.Helper()
	_, data, err := l.known.beats.next(l.known.patience(room.MaxLease))
	if err != nil {
		l.Fatal(err)
	}
	l.known.beats.take(data, l.seq, l.server())
}

// due is what [Book.Due] returns where the bucket takes beats.
func (l *offline) due() []Ending {
	l.Helper()
	list := l.known.over()
	l.beats()
	return slices.DeleteFunc(list, func(e Ending) bool { return !l.known.outlived(e) })
}

// facts is the time in facts when it is so late by the server's clock.
func (l *offline) facts(at events.Time) events.Time { return at - events.Time(l.off/time.Millisecond) }

// over checks which sessions are due, and that they ended when it was that late by the server's
// clock. That is said by the clock of facts.
func (l *offline) over(want map[string]events.Time) {
	l.Helper()
	due := l.due()
	for _, e := range due {
		at, ok := want[e.ID]
		if !ok || e.At != l.facts(at) || e.Seq != l.known.leases[e.Session].seq {
			l.Errorf("%s is over since %v by %d; want %v", e.ID, e.At.Time(), e.Seq, at.Time())
		}
	}
	if len(due) != len(want) {
		l.Errorf("%d are over; want %d", len(due), len(want))
	}
}

// asks judges what a session asks for; without a record nothing has to be stored.
func (l *offline) asks(s string, a Ask) (Grant, *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known.judge(l.known.leases[Session{"u", s}], &a)
}

func (l *offline) stores(s string, a Ask, want bool) {
	l.Helper()
	if _, r := l.asks(s, a); (r != nil) != want {
		l.Errorf("%+v of %s stores %+v", a, s, r)
	}
}

func TestEnds(t *testing.T) {
	everywhere(t, func(l *offline) {
		l.started()
		l.hears("short", 5, nil, 0)
		l.hears("long", 3600, nil, 0)
		l.hears("lasting", 0, nil, 0)
		first, last := l.server()+5_000, l.server()+3_600_000
		if at, ok := l.Next(); !ok || time.Until(at) != 5*time.Second {
			l.Errorf("the next one is in %v, %v", time.Until(at), ok)
		}
		l.serves(5*time.Second - tick)
		l.over(nil)
		if s := l.Of(Session{"u", "short"}); !s.Live || s.Ended || s.EndAt != first || s.Seconds != 5 {
			l.Errorf("before its end it is %+v", s)
		}
		l.serves(tick)
		l.over(map[string]events.Time{"short": first})
		l.over(nil) // not at once again
		l.serves(standby)
		l.over(map[string]events.Time{"short": first})
		if s := l.Of(Session{"u", "short"}); s.Live || !s.Ended {
			l.Errorf("after its end it is %+v", s)
		}
		l.marks("short", first)
		l.serves(time.Hour - 6*time.Second)
		l.over(map[string]events.Time{"long": last})
		l.serves(1000 * time.Hour)
		l.marks("long", last)
		l.over(nil)
		if s := l.Of(Session{"u", "lasting"}); !s.Live || s.EndAt != 0 {
			l.Errorf("one that lasts is %+v", s)
		}
	})
}

func TestRenewalMovesTheEnd(t *testing.T) {
	everywhere(t, func(l *offline) {
		l.started()
		for range 10 {
			l.hears("s", 5, nil, 0)
			l.serves(5*time.Second - tick)
			l.over(nil)
		}
		l.serves(tick)
		l.over(map[string]events.Time{"s": l.server()})
		// It is too late by this clock, but the bucket took it.
		l.hears("s", 60, nil, 0)
		l.over(nil)
		l.serves(59 * time.Second)
		l.over(nil)
		// What an earlier message says no longer counts.
		l.known.takeLease(Session{"u", "s"}, []byte(`{"leaseSeconds":5}`), false, l.seq-1, l.server())
		if s := l.Of(Session{"u", "s"}); s.Seconds != 60 {
			l.Errorf("it is %+v", s)
		}
	})
}

func TestStoredAfterAThird(t *testing.T) {
	everywhere(t, func(l *offline) {
		l.started()
		l.hears("s", 60, nil, 0)
		end := l.server() + 60_000
		for _, c := range []struct {
			after  time.Duration
			stores bool
		}{{0, false}, {20*time.Second - tick, false}, {tick, true}, {39 * time.Second, true}} {
			l.serves(c.after)
			for _, a := range []Ask{{}, {Renewal: true}, {Default: 60}} {
				l.stores("s", a, c.stores)
			}
			if g, r := l.asks("s", Ask{}); r == nil && (g.EndAt != end || g.Seconds != 60 || g.Ended) {
				l.Errorf("it is granted %+v", g)
			}
		}
		five, none := 5, 0
		l.hears("s", 60, nil, 0)
		l.stores("s", Ask{Seconds: &five}, true)
		l.stores("s", Ask{Seconds: &none}, true)
		l.hears("s", 0, nil, 0)
		l.serves(1000 * time.Hour)
		l.stores("s", Ask{Renewal: true}, false)
		l.stores("s", Ask{}, false)
		l.stores("s", Ask{Seconds: &none}, false)
	})
}

// Leases that were in the bucket at the start are counted by the server's clock alone, and so
// is the third of them that must be over before a renewal is stored.
func TestLeasesFromBeforeTheStart(t *testing.T) {
	everywhere(t, func(l *offline) {
		now := l.server()
		l.hears("over", 5, nil, time.Minute)
		l.hears("fresh", 60, nil, time.Second)
		l.hears("old", 60, nil, 50*time.Second)
		l.hears("ended", 60, nil, time.Hour)
		l.marks("ended", now-1000)
		l.hears("lasting", 0, nil, time.Hour)
		l.serves(3 * time.Second) // reading takes a while
		l.started()
		l.over(map[string]events.Time{"over": now - 55_000})
		l.stores("fresh", Ask{Renewal: true}, false)
		l.stores("old", Ask{Renewal: true}, true)
		if g, r := l.asks("ended", Ask{Renewal: true}); r != nil || !g.Ended {
			l.Errorf("a renewal of what has ended: %+v, %v", g, r)
		}
		l.marks("over", now-55_000)
		l.serves(7*time.Second - tick)
		l.over(nil)
		l.serves(tick)
		l.over(map[string]events.Time{"old": now + 10_000})
		l.marks("old", now+10_000)
		l.serves(49 * time.Second)
		l.over(map[string]events.Time{"fresh": now + 59_000})
	})
}

func TestEndOfAConnection(t *testing.T) {
	a, b := &room.Connection{ServerID: "S", ClientID: 1}, &room.Connection{ServerID: "S", ClientID: 2}
	start := func(l *offline) {
		l.started()
		l.hears("s", 60, a, 0)
		l.hears("beside", 60, b, 0)
		l.hears("lasting", 0, a, 0)
		l.hears("unknown", 60, nil, 0)
	}
	t.Run("grace", func(t *testing.T) {
		everywhere(t, func(l *offline) {
			start(l)
			l.serves(3 * time.Second)
			l.Closed(*a)
			select {
			case <-l.Sooner():
			default:
				l.Error("nobody is told that something is due sooner")
			}
			l.serves(10*time.Second - tick)
			l.over(nil)
			l.serves(tick)
			l.over(map[string]events.Time{"s": l.server()})
			// It has not been ended yet and is renewed: whoever writes the key first wins.
			l.stores("s", Ask{Renewal: true}, true)
			l.hears("s", 60, b, 0)
			l.serves(46 * time.Second)
			l.over(nil)
		})
	})
	t.Run("longer than the lease", func(t *testing.T) {
		inBubble(t, 0, func(l *offline) {
			l.started()
			l.hears("s", 5, a, 0)
			l.serves(time.Second)
			l.Closed(*a)
			l.serves(4 * time.Second)
			l.over(map[string]events.Time{"s": l.server()})
		})
	})
	t.Run("after a lease that it kept", func(t *testing.T) {
		everywhere(t, func(l *offline) {
			start(l)
			l.Ask()
			l.marks("unknown", 0)
			l.serves(59 * time.Second)
			l.Closed(*a)
			l.marks("beside", 0)
			l.serves(10*time.Second - tick)
			l.over(nil)
			l.serves(tick)
			l.over(map[string]events.Time{"s": l.server()})
			if _, _, named := l.Named(Ending{Session: Session{"u", "s"}, Seq: 1}); named {
				l.Error("the connection that closed is to be asked about")
			}
		})
	})
	t.Run("renewed by another one", func(t *testing.T) {
		inBubble(t, 0, func(l *offline) {
			start(l)
			l.Closed(*a)
			l.serves(9 * time.Second)
			l.stores("s", Ask{Renewal: true, Connection: b}, true)
			l.hears("s", 60, b, 0)
			l.Closed(*a) // heard twice
			l.serves(45 * time.Second)
			l.over(nil)
			l.Closed(*b)
			l.serves(time.Second)
			l.marks("beside", 0)
			l.serves(9 * time.Second)
			l.over(map[string]events.Time{"s": l.server(), "unknown": l.server() - 4000})
		})
	})
	t.Run("a late command by the one before", func(t *testing.T) {
		inBubble(t, 0, func(l *offline) {
			start(l)
			l.Closed(*a)
			l.hears("s", 60, b, 0)
			l.stores("s", Ask{Connection: a}, false)
			l.serves(30 * time.Second)
			if _, r := l.asks("s", Ask{Connection: a}); r == nil || r.Connection == nil || *r.Connection != *b {
				l.Errorf("it stores %+v", r)
			}
		})
	})
	t.Run("closed before it is known", func(t *testing.T) {
		inBubble(t, 0, func(l *offline) {
			l.started()
			l.Closed(*a)
			l.serves(4 * time.Second)
			l.hears("s", 60, a, 0)
			l.serves(6*time.Second - tick)
			l.over(nil)
			l.serves(tick)
			l.over(map[string]events.Time{"s": l.server()})
		})
	})
	t.Run("what comes later came by another one", func(t *testing.T) {
		inBubble(t, 0, func(l *offline) {
			start(l)
			l.Closed(*a)
			if _, r := l.asks("s", Ask{}); r == nil || r.Connection == nil || *r.Connection != *a {
				l.Errorf("a command on its way stores %+v", r)
			}
			l.serves(onItsWay + tick)
			if _, r := l.asks("s", Ask{}); r == nil || r.Connection != nil || r.Seconds != 60 {
				l.Errorf("a later command stores %+v", r)
			}
			l.hears("s", 60, nil, 0)
			l.serves(50 * time.Second)
			l.over(nil)
		})
	})
}

func TestShortestAndLongest(t *testing.T) {
	for _, seconds := range []int{room.MinLease, room.MaxLease} {
		inBubble(t, 0, func(l *offline) {
			l.started()
			if g, r := l.asks("s", Ask{Seconds: &seconds}); r == nil || r.Seconds != seconds || g.Ended {
				l.Errorf("%d: %+v, %+v", seconds, g, r)
			}
			l.hears("s", seconds, nil, 0)
			l.serves(time.Duration(seconds)*time.Second - tick)
			l.over(nil)
			l.serves(tick)
			l.over(map[string]events.Time{"s": l.server()})
		})
	}
}

// What a session can get that has no lease or one that is over.
func TestJudgeWithoutALease(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		l.started()
		l.hears("ended", 60, nil, 0)
		l.marks("ended", l.server())
		l.hears("over", 5, nil, 0)
		l.serves(5 * time.Second)
		five, none := 5, 0
		for _, c := range []struct {
			session string
			ask     Ask
			ended   bool
			seconds int // -1: nothing is stored
		}{
			{"new", Ask{}, false, -1},
			{"new", Ask{Renewal: true}, false, -1},
			{"new", Ask{Default: 60}, false, 60},
			{"new", Ask{Seconds: &five, Default: 60}, false, 5},
			{"new", Ask{Seconds: &none}, false, -1},
			{"new", Ask{Seconds: &none, Default: 60}, false, -1},
			{"ended", Ask{Default: 60}, true, -1},
			{"ended", Ask{Seconds: &five, Renewal: true}, true, -1},
			{"ended", Ask{Default: 60, Afresh: true}, false, 60},
			{"ended", Ask{Afresh: true}, false, 0}, // it lasts, and that must be known of it
			{"over", Ask{Seconds: &five}, true, -1},
			{"over", Ask{Seconds: &none}, true, -1},
			{"over", Ask{Seconds: &none, Afresh: true}, false, 0},
		} {
			g, r := l.asks(c.session, c.ask)
			seconds := -1
			if r != nil {
				seconds = r.Seconds
			}
			if g.Ended != c.ended || seconds != c.seconds || g.EndAt != 0 {
				l.Errorf("%+v of %s: %+v, %+v", c.ask, c.session, g, r)
			}
		}
	})
}

// A session that was once to last forever need not do so when it joins again: if an end user
// asks for nothing, it gets a lease.
func TestLeaseOverWhatLasts(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		l.started()
		l.hears("s", 0, nil, 0)
		none := 0
		l.stores("s", Ask{}, false)
		l.stores("s", Ask{Renewal: true}, false)
		l.stores("s", Ask{Seconds: &none, Default: 60}, false)
		if g, r := l.asks("s", Ask{Default: 60}); r == nil || r.Seconds != 60 || g.Ended {
			l.Errorf("%+v, %+v", g, r)
		}
	})
}

func TestForget(t *testing.T) {
	a := room.Connection{ServerID: "S", ClientID: 1}
	inBubble(t, 0, func(l *offline) {
		l.started()
		if !l.None() {
			l.Error("an empty book has leases")
		}
		l.hears("live", 60, &a, 0)
		l.hears("ended", 60, &a, 0)
		l.marks("ended", l.server())
		l.mu.Lock()
		l.known.entry(Session{"u", "never"})
		l.known.entry(Session{"u", "writing"}).writing = true
		l.mu.Unlock()
		l.Closed(a)
		l.Closed(room.Connection{ServerID: "S", ClientID: 2})
		has := func(sessions, closed int) {
			l.Helper()
			l.Forget()
			if len(l.known.leases) != sessions || int(l.known.count.Load()) != sessions || len(l.known.closed) != closed {
				l.Errorf("it knows %d sessions, counts %d, and %d connections; want %d and %d", len(l.known.leases), l.known.count.Load(), len(l.known.closed), sessions, closed)
			}
		}
		has(3, 2)
		l.serves(l.known.grace + closedKept)
		has(3, 2)
		l.serves(tick)
		has(3, 0)
		l.serves(endedTTL)
		has(2, 0) // whoever is late is told by the bucket
		if len(l.known.conns) != 1 || l.known.due.Len() != 1 {
			l.Errorf("%d connections, %d to end", len(l.known.conns), l.known.due.Len())
		}
		l.marks("live", l.server())
		l.serves(endedTTL + tick)
		has(1, 0)
		if len(l.known.conns) != 0 || l.known.due.Len() != 0 {
			l.Errorf("%d connections, %d to end", len(l.known.conns), l.known.due.Len())
		}
	})
}

// Markers from before the start are forgotten when the bucket drops them, and no later: a
// session that has joined since without a lease has none that could have ended.
func TestForgetMarkersFromBeforeTheStart(t *testing.T) {
	everywhere(t, func(l *offline) {
		const old = endedTTL - time.Minute
		l.seq++
		l.known.takeLease(Session{"u", "s"}, []byte(`{}`), true, l.seq, l.server()-events.Time(old/time.Millisecond))
		l.started()
		l.serves(time.Minute)
		if s := l.Of(Session{"u", "s"}); !s.Ended {
			l.Errorf("while the marker is there it is %+v", s)
		}
		l.serves(tick)
		if s := l.Of(Session{"u", "s"}); s != (State{}) {
			l.Errorf("after the marker it is %+v", s)
		}
		if l.Forget(); !l.None() {
			l.Error("it is not forgotten")
		}
	})
}

// Many leases end in the order of their ends, however they were renewed.
func TestManyEnd(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		l.started()
		const many = 2000
		names := make([]string, many)
		for i := range names {
			names[i] = string(rune('a'+i%26)) + time.Duration(i).String()
			l.hears(names[i], 5+i*7919%100, nil, 0)
		}
		for i := range names {
			l.hears(names[i*31%many], 5+i*104729%50, nil, 0)
		}
		begun, seen := time.Now(), 0
		for seen < many {
			at, ok := l.Next()
			if !ok || at.Sub(begun) > 55*time.Second {
				l.Fatalf("%d of %d have ended, the next one at %v", seen, many, at.Sub(begun))
			}
			l.serves(time.Until(at))
			for _, e := range l.due() {
				if e.At != l.facts(l.server()) {
					l.Fatalf("%s ended at %v, it is %v", e.ID, e.At.Time(), l.server().Time())
				}
				l.marks(e.ID, e.At)
				seen++
			}
		}
	})
}

// The server's clock is set while leases are held: they end when they would have ended, and that
// is when their stays end. An hour forward puts nobody out who then gives a sign of life.
func TestServerClockIsSet(t *testing.T) {
	for name, set := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 0, func(l *offline) {
				l.started()
				l.beats()
				l.hears("before", 60, nil, 0)
				l.serves(5 * time.Second) // an outage that spares what ends soon
				l.beats()
				began := time.Now()
				l.off += set
				l.beats()
				if set < 0 {
					l.hears("after", 60, nil, 0)
				}
				l.serves(50 * time.Second)
				l.over(nil)
				l.serves(20 * time.Second)
				due := l.due()
				if len(due) == 0 || len(due) != 2 && set < 0 {
					t.Fatalf("%d have ended", len(due))
				}
				for _, e := range due {
					end := began.Add(55 * time.Second)
					if e.ID == "after" {
						end = began.Add(60 * time.Second)
					}
					if late := e.At.Time().Sub(end); late.Abs() > 2*time.Second {
						t.Errorf("%s ended %v late", e.ID, late)
					}
				}
			})
		})
	}
}

// A lease from before this instance's start lasts no longer than it was given for, although the
// server's clock was set back since.
func TestClockSetBackBeforeAStart(t *testing.T) {
	inBubble(t, 0, func(l *offline) {
		l.hears("s", 60, nil, -time.Hour)
		l.started()
		l.serves(61 * time.Second)
		if due := l.due(); len(due) != 1 {
			t.Errorf("%d have ended", len(due))
		}
	})
}
