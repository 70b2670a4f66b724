package roomtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// A probe's lateness counts wherever its time overlaps the time that is asked about.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p probe
		begun := time.Now()
		at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
		run := func(ms int) {
			p.begin(10*time.Millisecond, nil)
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		run(10) // in time
		p.end()
		run(50) // until 60, 40 late
		p.end()
		run(100) // until 160: gone with its server
		p.drop()
		run(30) // until 190, 20 late
		p.end()
		run(90) // goes on at 280, 80 late
		for _, c := range []struct{ from, to, late int }{{0, 10, 0}, {0, 11, 40}, {59, 61, 40}, {60, 160, 0}, {61, 191, 80}, {61, 170, 20}, {0, 500, 80}, {195, 200, 80}} {
			if late := p.worst(at(c.from), at(c.to)); late != time.Duration(c.late)*time.Millisecond {
				t.Errorf("between %d and %d it was %v late, want %d ms", c.from, c.to, late, c.late)
			}
		}
	})
}

// A server that is away is not late; one that answers again is measured again.
func TestLatenessOverARestart(t *testing.T) {
	t.Parallel()
	n := Start(t)
	l := Measure(t, n.ClientURL())
	n.Stop()
	began := time.Now()
	if !l.Within(time.Minute, time.Minute, began) || l.Within(time.Hour, 0, began) {
		t.Error("an hour is within no time, or a minute not within a minute")
	}
	pause(t.Context(), time.Second)
	if late := l.echoes.worst(began.Add(time.Second/2), time.Now()); late > 0 {
		t.Errorf("a server that is away is %v late", late)
	}
	n.Start()
	nc := Conn(t, n.Server)
	_, err := nc.Subscribe("question", func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	if _, err := nc.Request("question", nil, patience); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(asked); !l.Within(took, 100*time.Millisecond, asked) {
		t.Errorf("a question takes %v", took)
	}
}
