// Command structure measures how the code hangs together, prints it as a table, and fails
// where a measure is over its limit: run by make structure, and by make check.
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/tools/go/packages"
)

// Limits. Those of one package hold below roomsvc/, where most of the code is.
const (
	mostLines     = 2000 // of a package
	mostMethods   = 14   // on roomsvc.Service
	longFunction  = 45   // lines; some are longer, each with a reason: see CONTRIBUTING.md
	mostLong      = 8    // of those
	mostHeld      = 7    // comments that say that a lock is held
	leastTests    = 40   // percent of the lines of journal, messages and projection
	roomPackage   = "natsrooms/roomsvc/room"
	serviceModule = "natsrooms/roomsvc"
)

// measured is what there is to say of a package.
type measured struct {
	path          string
	lines, tests  int
	circle        []string // the largest set of files that all use each other
	methods       int      // on the type that has most
	most          string   // that type
	long          []string
	serviceMethod int
}

func main() {
	broken, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "structure:", err)
		os.Exit(1)
	}
	for _, b := range broken {
		fmt.Fprintln(os.Stderr, "structure:", b)
	}
	if len(broken) > 0 {
		os.Exit(1)
	}
}

func run() (broken []string, err error) {
	list, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps}, "./...")
	if err != nil {
		return nil, err
	}
	if packages.PrintErrors(list) > 0 {
		return nil, fmt.Errorf("the code does not compile")
	}
	var all []measured
	for _, p := range list {
		if len(p.GoFiles) > 0 {
			all = append(all, measure(p))
		}
	}
	slices.SortFunc(all, func(a, b measured) int { return cmp.Compare(a.path, b.path) })
	held, err := heldLocks()
	if err != nil {
		return nil, err
	}
	print(all, held)
	return judge(all, held), nil
}

func measure(p *packages.Package) measured {
	m := measured{path: p.PkgPath}
	for _, f := range p.GoFiles {
		m.lines += countLines(f)
	}
	tests, _ := filepath.Glob(filepath.Join(filepath.Dir(p.GoFiles[0]), "*_test.go"))
	for _, f := range tests {
		m.tests += countLines(f)
	}
	m.circle = largestCircle(uses(p))
	methods := map[string]int{}
	for _, file := range p.Syntax {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := p.Fset.Position(f.Pos()), p.Fset.Position(f.End())
			if n := to.Line - from.Line + 1; n > longFunction {
				m.long = append(m.long, fmt.Sprintf("%s %s: %d lines", strings.TrimPrefix(p.PkgPath, "natsrooms/"), f.Name.Name, n))
			}
			if t := receiver(f); t != "" {
				methods[t]++
			}
		}
	}
	for t, n := range methods {
		if n > m.methods || n == m.methods && t < m.most {
			m.methods, m.most = n, t
		}
	}
	m.serviceMethod = methods["Service"]
	return m
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	if x, ok := t.(*ast.IndexListExpr); ok {
		t = x.X
	}
	id, _ := t.(*ast.Ident)
	if id == nil {
		return ""
	}
	return id.Name
}

func countLines(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return strings.Count(string(data), "\n")
}

// uses is which file uses names of which other ones.
func uses(p *packages.Package) map[string][]string {
	edges := map[string][]string{}
	file := func(o interface{ Pos() token.Pos }) string { return filepath.Base(p.Fset.Position(o.Pos()).Filename) }
	for id, o := range p.TypesInfo.Uses {
		if o.Pkg() != p.Types || !o.Pos().IsValid() {
			continue
		}
		if from, to := file(id), file(o); from != to && !slices.Contains(edges[from], to) {
			edges[from] = append(edges[from], to)
		}
	}
	return edges
}

// largestCircle is the largest set of two or more files each of which can be reached from
// each other one.
func largestCircle(edges map[string][]string) (largest []string) {
	reach := map[string]map[string]bool{}
	for from := range edges {
		seen := map[string]bool{}
		for next := edges[from]; len(next) > 0; {
			f := next[0]
			next = next[1:]
			if !seen[f] {
				seen[f] = true
				next = append(slices.Clone(next), edges[f]...)
			}
		}
		reach[from] = seen
	}
	for from, seen := range reach {
		if !seen[from] {
			continue
		}
		var circle []string
		for to := range seen {
			if reach[to][from] {
				circle = append(circle, to)
			}
		}
		if slices.Sort(circle); len(circle) > len(largest) || len(circle) == len(largest) && slices.Compare(circle, largest) < 0 {
			largest = circle
		}
	}
	return largest
}

var held = regexp.MustCompile(`(?i)//.*\b(is|are) (locked|held)\b`)

// heldLocks is the comments below roomsvc/ that say that a lock is held.
func heldLocks() (list []string, err error) {
	err = filepath.WalkDir("roomsvc", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for n, line := range strings.Split(string(data), "\n") {
			if held.MatchString(line) && strings.Contains(strings.ToLower(line), "lock") {
				list = append(list, fmt.Sprintf("%s:%d", path, n+1))
			}
		}
		return err
	})
	return list, err
}

func print(all []measured, held []string) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "package\tlines\ttests %\tmost methods\tlargest circle of files")
	for _, m := range all {
		circle := "-"
		if len(m.circle) > 0 {
			circle = strings.Join(m.circle, " ")
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d %s\t%s\n", strings.TrimPrefix(m.path, "natsrooms/"), m.lines, m.share(), m.methods, m.most, circle)
	}
	_ = out.Flush()
	fmt.Printf("\nfunctions over %d lines:\n", longFunction)
	for _, m := range all {
		for _, f := range m.long {
			fmt.Println("  " + f)
		}
	}
	fmt.Printf("comments that say that a lock is held: %d %s\n", len(held), strings.Join(held, " "))
}

// share is the percentage of the package's lines that are tests.
func (m *measured) share() int { return 100 * m.tests / (m.lines + m.tests) }

func judge(all []measured, held []string) (broken []string) {
	long := 0
	for _, m := range all {
		long += len(m.long)
		if m.path == serviceModule && m.serviceMethod > mostMethods {
			broken = append(broken, fmt.Sprintf("roomsvc.Service has %d methods; it may have %d", m.serviceMethod, mostMethods))
		}
		if !strings.HasPrefix(m.path, serviceModule) || m.path == roomPackage {
			continue
		}
		if len(m.circle) > 0 {
			broken = append(broken, fmt.Sprintf("files of %s use each other in a circle: %s", m.path, strings.Join(m.circle, " ")))
		}
		if m.lines > mostLines {
			broken = append(broken, fmt.Sprintf("%s has %d lines; it may have %d", m.path, m.lines, mostLines))
		}
		if name := filepath.Base(m.path); (name == "journal" || name == "messages" || name == "projection") && m.share() < leastTests {
			broken = append(broken, fmt.Sprintf("%d%% of %s are tests; it must be %d%%", m.share(), m.path, leastTests))
		}
	}
	if long > mostLong {
		broken = append(broken, fmt.Sprintf("%d functions have more than %d lines; %d may have", long, longFunction, mostLong))
	}
	if len(held) > mostHeld {
		broken = append(broken, fmt.Sprintf("%d comments say that a lock is held; %d may, the order of locks stands in package replica", len(held), mostHeld))
	}
	return broken
}
