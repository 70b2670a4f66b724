package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/nats-io/nats.go"
)

type topCmd struct {
	Interval time.Duration `default:"2s" placeholder:"2s" help:"How often to look, at least 500ms (${default})."`
	Once     bool          `help:"Look once, print it, and end; so it is too if the output is no terminal."`
	By       string        `enum:"rate,members,name" default:"rate" placeholder:"rate" help:"What rooms are in the order of: ${enum} (${default}); the keys r, m and n change it."`
}

// leastInterval keeps top from asking too much.
const leastInterval = 500 * time.Millisecond

// narrow is a screen that has no place for all that there is to say of an instance.
const narrow = 72

// topRooms is how many rooms are shown if there is no screen to fill.
const topRooms = 20

// Run shows the service until a key or a signal ends it.
func (c *topCmd) Run(ctx context.Context, s *session) error {
	if c.Interval < leastInterval {
		return usageError{fmt.Errorf("--interval is %s; it must be at least %s", c.Interval, leastInterval)}
	}
	if err := s.dial(func(o *nats.Options) error { o.AllowReconnect = true; return nil }, nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait)); err != nil {
		return err
	}
	if s.userForm {
		return usageError{errors.New("top is for those who run the service; leave out --end-user, or use the token of a back end")}
	}
	look := newSampler(s, c.Interval)
	switch {
	case s.Lines:
		return c.lines(ctx, s, look)
	case c.Once || s.JSON || !isTerminal(s.stdout):
		shot, err := look.sample(ctx)
		if err != nil {
			return err
		}
		if s.JSON {
			return s.own(shot, "")
		}
		m := newTopModel(s.look, c.By, nil)
		m.shot = shot
		fmt.Fprintln(s.stdout, m.screen(topRooms))
		return nil
	}
	return c.show(ctx, s, func() tea.Msg {
		shot, err := look.sample(ctx)
		return sampled{shot, err}
	})
}

// lines prints what there was in each interval, until a signal ends it.
func (c *topCmd) lines(ctx context.Context, s *session, look *sampler) error {
	for {
		shot, err := look.sample(ctx)
		if ctx.Err() != nil {
			return ended(ctx, context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		if err := s.own(shot, ""); err != nil {
			return err
		}
	}
}

// show runs the screen.
func (c *topCmd) show(ctx context.Context, s *session, next tea.Cmd) error {
	program := tea.NewProgram(newTopModel(s.look, c.By, next), tea.WithContext(ctx), tea.WithInput(s.stdin), tea.WithOutput(s.stdout), tea.WithoutSignalHandler())
	_, err := program.Run()
	if ctx.Err() != nil {
		return ended(ctx, context.Cause(ctx))
	}
	return err
}

// sampled says what the sampler found.
type sampled struct {
	shot *snapshot
	err  error
}

// topModel is the screen of top.
type topModel struct {
	look
	next   tea.Cmd // finds out what is new
	shot   *snapshot
	err    error
	by     string
	height int
	still  bool // what is new is not shown
}

func newTopModel(l look, by string, next tea.Cmd) *topModel {
	return &topModel{look: l, next: next, by: by}
}

// Init begins to look.
func (m *topModel) Init() tea.Cmd { return m.next }

// Update takes what is new, and keys.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case sampled:
		m.err = msg.err
		if msg.shot != nil && !m.still {
			m.shot = msg.shot
		}
		if msg.err != nil { // not again at once
			return m, tea.Tick(leastInterval, func(time.Time) tea.Msg { return m.next() })
		}
		return m, m.next
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		case "r":
			m.by = "rate"
		case "m":
			m.by = "members"
		case "n":
			m.by = "name"
		case "p", "space":
			m.still = !m.still
		}
	}
	return m, nil
}

// View is the screen.
func (m *topModel) View() tea.View {
	v := tea.NewView(m.screen(0))
	v.AltScreen = true
	v.WindowTitle = "roomctl top"
	return v
}

// screen is the text of the screen. It has as many rooms as there is place for, or rooms if that
// is not 0.
func (m *topModel) screen(rooms int) string {
	if m.shot == nil {
		line := "looking..."
		if m.err != nil {
			line = m.trouble()
		}
		return line + "\n\nq ends this"
	}
	top := m.head()
	bottom := m.foot()
	if rooms == 0 {
		rooms = max(m.height-strings.Count(top, "\n")-strings.Count(bottom, "\n")-4, 1)
	}
	parts := []string{top, m.busiest(rooms)}
	if bottom != "" {
		parts = append(parts, bottom)
	}
	return strings.Join(parts, "\n\n")
}

func (m *topModel) trouble() string {
	if errors.Is(m.err, nats.ErrDisconnected) || errors.Is(m.err, nats.ErrConnectionClosed) {
		return m.paint(text.FgRed, "the connection broke; trying to connect again")
	}
	return m.paint(text.FgRed, printable(m.err.Error()))
}

