package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	between     = 2  // blanks between columns
	leastColumn = 10 // how narrow a column may be made
)

// grid is a table that knows what it holds, so that it can be made to fit. Columns without
// anything in them are left out.
type grid struct {
	look
	header []any
	rows   []table.Row
	right  []int // numbers of columns that are aligned on the right; those with numbers are anyhow
}

// table is an empty table with a header, or with none.
func (l look) table(header ...any) *grid { return &grid{look: l, header: header} }

// AppendRow adds a row.
func (g *grid) AppendRow(row table.Row) { g.rows = append(g.rows, row) }

// cells is how many columns of a terminal a text takes.
func cells(s string) int { return text.StringWidthWithoutEscSequences(s) }

// widths is how wide each column is; 0: nothing is in it.
func (g *grid) widths() []int {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			for i >= len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], cells(fmt.Sprint(cell)))
		}
	}
	for i := range widths {
		if widths[i] > 0 && i < len(g.header) {
			widths[i] = max(widths[i], cells(fmt.Sprint(g.header[i])))
		}
	}
	return widths
}

// fit narrows the widest columns until the table is no wider than the terminal; ok is false if
// that is not possible.
func (g *grid) fit(widths []int) (ok bool) {
	if g.width == 0 {
		return true
	}
	for {
		total, widest := -between, 0
		for i, w := range widths {
			if w > 0 {
				total += w + between
			}
			if w > widths[widest] {
				widest = i
			}
		}
		if total <= g.width {
			return true
		}
		if widths[widest] <= leastColumn {
			return false
		}
		widths[widest]--
	}
}

// render is the table as text, without blanks at the ends of lines. If it does not fit even
// with narrow columns, each row becomes a list of its own.
func render(g *grid) string {
	widths := g.widths()
	if !g.fit(widths) && len(g.header) > 0 {
		return g.records()
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	style := t.Style()
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = strings.Repeat(" ", between)
	if g.colours {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SuppressEmptyColumns()
	var columns []table.ColumnConfig
	for i, w := range widths {
		c := table.ColumnConfig{Number: i + 1, WidthMax: w, WidthMaxEnforcer: text.WrapSoft}
		if slices.Contains(g.right, i+1) {
			c.Align, c.AlignHeader = text.AlignRight, text.AlignRight
		}
		columns = append(columns, c)
	}
	t.SetColumnConfigs(columns)
	if len(g.header) > 0 {
		t.AppendHeader(table.Row(g.header))
	}
	t.AppendRows(g.rows)
	return trimmed(t.Render())
}

// records shows each row as a list of what it has.
func (g *grid) records() string {
	left := 0
	for _, h := range g.header {
		left = max(left, cells(fmt.Sprint(h)))
	}
	var blocks []string
	for _, row := range g.rows {
		var lines []string
		for i, cell := range row {
			if value := fmt.Sprint(cell); value != "" {
				lines = append(lines, fmt.Sprintf("%-*s  %s", left, strings.ToUpper(fmt.Sprint(g.header[i])), value))
			}
		}
		blocks = append(blocks, strings.Join(lines, "\n"))
	}
	return trimmed(strings.Join(blocks, "\n\n"))
}

func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
