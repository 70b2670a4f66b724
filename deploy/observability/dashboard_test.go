package observability

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/cmd/roomd/web"
)

// dashboard is what these tests read of it.
type dashboard struct {
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
	} `json:"targets"`
}

// Every panel of the dashboard asks for metrics and labels that there are, and there is a panel
// for every metric worth one.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	replace := []string{"[$__rate_interval]", "[5m]"}
	for _, v := range d.Templating.List {
		replace = append(replace, "$"+v.Name, ".+")
	}
	var all strings.Builder
	seen := map[int]string{}
	for _, p := range d.Panels {
		if other, twice := seen[p.ID]; twice {
			t.Errorf("the panels %q and %q have the same ID", p.Title, other)
		}
		seen[p.ID] = p.Title
		if g := p.GridPos; g.W <= 0 || g.H <= 0 || g.X+g.W > 24 {
			t.Errorf("%q does not fit: %+v", p.Title, g)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			expr := strings.NewReplacer(replace...).Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%q has an unknown variable in %s", p.Title, target.Expr)
			}
			check(t, p.Title, expr)
			all.WriteString(expr + "\n")
		}
	}
	for _, m := range web.Metrics {
		switch m.Name {
		case "natsrooms_journal_revision", "natsrooms_stream_first_sequence", "natsrooms_stream_last_sequence": // to look up, not to watch
		default:
			if !strings.Contains(all.String(), m.Name) {
				t.Errorf("no panel shows %s", m.Name)
			}
		}
	}
}
