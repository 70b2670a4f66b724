package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The tables of docs/roomctl.md are what the code has.
func TestManual(t *testing.T) {
	t.Parallel()
	var c cli
	commands := ""
	for _, g := range groupsOf(newParser(&c, io.Discard, io.Discard, nil).Model.Children) {
		commands += fmt.Sprintf("| **%s** | |\n", g.title)
		for _, n := range g.commands {
			commands += fmt.Sprintf("| `%s` | %s |\n", usage(n), n.Help)
		}
	}
	codes, exit := "", ""
	for _, p := range problems {
		codes += fmt.Sprintf("| `%s` | %s |\n", p.code, p.means)
	}
	for _, e := range exits {
		exit += fmt.Sprintf("| %d | %s |\n", e.code, e.means)
	}
	const file = "../../docs/roomctl.md"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, table := range [][2]string{{"| command | what it does |\n|---|---|\n", commands}, {"| code | means |\n|---|---|\n", codes}, {"| exit code | means |\n|---|---|\n", exit}} {
		old := regexp.MustCompile(regexp.QuoteMeta(table[0]) + `(\|.*\n)*`).FindString(page)
		switch {
		case old == "":
			t.Errorf("there is no table %q", table[0])
		case old != table[0]+table[1] && *update:
			page = strings.Replace(page, old, table[0]+table[1], 1)
		case old != table[0]+table[1]:
			t.Errorf("the table is\n%s\nand has to be (make contract writes it)\n%s", old, table[0]+table[1])
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
