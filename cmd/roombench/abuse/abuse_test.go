package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"natsrooms/roomsvc/roomtest"
)

func TestMain(m *testing.M) {
	if attack := os.Getenv(attackEnv); attack != "" { // the process of its own
		assault(attack)
		return
	}
	os.Exit(m.Run())
}

// What is promised while an attack goes on.
const (
	mostMemory = 300                   // MiB, beyond what roomd held before
	mostWait   = 50 * time.Millisecond // of 99 of 100 honest commands, or five times what is usual
	quietSoon  = 5 * time.Second
)

// No hostile user makes honest ones lose anything. The short form tries a few attacks for a
// moment, too short to say how long honest commands take; the long one all of them, as make
// abuse does.
func TestAbuse(t *testing.T) {
	o := Options{
		Roomd: filepath.Join(t.TempDir(), "roomd"), For: 2 * time.Second, Quick: true,
		Attacks: []string{"unknown fields", "history", "unread answers"},
	}
	long := os.Getenv("NATSROOMS_LONG") != ""
	if long {
		o = Options{Roomd: o.Roomd, For: 6 * time.Second, Sizes: []string{"1x1", "1x4", "1x16", "4x4"}}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.Roomd, "natsrooms/cmd/roomd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	late, began := roomtest.Measure(t, roomtest.Server(t).ClientURL()), time.Now()
	rows, err := run(t.Context(), o, func(r *Row) {
		roomtest.Figure(t, "%s", r)
		took := r.During.P99
		if long && !late.Within(took, max(mostWait, 5*r.Quiet.P99), began) {
			t.Errorf("%s: 99 of 100 honest commands took up to %v, and usually %v", r.Attack, took, r.Quiet.P99)
		}
		if r.Lost > 0 || r.Refused > 0 {
			t.Errorf("%s: %d of %d honest commands are lost, and %d refused: %s", r.Attack, r.Lost, r.Asked, r.Refused, r.Why)
		}
		if r.Most > r.Before+mostMemory {
			t.Errorf("%s: roomd held %d MiB, and %d before", r.Attack, r.Most, r.Before)
		}
		if !late.Within(r.Again, quietSoon, began) {
			t.Errorf("%s: it was quiet again after %v", r.Attack, r.Again)
		}
		began = time.Now()
	})
	if err != nil || len(rows) == 0 {
		t.Fatal(err)
	}
}

func TestQuiet(t *testing.T) {
	c := &crowd{}
	from := time.Now().Add(-time.Minute)
	for n := range 100 { // from the second second on it is quiet
		took := time.Millisecond
		if n < 20 {
			took = time.Second
		}
		c.note(asked{at: from.Add(time.Duration(n) * 50 * time.Millisecond), took: took})
		c.note(asked{at: from.Add(time.Duration(n) * 50 * time.Millisecond), took: took})
		c.note(asked{at: from.Add(time.Duration(n) * 50 * time.Millisecond), took: took, refused: map[bool]string{true: "no"}[n == 50], lost: n == 60})
	}
	if again := c.quiet(t.Context(), from, Latency{P99: 3 * time.Millisecond}); again != time.Second {
		t.Errorf("it is quiet again after %v", again)
	}
	if s := c.between(from, from.Add(time.Minute)); s.lost != 1 || s.refused != 1 || s.why != "no" || len(s.took) != 299 || s.latency().P50 != time.Millisecond || s.latency().P99 != time.Second {
		t.Errorf("%d, %d, %d, %+v", s.lost, s.refused, len(s.took), s.latency())
	}
}

func TestSummary(t *testing.T) {
	row := func(attack string, users, each, ms int) *Row {
		took := time.Duration(ms) * time.Millisecond
		return &Row{Attack: attack, Users: users, Each: each, Quiet: Latency{P99: took / 4}, During: Latency{P99: took}, Lost: 1, Refused: 2, Asked: 100, Before: 50, Most: 50 + ms, Again: took}
	}
	const want = `| attack | in quiet | 1 x 1 | 4 x 4 | lost | refused | of | memory besides | quiet again after |
|---|---|---|---|---|---|---|---|---|
| shouts | 5.0 ms | 4.0 ms | 20.0 ms | 2 | 4 | 200 | 20 MiB | 0.02 s |
| floods | 2.0 ms | 8.0 ms | 6.0 ms | 2 | 4 | 200 | 8 MiB | 0.01 s |
`
	if got := summary([]*Row{row("shouts", 1, 1, 4), row("shouts", 4, 4, 20), row("floods", 1, 1, 8), row("floods", 4, 4, 6)}); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestSizesOfAttacks(t *testing.T) {
	got, err := (&Options{Sizes: []string{"1x1", "4x16"}}).sizes()
	if err != nil || !slices.Equal(got, [][2]int{{1, 1}, {4, 16}}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"", "4", "0x1", "1x0", "x", "a x b"} {
		if _, err := (&Options{Sizes: []string{wrong}}).sizes(); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
