package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"

	"natsrooms/cmd/roombench/process"
)

// Report is what --json prints.
type Report struct {
	Machine     string   `json:"machine"`
	Cores       int      `json:"cores"`
	Go          string   `json:"go"`
	Server      string   `json:"natsServer"`
	Connections int      `json:"connections"`
	InFlight    int      `json:"inFlight"`
	Clients     int      `json:"clients"`
	Runs        int      `json:"runs"`
	Results     []Result `json:"results"`
}

func (b *bench) print(w io.Writer, results []Result) error {
	r := Report{process.Machine(), runtime.NumCPU(), runtime.Version(), b.conns[0].ConnectedServerVersion(), b.Connections, b.InFlight, b.Clients, b.Runs, results}
	if b.JSON {
		return json.MarshalWrite(w, &r, jsontext.Multiline(true))
	}
	fmt.Fprintf(w, "%s, %d cores, %s, nats-server %s; %d in flight over %d connections, or %d clients; medians of %d run(s)\n",
		r.Machine, r.Cores, r.Go, r.Server, r.InFlight, r.Connections, r.Clients, r.Runs)
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"scenario", "ops", "ops/s", "p50 ms", "p99 ms", "facts", "baseline", "its ops/s", "ratio", ""})
	for _, x := range results {
		t.AppendRow(table.Row{
			x.Scenario, x.Ops, fmt.Sprintf("%.0f", x.PerSecond), millis(x.P50), millis(x.P99), blank(x.Facts),
			x.Baseline, fmt.Sprintf("%.0f", x.Base), fmt.Sprintf("%.2f", x.Ratio), x.Floor,
		})
	}
	t.Render()
	printFigures(w, results)
	return nil
}

// printFigures prints what scenarios measured besides, if there is anything.
func printFigures(w io.Writer, results []Result) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"scenario", "what", "how much", ""})
	for _, x := range results {
		name := x.Scenario
		for _, f := range x.Figures {
			t.AppendRow(table.Row{name, f.Name, strconv.FormatFloat(f.Value, 'f', decimals(f.Value), 64), f.Unit})
			name = ""
		}
	}
	if t.Length() > 0 {
		t.Render()
	}
}

// decimals is how many of them say something.
func decimals(v float64) int {
	switch {
	case v == math.Trunc(v) || v >= 1000:
		return 0
	case v >= 10:
		return 1
	}
	return 2
}

func blank(n int) any {
	if n == 0 {
		return ""
	}
	return n
}

func millis(ms float64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", ms)
}
