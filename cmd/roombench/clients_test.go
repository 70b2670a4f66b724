package main

import (
	"os"
	"slices"
	"testing"
)

func TestRunMeasuresClients(t *testing.T) {
	o := small(serve(t))
	o.Shape, o.PID = shapeClients, os.Getpid()
	for _, r := range runAll(t, o) {
		// The system counts a server's time in hundredths of a second, which may be none.
		if figure(r, "processor time of the server, each") < 0 || figure(r, "processor time of the driver, each") <= 0 {
			t.Errorf("%s: %+v", r.Scenario, r.Figures)
		}
	}
}

// figure is one of a result's, -1 if it has none of that name.
func figure(r Result, name string) float64 {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return -1
	}
	return r.Figures[i].Value
}

func TestRunMeasuresStorms(t *testing.T) {
	o := small(serve(t))
	o.Scenarios = []string{groupStorm}
	for _, r := range runAll(t, o) {
		answered, last := figure(r, "all answered after"), figure(r, "last fact heard after")
		if facts := figure(r, "facts that a listener heard"); answered <= 0 || last <= 0 || facts < 1 || facts > float64(o.Storm[0]) {
			t.Errorf("%+v", r)
		}
	}
}
