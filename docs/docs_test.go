package docs

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/cmd/roomd/web"
	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/subjects"
)

var update = flag.Bool("update", false, "write the tables of commands, facts, errors and limits into the manual")

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// commandTable is the table of commands as the manual shows it.
func commandTable() string {
	table := "| verb | body | answers |\n|---|---|---|\n"
	for _, c := range room.Commands {
		body, means := "", c.Means
		if fields := bodyFields(reflect.TypeOf(c.Request).Elem()); len(fields) > 0 {
			body = " `" + strings.Join(fields, ", ") + "`"
		}
		if c.Trusted {
			means += "; not in the user form"
		}
		if c.Hosts {
			means += "; back ends, and hosts of the room"
		}
		table += fmt.Sprintf("| `%s` |%s | %s |\n", c.Verb, body, means)
	}
	return table
}

// bodyFields is the fields of a command's body that not every command has, required ones
// first; `?` may be left out, `{}` is an object and `[]` a list.
func bodyFields(t reflect.Type) []string {
	var must, may, rest []string
	for i := range t.NumField() {
		f := t.Field(i)
		switch f.Type {
		case reflect.TypeFor[room.Caller](), reflect.TypeFor[room.Freshness]():
			continue
		}
		if f.Anonymous {
			rest = append(rest, bodyFields(f.Type)...)
			continue
		}
		name, optional := strings.CutSuffix(f.Tag.Get("json"), ",omitzero")
		switch f.Type.Kind() {
		case reflect.Struct:
			name += "{" + strings.Join(bodyFields(f.Type), ", ") + "}"
		case reflect.Map:
			name += "{}"
		case reflect.Slice:
			name += "[]"
		}
		if optional {
			may = append(may, name+"?")
		} else {
			must = append(must, name)
		}
	}
	return slices.Concat(must, may, rest)
}

// factTable is the table of events as the manual shows it.
func factTable() string {
	table := "| type | when |\n|---|---|\n"
	for _, e := range events.Types {
		table += fmt.Sprintf("| `%s` | %s |\n", strings.TrimPrefix(e.Type, events.TypePrefix), e.Means)
	}
	return table
}

// errorTable is the table of errors as the manual shows it.
func errorTable() string {
	codes := slices.Clone(room.Codes)
	slices.SortFunc(codes, func(a, b *room.Code) int { return a.Number - b.Number })
	table := "| code | number | means |\n|---|---|---|\n"
	for _, c := range codes {
		table += fmt.Sprintf("| `%s` | %d | %s |\n", c.Name, c.Number, c.Means)
	}
	return table
}

// limitTable is the table of limits as the manual shows it: those without a flag of their
// own.
func limitTable() string {
	table := "| name | default | at most | of what |\n|---|---|---|---|\n"
	for _, s := range room.Settings {
		standard := strconv.Itoa(s.Default)
		if n := room.Protection[s.Name]; n > 0 {
			standard = fmt.Sprintf("%d with `--auth`, else none", n)
		}
		if standard != "0" && s.Name != "lease-seconds" && s.Most != 1 {
			table += fmt.Sprintf("| `%s` | %s | %d | %s |\n", s.Name, standard, s.Most, s.Means)
		}
	}
	return table
}

