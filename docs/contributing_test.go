package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of packages in CONTRIBUTING.md says of each which others of the service it may
// import, as make check has it.
func TestImportsAreSaid(t *testing.T) {
	rule, err := os.ReadFile("../.ci/imports.sh")
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| ([^|]+) \\|$").FindAllStringSubmatch(string(said), -1) {
		of[m[1]] = m[2]
	}
	checked := 0
	for _, m := range regexp.MustCompile(`(?m)^([a-z/]+) +\| *([a-z/ ]*)\|`).FindAllStringSubmatch(string(rule), -1) {
		switch m[1] {
		case "roomsvc", "docs/contract": // not by name
			continue
		}
		var names []string
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(of[m[1]], -1) {
			names = append(names, name[1])
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != strings.Join(strings.Fields(m[2]), " ") {
			t.Errorf("%s may import %q, and CONTRIBUTING.md says %q", m[1], strings.TrimSpace(m[2]), got)
		}
		checked++
	}
	if checked < 30 {
		t.Errorf("only %d packages are compared", checked)
	}
}
