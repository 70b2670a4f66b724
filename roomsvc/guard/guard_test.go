package guard

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

var limits = room.Limits{UserCommands: 50, UserBytes: 512 << 10, UserWaiting: 64, UserChanges: 20}

// at counts commands of one kind that pass in a time, sent at a pace, and the rest by fate.
func (a *account) at(l *room.Limits, verb room.Verb, size int64, from, pace, n int64) map[fate]int {
	got := map[fate]int{}
	for i := range n {
		f, _ := a.take(from+i*pace, verb, size, l)
		got[f]++
	}
	return got
}

func TestRates(t *testing.T) {
	const begin = 1_000 * second
	for name, c := range map[string]struct {
		verb          room.Verb
		size, pace, n int64
		pass          int
	}{
		"at the limit":                         {room.Send, 100, second / 50, 1000, 1000},
		"a burst":                              {room.Send, 100, 0, 200, 100},
		"large ones":                           {room.Send, 64 << 10, 0, 60, 16},
		"large ones at the limit":              {room.Send, 64 << 10, second / 8, 100, 100},
		"renewals have a reserve beyond that":  {room.Renew, 100, 0, 200, 100 + 20},
		"so have leaves":                       {room.Leave, 100, 0, 200, 100 + 20},
		"but not large ones":                   {room.Renew, 64 << 10, 0, 60, 16},
		"one and a half times the limit, long": {room.Get, 100, second / 75, 75 * 600, 100 + 50*600 - 2},
	} {
		a := &account{}
		got := a.at(&limits, c.verb, c.size, begin, c.pace, c.n)
		if got[passes] != c.pass || got[passes]+got[refused] != int(c.n) {
			t.Errorf("%s: %v, want %d to pass and the others to be refused", name, got, c.pass)
		}
	}
}

// Whoever waits as long as it is told passes, and not a millisecond earlier.
func TestRetryAfter(t *testing.T) {
	now := int64(1_000 * second)
	for _, size := range []int64{100, 60_000} {
		a := &account{}
		for range 1000 {
			f, wait := a.take(now, room.Send, size, &limits)
			if f == passes {
				continue
			}
			now += millis(wait)*1000 - 1000
			if f, _ := a.take(now, room.Send, size, &limits); f == passes {
				t.Fatalf("%d bytes pass a millisecond early", size)
			}
			now += 1000
			if f, _ := a.take(now, room.Send, size, &limits); f != passes {
				t.Fatalf("%d bytes do not pass after %d µs", size, wait)
			}
			a.patience = 0
		}
	}
}

// Whoever goes on is cut off, for longer each time, and each cut is one.
func TestCut(t *testing.T) {
	for _, size := range []int64{100, 62_000} {
		a := &account{}
		now := int64(1_000 * second)
		for _, want := range []int64{10, 20, 40, 80, 160, 300, 300} {
			got := map[fate]int{}
			for got[cuts] == 0 && got[passes]+got[refused] < 10_000 {
				f, _ := a.take(now, room.Send, size, &limits)
				got[f]++
			}
			if got[cuts] != 1 || a.cut != now+want*second {
				t.Fatalf("%v: cut off for %v s, want %d", got, (a.cut-now)/second, want)
			}
			if most := 200_000_000 / int(size); got[refused] > min(100, most) {
				t.Errorf("%d of %d bytes are answered before that", got[refused], size)
			}
			got = a.at(&limits, room.Renew, size, now+1, second/10, want*10-1)
			if n := int(want) / 2; got[goesOn] > n || got[goesOn] < n-1 || got[dropped] != int(want)*10-1-got[goesOn] {
				t.Errorf("while it is cut off for %d s: %v", want, got)
			}
			now = a.cut
			if f, _ := a.take(now, room.Send, size, &limits); f != passes {
				t.Errorf("after that: %v", f)
			}
		}
		now += forgives + 1
		for f := passes; f != cuts; f, _ = a.take(now, room.Send, size, &limits) {
		}
		if a.cut != now+firstCut {
			t.Errorf("much later it is cut off for %d s", (a.cut-now)/second)
		}
	}
}

// What is not limited passes.
// With a high limit no more come at once than many, and no more refusals than most are answered.
func TestAtOnce(t *testing.T) {
	for rate, want := range map[int]int{1: 2, 100: 200, 250: 500, 2000: 500, 4000: 1000} {
		var a account
		got := a.at(&room.Limits{UserCommands: rate}, room.Send, 10, second, 0, 10_000)
		if got[passes] != want || got[refused] != min(max(rate/2, 100), 500) || got[cuts] != 1 {
			t.Errorf("%d a second: %v; want %d", rate, got, want)
		}
	}
}

func TestNoLimits(t *testing.T) {
	a := &account{}
	if got := a.at(&room.Limits{}, room.Send, 1<<20, second, 0, 100_000); got[passes] != 100_000 {
		t.Error(got)
	}
	if got := a.at(&room.Limits{UserBytes: 1 << 20}, room.Send, 1<<20, second, 0, 9); got[passes] != 2 || got[refused] != 7 {
		t.Error(got)
	}
}