// roleTable is the table of roles as the manual shows it.
func roleTable() string {
	table := "| role | is | may publish | may subscribe to |\n|---|---|---|---|\n"
	for _, rule := range policy.Table {
		publish := placesOf(rule.Publish)
		if rule.Respond {
			publish += fmt.Sprintf("; an answer to what it is asked, within %v", subjects.RespondWithin)
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", rule.Role, rule.Means, publish, placesOf(rule.Subscribe))
	}
	return table
}

// placesOf lists subjects for people; those of one stream are grouped under their purpose.
func placesOf(list []string) string {
	list = slices.Clone(list)
	var groups []string
	take := func(group []string, means string) {
		if i := slices.Index(list, group[0]); i >= 0 && len(list) >= i+len(group) && slices.Equal(list[i:i+len(group)], group) {
			list, groups = slices.Delete(list, i, i+len(group)), append(groups, means)
		}
	}
	for _, stream := range subjects.Streams {
		take(subjects.OwnStream(stream), "making `"+stream+"`")
		take(subjects.ReadStream(stream), "reading `"+stream+"`")
	}
	take(subjects.FindStreams(), "finding streams")
	for i, subject := range list {
		list[i] = "`" + strings.ReplaceAll(subject, string(policy.AnyUser), "<user>") + "`"
	}
	return strings.Join(append(list, groups...), ", ")
}

// streamTable is the subjects that reading and making a stream takes.
func streamTable() string {
	code := func(list []string) string { return "`" + strings.Join(list, "`, `") + "`" }
	read, own := subjects.ReadStream("<stream>"), subjects.OwnStream("<stream>")
	return "| what | publishes on |\n|---|---|\n" +
		"| reading a stream | " + code(read) + " |\n" +
		"| making a stream | the same, and " + code(own[:len(own)-len(read)]) + " |\n" +
		"| finding streams | " + code(subjects.FindStreams()) + " |\n"
}

// metricTable is the metrics of /metrics.
func metricTable() string {
	table := "| metric | kind | labels | meaning |\n|---|---|---|---|\n"
	for _, m := range web.Metrics {
		labels := ""
		if len(m.Labels) > 0 {
			labels = " `" + strings.Join(m.Labels, "`, `") + "`"
		}
		table += fmt.Sprintf("| `%s` | %s |%s | %s |\n", m.Name, m.Kind, labels, m.Means)
	}
	return table
}

// TestTables compares the tables of the manual with those in code from which they are made.
func TestTables(t *testing.T) {
	for name, tables := range map[string][]string{
		"README.md":          {commandTable(), factTable(), errorTable()},
		"docs/operations.md": {limitTable(), metricTable()},
		"docs/security.md":   {roleTable(), streamTable()},
	} {
		page := read(t, name)
		for _, table := range tables {
			head, _, _ := strings.Cut(table, "\n")
			found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(head) + `\n(\|.*\n)+`).FindString(page)
			if found == "" {
				t.Errorf("%s has no table %s", name, head)
			}
			if *update {
				page = strings.Replace(page, found, table, 1)
			} else if found != table {
				t.Errorf("a table of %s does not match the code; go test ./docs -update writes it. It should be\n%s", name, table)
			}
		}
		if *update {
			if err := os.WriteFile(filepath.Join("..", name), []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// firstColumn is the text in backquotes at the start of the rows of a heading's table.
func firstColumn(t *testing.T, name, heading string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, name), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", name, heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var column []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(rest, -1) {
		column = append(column, m[1])
	}
	slices.Sort(column)
	return column
}

func TestCommandTable(t *testing.T) {
	srv := roomtest.Server(t)
	s, err := roomsvc.New(t.Context(), roomtest.Conn(t, srv), roomsvc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	m, err := roomtest.Conn(t, srv).Request("$SRV.INFO.rooms", nil, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Endpoints []struct{ Name string } `json:"endpoints"`
	}
	if err := json.Unmarshal(m.Data, &info, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, e := range info.Endpoints {
		if !strings.HasSuffix(e.Name, "-user") {
			verbs = append(verbs, e.Name)
		}
	}
	slices.Sort(verbs)
	if table := firstColumn(t, "README.md", "Commands"); !slices.Equal(table, verbs) {
		t.Errorf("README has the commands %v, but the service answers %v", table, verbs)
	}
}

// TestEventTable compares the table of events with the types in code.
func TestEventTable(t *testing.T) {
	pkg, err := importer.ForCompiler(token.NewFileSet(), "source", nil).Import("natsrooms/events")
	if err != nil {
		t.Fatal(err)
	}
	var list, table []string
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() != constant.String {
			continue
		}
		if v := constant.StringVal(c.Val()); strings.HasPrefix(v, events.TypePrefix) && v != events.TypePrefix {
			list = append(list, v)
		}
	}
	for _, e := range events.Types {
		table = append(table, e.Type)
	}
	slices.Sort(list)
	slices.Sort(table)
	if !slices.Equal(table, list) {
		t.Errorf("events.Types has %v, the code %v", table, list)
	}
}

// build builds the programs of cmd/ in a temporary folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "../cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestCommandsRun runs every line of the manual's sh blocks against a roomd.
func TestCommandsRun(t *testing.T) {
	bin := build(t)
	roomd := exec.CommandContext(t.Context(), filepath.Join(bin, "roomd"), "--port", "-1", "--store-dir", t.TempDir())
	out, err := roomd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := roomd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = roomd.Wait() }()
	defer func() { _ = roomd.Process.Kill() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	url, _, _ = strings.Cut(url, " ")
	if !ok {
		t.Fatalf("roomd says %q", line)
	}
	ran := 0
	for _, name := range []string{"README.md", "docs/operations.md", "docs/pipelines.md", "docs/roomctl.md", "docs/running-a-room.md"} {
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(read(t, name), -1) {
			for command := range strings.Lines(block[1]) {
				cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, "bin/", bin+string(filepath.Separator)))
				cmd.Env = append(os.Environ(), "ROOMCTL_SERVER="+url)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %s%v\n%s", name, command, err, out)
				}
				ran++
			}
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands in the manual", ran)
	}
}

// TestFlagTable compares the flags in operations.md with roomd --help.
func TestFlagTable(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), filepath.Join(build(t), "roomd"), "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, m := range regexp.MustCompile(`(?m)^ {6}--([a-z-]+)[= ]`).FindAllStringSubmatch(string(help), -1) {
		flags = append(flags, "--"+m[1])
	}
	slices.Sort(flags)
	if table := firstColumn(t, "docs/operations.md", "Flags of roomd"); !slices.Equal(table, flags) {
		t.Errorf("operations.md has %v, roomd has %v", table, flags)
	}
}

// TestLinks checks that the targets of the manual's links exist.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(append(pages, more...), "../README.md") {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(read(t, filepath.Join("docs", page)), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
