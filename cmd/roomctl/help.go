package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type helpCmd struct {
	Topic []string `arg:"" optional:"" name:"command" predictor:"command" help:"The command to explain, or flags."`
}

// helpWidth is how wide help is if the terminal does not say, and at most.
const helpWidth, mostHelpWidth = 80, 110

// Run prints what --help prints.
func (c *helpCmd) Run(s *session, k *kong.Context) error {
	if slices.Equal(c.Topic, []string{"flags"}) {
		return s.manual(k.Model).flags(s.stdout)
	}
	node := k.Model.Node
	for _, name := range c.Topic {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == name && !n.Hidden })
		if i < 0 {
			return usageError{fmt.Errorf("there is no command %s", word(strings.Join(c.Topic, " ")))}
		}
		node = node.Children[i]
	}
	return s.manual(k.Model).print(s.stdout, node)
}

func (s *session) manual(app *kong.Application) *manual { return newManual(s.look, app) }

// manual explains the command line to people.
type manual struct {
	look
	app *kong.Application
}

func newManual(l look, app *kong.Application) *manual {
	if l.width == 0 {
		l.width = helpWidth
	}
	l.width = min(l.width, mostHelpWidth)
	return &manual{l, app}
}

// print explains a command, or lists them all.
func (m *manual) print(w io.Writer, node *kong.Node) error {
	text := ""
	if node == nil || node == m.app.Node {
		text = m.all()
	} else {
		text = m.command(node)
	}
	_, err := io.WriteString(w, text)
	return err
}

// group is commands that belong together.
type group struct {
	title    string
	commands []*kong.Node
}

func groupsOf(nodes []*kong.Node) (groups []group) {
	for _, n := range nodes {
		if n.Hidden {
			continue
		}
		title := "Commands"
		if n.Group != nil {
			title = n.Group.Title
		}
		if len(groups) == 0 || groups[len(groups)-1].title != title {
			groups = append(groups, group{title: title})
		}
		last := &groups[len(groups)-1]
		last.commands = append(last.commands, n)
	}
	return groups
}

func (m *manual) all() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage: roomctl COMMAND ... [flags]\n", description)
	for _, g := range groupsOf(m.app.Children) {
		fmt.Fprintf(&b, "\n%s\n", m.bold(g.title))
		rows := make([][2]string, len(g.commands))
		for i, n := range g.commands {
			rows[i] = [2]string{n.Name, n.Help}
		}
		m.columns(&b, rows, 13)
	}
	fmt.Fprintf(&b, "\n%s\n", wrap("roomctl help COMMAND explains a command. "+m.folded(), m.width, ""))
	fmt.Fprintf(&b, "\n%s\n", m.bold("Exit codes"))
	rows := make([][2]string, len(exits))
	for i, e := range exits {
		rows[i] = [2]string{fmt.Sprint(e.code), e.means}
	}
	m.columns(&b, rows, 1)
	return b.String()
}

func (m *manual) command(n *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", wrap("Usage: roomctl "+usage(n), m.width-2, "  "))
	fmt.Fprintf(&b, "\n%s\n", wrap(n.Help, m.width, ""))
	for part := range strings.SplitSeq(strings.TrimSpace(n.Detail), "\n\n") {
		if part != "" {
			fmt.Fprintf(&b, "\n%s\n", wrap(part, m.width, ""))
		}
	}
	if len(n.Positional) > 0 {
		rows := make([][2]string, len(n.Positional))
		for i, a := range n.Positional {
			rows[i] = [2]string{argument(a), a.Help}
		}
		fmt.Fprintf(&b, "\n%s\n", m.bold("Arguments"))
		m.columns(&b, rows, 0)
	}
	if own := visible(n.Flags); len(own) > 0 {
		fmt.Fprintf(&b, "\n%s\n", m.bold("Flags"))
		m.columns(&b, flagRows(own), 0)
	}
	for _, g := range groupsOf(n.Children) {
		fmt.Fprintf(&b, "\n%s\n", m.bold(g.title))
		rows := make([][2]string, len(g.commands))
		for i, c := range g.commands {
			rows[i] = [2]string{n.Name + " " + c.Name, c.Help}
		}
		m.columns(&b, rows, 0)
	}
	fmt.Fprintf(&b, "\n%s\n", wrap(m.folded(), m.width, ""))
	return b.String()
}