// guarded is a guard with those limits, what it logs, and whose connections it ends.
func guarded(l room.Limits) (g *Guard, log *bytes.Buffer, ended *[]subjects.User) {
	log, ended = &bytes.Buffer{}, &[]subjects.User{}
	g = New(Config{Log: slog.New(slog.NewTextHandler(log, nil)), Limits: func() *room.Limits { return &l }, Waiting: 8, End: func(u subjects.User) { *ended = append(*ended, u) }, Tell: func(subjects.User, time.Time) {}})
	return g, log, ended
}

func TestGuard(t *testing.T) {
	g, log, ended := guarded(limits)
	now := time.Unix(1_700_000_000, 0)
	if _, e := g.Take(now, "al=69ce", room.Get, 10); e == nil || e.Code != room.ErrParamInvalid || e.Field != "userID" {
		t.Errorf("%v", e)
	}
	var last *room.Error
	for range 100_000 {
		p, e := g.Take(now, "al=2Eice", room.Get, 100)
		p.Done()
		if e != nil {
			last = e
		}
	}
	if last == nil || last.Code != room.ErrRateLimited || last.RetryAfterMs < 20 || last.Limit != 50 || !strings.Contains(last.Message, `"al.ice" may send 50 commands and 524288 bytes a second`) {
		t.Errorf("%+v", last)
	}
	if len(*ended) != 1 || (*ended)[0] != "al.ice" || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "al.ice") {
		t.Errorf("%q, %s", *ended, log)
	}
	if p, e := g.Take(now, "bob", room.Get, 100); p == nil || e != nil {
		t.Errorf("another user: %v", e)
	}
	if end := g.CutOff(now, "al.ice"); !end.Equal(now.Add(10*time.Second)) || !g.CutOff(end, "al.ice").IsZero() || !g.CutOff(now, "bob").IsZero() || !g.CutOff(now, "carol").IsZero() {
		t.Errorf("it is cut off until %v", end)
	}
	g.CutOffUntil("al.ice", now.Add(5*time.Second)) // earlier than it is anyway
	g.CutOffUntil("dave", now.Add(5*time.Second))
	if !g.CutOff(now, "al.ice").Equal(now.Add(10*time.Second)) || !g.CutOff(now, "dave").Equal(now.Add(5*time.Second)) {
		t.Error("what another instance says does not count")
	}
	g.Forget(now.Add(time.Minute))
	if len(g.accounts) != 3 {
		t.Errorf("%d accounts: two were cut off, and one waits", len(g.accounts))
	}
	g.Forget(now.Add(time.Hour))
	if len(g.accounts) != 1 {
		t.Errorf("%d accounts", len(g.accounts))
	}
}

// The log is short, however many users are cut off.
func TestCutsAreLoggedSparsely(t *testing.T) {
	g, log, ended := guarded(room.Limits{UserCommands: 1})
	now := time.Unix(1_700_000_000, 0)
	for i := range 100 {
		for range 200 {
			_, _ = g.Take(now, "u"+strings.Repeat("x", i), room.Get, 100)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 10 || len(*ended) != 100 {
		t.Errorf("%d lines, %d ended", n, len(*ended))
	}
}

func TestWaiting(t *testing.T) {
	g, _, _ := guarded(room.Limits{})
	now := time.Unix(1_700_000_000, 0)
	var places []*Place
	for range 8 {
		p, e := g.Take(now, "alice", room.Get, 100)
		if e != nil {
			t.Fatal(e)
		}
		places = append(places, p)
	}
	if _, e := g.Take(now, "alice", room.Get, 100); e == nil || e.Code != room.ErrBusy || e.RetryAfterMs == 0 {
		t.Errorf("%v", e)
	}
	places[3].Done()
	if _, e := g.Take(now, "alice", room.Get, 100); e != nil {
		t.Errorf("%v", e)
	}
}

func TestChanges(t *testing.T) {
	g, _, _ := guarded(limits)
	now := time.Unix(1_700_000_000, 0)
	p, _ := g.Take(now, "alice", room.Join, 100)
	count := func(r subjects.Room) (n int) {
		for p.Change(now, []subjects.Room{r}) == nil {
			n++
		}
		return n
	}
	if a, b := count("lobby"), count("garden"); a != 40 || b != 40 {
		t.Errorf("%d and %d changes at once", a, b)
	}
	e := p.Change(now, []subjects.Room{"attic", "lobby"})
	if e == nil || e.Code != room.ErrRateLimited || e.RetryAfterMs != 50 || e.Limit != 20 || !strings.Contains(e.Message, `"lobby"`) {
		t.Errorf("%+v", e)
	}
	if now = now.Add(50 * time.Millisecond); count("lobby") != 1 {
		t.Error("later it is not one more")
	}
	p.Done()
	if g.Forget(now.Add(2 * time.Second)); len(g.accounts) != 0 {
		t.Errorf("%d accounts", len(g.accounts))
	}
	if (*Place)(nil).Change(now, nil) != nil {
		t.Error("what is nobody's is limited")
	}
}
