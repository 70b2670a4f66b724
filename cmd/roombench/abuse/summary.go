package main

import (
	"fmt"
	"strings"
	"time"
)

// summary is a table with one line for each attack: how long 99 of 100 honest commands took at
// most, by how many users attacked with how many connections each, and the worst of the rest.
func summary(rows []*Row) string {
	var b strings.Builder
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
	columns := 0
	for _, r := range rows {
		if r.Attack != rows[0].Attack {
			break
		}
		columns++
	}
	b.WriteString("| attack | in quiet |")
	for _, r := range rows[:columns] {
		fmt.Fprintf(&b, " %d x %d |", r.Users, r.Each)
	}
	b.WriteString(" lost | refused | of | memory besides | quiet again after |\n|---|" + strings.Repeat("---|", columns+6) + "\n")
	for ; len(rows) >= columns && columns > 0; rows = rows[columns:] {
		fmt.Fprintf(&b, "| %s |", rows[0].Attack)
		sum, quiet, during := Row{}, time.Duration(0), ""
		for _, r := range rows[:columns] {
			quiet = max(quiet, r.Quiet.P99)
			during += " " + ms(r.During.P99) + " |"
			sum.Lost, sum.Refused, sum.Asked = sum.Lost+r.Lost, sum.Refused+r.Refused, sum.Asked+r.Asked
			sum.Most, sum.Again = max(sum.Most, r.Most-r.Before), max(sum.Again, r.Again)
		}
		fmt.Fprintf(&b, " %s |%s %d | %d | %d | %d MiB | %.2f s |\n", ms(quiet), during, sum.Lost, sum.Refused, sum.Asked, sum.Most, sum.Again.Seconds())
	}
	return b.String()
}