// usage is a command with its arguments.
func usage(n *kong.Node) string {
	words := []string{strings.TrimPrefix(n.FullPath(), "roomctl ")}
	for _, a := range n.Positional {
		words = append(words, argument(a))
	}
	for _, f := range visible(n.Flags) {
		if f.Required {
			words = append(words, "--"+f.Name+"="+f.FormatPlaceHolder())
		}
	}
	if len(n.Children) > 0 {
		words = append(words, "COMMAND ...")
	}
	if len(visible(n.Flags)) > 0 {
		words = append(words, "[flags]")
	}
	return strings.Join(words, " ")
}

// argument is how an argument is written.
func argument(a *kong.Positional) string {
	name := strings.ToUpper(a.Name)
	if a.IsCumulative() {
		name += " ..."
	}
	if !a.Required {
		return "[" + name + "]"
	}
	return name
}

// folded names the flags that every command has.
func (m *manual) folded() string {
	var names []string
	for _, f := range visible(m.app.Flags) {
		names = append(names, "--"+f.Name)
	}
	return "Every command also takes " + strings.Join(names, ", ") + ": see roomctl help flags."
}

// flags explains those.
func (m *manual) flags(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", m.bold("Flags of every command"))
	m.columns(&b, flagRows(visible(m.app.Flags)), 0)
	_, err := io.WriteString(w, b.String())
	return err
}

func visible(all []*kong.Flag) []*kong.Flag {
	return slices.DeleteFunc(slices.Clone(all), func(f *kong.Flag) bool { return f.Hidden })
}

func flagRows(flags []*kong.Flag) [][2]string {
	rows := make([][2]string, len(flags))
	short := slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Short != 0 })
	for i, f := range flags {
		name := "--" + f.Name
		switch {
		case f.Tag.Negatable != "":
			name = "--[no-]" + f.Name
		case !f.IsBool() && !f.IsCounter():
			name += "=" + f.FormatPlaceHolder()
		}
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		} else if short {
			name = "    " + name
		}
		rows[i] = [2]string{name, f.Help}
		for _, env := range f.Tag.Envs {
			rows[i][1] = strings.TrimSuffix(f.Help, ".") + " ($" + env + ")."
		}
	}
	return rows
}

// columns prints names and what they mean. The left column has least characters or, if that is 0,
// as many as the names need, up to a third of the width.
func (m *manual) columns(b *strings.Builder, rows [][2]string, least int) {
	left := least
	for _, r := range rows {
		if n := len(r[0]); n <= max(m.width/3, 28) {
			left = max(left, n)
		}
	}
	indent := strings.Repeat(" ", left+4)
	for _, r := range rows {
		means := wrap(r[1], m.width-len(indent), "")
		first, rest, more := strings.Cut(means, "\n")
		if len(r[0]) > left {
			first, rest, more = "", means, true
		}
		fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("  %-*s  %s", left, r[0], first), " "))
		for line := range strings.SplitSeq(rest, "\n") {
			if more {
				fmt.Fprintln(b, indent+line)
			}
		}
	}
}

// wrap breaks a text between its words into lines of at most width; those after the first begin
// with indent, which does not count.
func wrap(s string, width int, indent string) string {
	var lines []string
	line := ""
	for w := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = w
		case cells(line)+1+cells(w) > width:
			lines = append(lines, line)
			line = w
		default:
			line += " " + w
		}
	}
	return strings.Join(append(lines, line), "\n"+indent)
}