// head is the service as a whole.
func (m *topModel) head() string {
	s := m.shot
	line := func(parts ...string) string { return m.cut(strings.Join(parts, "  ")) }
	lines := []string{
		line(m.bold("roomctl top"), s.Server, s.Time.In(m.zone).Format(time.TimeOnly)),
		line(fmt.Sprintf("commands p50 %s p99 %s", millis(s.P50), millis(s.P99)), fmt.Sprintf("NATS round trip %s", millis(s.RTT))),
		line(fmt.Sprintf("facts %s/s  messages %s/s%s", figure(s.Facts), figure(s.Messages), map[bool]string{true: "  (a sample)"}[s.Sampled])),
	}
	if verbs := m.verbs(); verbs != "" {
		lines = append(lines, line("commands/s  "+verbs))
	}
	if len(s.Instances) > 0 {
		lines = append(lines, "", m.instances())
	}
	return strings.Join(lines, "\n")
}

// cut makes a line no longer than the screen is wide.
func (m *topModel) cut(s string) string {
	if m.width == 0 || cells(s) <= m.width {
		return s
	}
	return text.Trim(s, m.width)
}

// millis is a time in milliseconds for people.
func millis(t float64) string {
	switch {
	case t >= 1000:
		return fmt.Sprintf("%.1fs", t/1000)
	case t >= 10:
		return fmt.Sprintf("%.0fms", t)
	}
	return fmt.Sprintf("%.1fms", t)
}

// figure is a rate for people.
func figure(r float64) string {
	switch {
	case r == 0:
		return "0"
	case r < 10:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

// verbs is which commands are given most.
func (m *topModel) verbs() string {
	type rate struct {
		verb string
		n    float64
	}
	var list []rate
	for verb, n := range m.shot.Commands {
		if n >= 0.05 {
			list = append(list, rate{verb, n})
		}
	}
	slices.SortFunc(list, func(x, y rate) int {
		return cmp.Or(cmp.Compare(y.n, x.n), strings.Compare(x.verb, y.verb))
	})
	var parts []string
	for _, r := range list {
		parts = append(parts, word(r.verb)+" "+figure(r.n))
	}
	return strings.Join(parts, "  ")
}

func (m *topModel) instances() string {
	t := m.table("instance", "version", "leads", "rooms", "in flight", "up", "state")
	for _, i := range m.shot.Instances {
		leads, state := "", "ready"
		if i.Leads {
			leads = m.paint(text.FgGreen, "leads")
		}
		if !i.Ready {
			state = m.paint(text.FgRed, "not ready")
		}
		if i.Problem != "" {
			state += ": " + printable(i.Problem)
		}
		name := i.Name
		if r := []rune(name); len(r) > 12 {
			name = string(r[:11]) + "…"
		}
		row := table.Row{word(name), word(i.Version), leads, i.Rooms, i.InFlight, up(m.shot.Time.Sub(i.Started)), state}
		if m.width > 0 && m.width < narrow {
			row[4], row[5] = "", ""
		}
		t.AppendRow(row)
	}
	return render(t)
}

// up is how long an instance has been there.
func up(t time.Duration) string {
	switch {
	case t >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(t.Hours())/24)
	case t >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(t.Hours()), int(t.Minutes())%60)
	}
	return fmt.Sprintf("%dm%02ds", int(t.Minutes()), int(t.Seconds())%60)
}

// busiest is the rooms, n at most.
func (m *topModel) busiest(n int) string {
	rooms := slices.Clone(m.shot.Rooms)
	slices.SortFunc(rooms, map[string]func(x, y busy) int{"rate": byRate, "members": byMembers, "name": byName}[m.by])
	if len(rooms) == 0 {
		return "nothing happens in any room"
	}
	t := m.table("room", "name", "facts/s", "messages/s", "members")
	for _, b := range rooms[:min(n, len(rooms))] {
		members := "?"
		if b.Members >= 0 {
			members = fmt.Sprint(b.Members)
		}
		t.AppendRow(table.Row{m.roomID(shortened(b.Room, m.width)), shortened(printable(b.Name), m.width), figure(b.Facts), figure(b.Messages), members})
	}
	t.right = []int{3, 4, 5}
	return render(t)
}

// shortened keeps a text from taking more than half of what the figures leave of a line, so that
// a room has one line.
func shortened(s string, width int) string {
	const figures = 34
	if most := max((width-figures)/2, 8); width > 0 && cells(s) > most {
		return text.Trim(s, most-1) + "…"
	}
	return s
}

// foot is what is missing, and the keys.
func (m *topModel) foot() string {
	var lines []string
	if m.shot.Trouble != "" {
		lines = append(lines, m.paint(text.FgRed, printable(m.shot.Trouble)))
	}
	if m.err != nil {
		lines = append(lines, m.trouble())
	}
	if len(m.shot.Lacks) > 0 {
		lines = append(lines, "this connection may not use "+strings.Join(m.shot.Lacks, ", ")+": what they tell is missing")
	}
	if m.next != nil {
		keys := "q ends  r m n order by rate, members, name  p pauses"
		if m.still {
			keys += " (paused)"
		}
		lines = append(lines, keys)
	}
	for i, line := range lines {
		lines[i] = wrap(line, cmp.Or(m.width, 1<<20), "")
	}
	return strings.Join(lines, "\n")
}
