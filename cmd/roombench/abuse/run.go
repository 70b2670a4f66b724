package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/cmd/roombench/process"
	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

const (
	secret   = "what the tokens of this run are signed with, 48 b"
	honest   = 8                      // users
	every    = 50 * time.Millisecond  // an honest user sends and reads
	patience = 10 * time.Second       // of an honest user
	window   = 250 * time.Millisecond // in which it is quiet or not
	restless = 20 * time.Second       // the longest wait until it is quiet again
)

// Row is what one attack did.
type Row struct {
	Attack        string
	Users, Each   int     // hostile users, and connections of each
	Quiet, During Latency // of honest users
	Lost, Refused int     // of what they sent
	Why           string  // the last refusal
	Asked         int     // how much that was
	Before, Most  int     // memory of roomd, in MiB
	Again         time.Duration
	Sent, Cuts    int
}

// Latency is how long sends and gets took.
type Latency struct{ P50, P99 time.Duration }

const head = `| attack | users x connections | quiet p50/p99 | attacked p50/p99 | lost | refused | of | memory before/most | quiet again after | sent | cut off |
|---|---|---|---|---|---|---|---|---|---|---|`

func (r *Row) String() string {
	return fmt.Sprintf("| %s | %d x %d | %s | %s | %d | %d | %d | %d/%d MiB | %.2f s | %d | %d |", r.Attack, r.Users, r.Each, r.Quiet, r.During,
		r.Lost, r.Refused, r.Asked, r.Before, r.Most, r.Again.Seconds(), r.Sent, r.Cuts)
}

func (l Latency) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f/%.1f ms", ms(l.P50), ms(l.P99))
}

// sizes are how many hostile users there are, and how many connections each of them has.
func (o *Options) sizes() (list [][2]int, err error) {
	if o.Quick {
		return [][2]int{{1, 4}}, nil
	}
	for _, s := range o.Sizes {
		var size [2]int
		if _, err := fmt.Sscanf(s, "%dx%d", &size[0], &size[1]); err != nil || size[0] < 1 || size[1] < 1 {
			return nil, fmt.Errorf("--sizes has %q; it must be like 4x16, for 4 users with 16 connections each", s)
		}
		list = append(list, size)
	}
	return list, nil
}

// run measures what o asks for; said is told of each row.
func run(ctx context.Context, o Options, said func(*Row)) (rows []*Row, err error) {
	for _, name := range o.Attacks {
		if attackOf(name) == nil {
			return nil, fmt.Errorf("there is no attack %q; there are %s", name, attackNames())
		}
	}
	sizes, err := o.sizes()
	if err != nil {
		return nil, err
	}
	for _, a := range attacks {
		if len(o.Attacks) > 0 && !slices.Contains(o.Attacks, a.name) {
			continue
		}
		for _, size := range sizes {
			r, err := measure(ctx, o, a.name, size[0], size[1])
			if err != nil {
				return rows, fmt.Errorf("%s, %d users with %d connections: %w", a.name, size[0], size[1], err)
			}
			rows = append(rows, r)
			said(r)
		}
	}
	return rows, nil
}

// measure starts a roomd, and measures one attack on it.
func measure(ctx context.Context, o Options, name string, users, each int) (*Row, error) {
	d, err := start(o)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.furnish(users); err != nil {
		return nil, err
	}
	r := &Row{Attack: name, Users: users, Each: each}
	crowd, err := d.gather()
	if err != nil {
		return nil, err
	}
	defer crowd.leave()
	pause(ctx, time.Second) // to warm up
	from := time.Now()
	pause(ctx, 3*time.Second)
	r.Quiet = crowd.between(from, time.Now()).latency()
	r.Before = d.memory()
	r.Most = r.Before
	from = time.Now()
	if err := r.suffer(d, d.attack(ctx, name, users, each, o.For)); err != nil {
		return nil, fmt.Errorf("the attack failed: %w", err)
	}
	end := time.Now()
	r.Again = crowd.quiet(ctx, end, r.Quiet)
	r.Most = max(r.Most, d.memory())
	crowd.leave()
	during := crowd.between(from, end)
	r.During = during.latency()
	r.Lost, r.Refused, r.Why, r.Asked = during.lost, during.refused, during.why, len(during.took)+during.lost
	r.Cuts = strings.Count(d.log.String(), "is cut off:")
	return r, nil
}

// suffer returns when the attack is over.
func (r *Row) suffer(d *daemon, attack *exec.Cmd) (err error) {
	if err := attack.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- attack.Wait() }()
	for {
		select {
		case err := <-done:
			r.Sent, _ = strconv.Atoi(strings.TrimSpace(attack.Stdout.(*bytes.Buffer).String()))
			return err
		case <-time.After(50 * time.Millisecond):
			r.Most = max(r.Most, d.memory())
		}
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// daemon is a roomd with --auth jwt.
type daemon struct {
	*process.Roomd
	dir     string
	archive string // instance of the room archive
	log     *output
}

// output is what a process says, for several goroutines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func start(o Options) (*daemon, error) {
	dir, err := os.MkdirTemp("", "abuse")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, log: &output{}}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		return nil, err
	}
	args := []string{"--port", "-1", "--store-dir", filepath.Join(dir, "store"), "--sync", "2m", "--auth", "jwt", "--auth-key", key}
	if o.Limit != "" {
		args = append(args, "--limit", o.Limit)
	}
	if d.Roomd, err = process.StartLogged(d.log, o.Roomd, args...); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return d, nil
}

func (d *daemon) stop() {
	d.Kill()
	_ = os.RemoveAll(d.dir)
}

// memory is what roomd holds, in MiB; 0 if the system does not say.
func (d *daemon) memory() int {
	m, _ := process.MemoryOf(d.PID)
	return int(m.Now >> 20)
}

func token(u subjects.User, admin bool) (string, error) {
	return auth.Sign([]byte(secret), "", auth.Claims{User: u, Admin: admin})
}

func (d *daemon) attack(ctx context.Context, name string, users, each int, long time.Duration) *exec.Cmd {
	what := []string{d.URL, name, strconv.Itoa(each), long.String()}
	for n := range users {
		t, _ := token(hostile(n), false)
		what = append(what, t)
	}
	self, _ := os.Executable()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), attackEnv+"="+strings.Join(what, "|"), "ROOMBENCH_ARCHIVE="+d.archive)
	cmd.Stdout, cmd.Stderr = &bytes.Buffer{}, os.Stderr
	return cmd
}

// furnish makes the rooms: lobby, and archive, which the hostile users join when everything in
// it has been said.
func (d *daemon) furnish(users int) error {
	t, err := token("backend", true)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(d.URL, nats.Token(t), nats.Timeout(patience))
	if err != nil {
		return err
	}
	defer nc.Close()
	ask := func(verb, body string) {
		m, e := nc.Request(subjects.Command(verb), []byte(body), patience)
		if e == nil && m.Header.Get("Nats-Service-Error") != "" {
			e = errors.New(string(m.Data))
		}
		if err == nil && e != nil {
			err = fmt.Errorf("%s: %w", verb, e)
		}
		if err == nil && verb == "create" {
			var made struct{ InstanceID string }
			err = json.Unmarshal(m.Data, &made, json.MatchCaseInsensitiveNames(true))
			d.archive = made.InstanceID
		}
	}
	ask("create", `{"roomID":"lobby"}`)
	ask("create", `{"roomID":"archive","config":{"historyForJoiners":false}}`)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 2000 / 16 {
				if _, e := nc.Request(subjects.Command("send"), []byte(`{"roomID":"archive","type":"text","data":"`+page[:32_000]+`"}`), patience); e != nil {
					return // the room has fewer
				}
			}
		})
	}
	all.Wait()
	for n := range users {
		for _, r := range []string{"lobby", "archive"} {
			ask("enter", fmt.Sprintf(`{"roomID":%q,"userID":%q}`, r, hostile(n)))
		}
	}
	return err
}

// crowd are the honest users.
type crowd struct {
	stop  context.CancelFunc
	all   sync.WaitGroup
	conns []*nats.Conn

	mu    sync.Mutex
	asked []asked
}

// asked is one command of an honest user.
type asked struct {
	at      time.Time
	took    time.Duration
	lost    bool
	refused string // the refusal
}

// gather has honest users connect, enter the lobby, and begin.
func (d *daemon) gather() (*crowd, error) {
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{stop: stop}
	for n := range honest {
		u := subjects.User(fmt.Sprint("honest-", n))
		t, err := token(u, false)
		if err != nil {
			return nil, err
		}
		nc, err := nats.Connect(d.URL, nats.Token(t), nats.CustomInboxPrefix(subjects.UserInbox(u)), nats.Timeout(patience))
		if err != nil {
			return nil, err
		}
		c.conns = append(c.conns, nc)
		if m, err := nc.Request(subjects.UserCommand("enter", u), []byte(`{"roomID":"lobby"}`), patience); err != nil || m.Header.Get("Nats-Service-Error") != "" {
			return nil, fmt.Errorf("honest users cannot enter: %w, %+v", err, m)
		}
		for _, ask := range [][2]string{{"send", `{"roomID":"lobby","type":"text","data":"good morning"}`}, {"get", `{"roomID":"lobby"}`}} {
			c.all.Go(func() {
				pause(ctx, every*time.Duration(n)/honest)
				for ctx.Err() == nil {
					began := time.Now()
					m, err := nc.Request(subjects.UserCommand(ask[0], u), []byte(ask[1]), patience)
					a := asked{at: began, took: time.Since(began), lost: err != nil}
					if err == nil && m.Header.Get("Nats-Service-Error") != "" {
						a.refused = string(m.Data)
					}
					c.note(a)
					pause(ctx, every-time.Since(began))
				}
			})
		}
	}
	return c, nil
}

func (c *crowd) note(a asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, a)
}

func (c *crowd) leave() {
	c.stop()
	c.all.Wait()
	for _, nc := range c.conns {
		nc.Close()
	}
}

// sum is what became of some commands.
type sum struct {
	took          []time.Duration
	lost, refused int
	why           string // the last refusal
}

func (c *crowd) between(from, to time.Time) (s sum) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.asked {
		if a.at.Before(from) || a.at.After(to) {
			continue
		}
		if a.lost {
			s.lost++
			continue
		}
		if s.took = append(s.took, a.took); a.refused != "" {
			s.refused++
			s.why = a.refused
		}
	}
	return s
}

func (s sum) latency() Latency {
	if len(s.took) == 0 {
		return Latency{}
	}
	slices.Sort(s.took)
	return Latency{s.took[len(s.took)/2], s.took[len(s.took)*99/100]}
}

// quiet is how long after end a window begins in which nothing takes long.
func (c *crowd) quiet(ctx context.Context, end time.Time, usual Latency) time.Duration {
	for from := end; from.Sub(end) < restless && ctx.Err() == nil; from = from.Add(window) {
		pause(ctx, time.Until(from.Add(2*window)))
		if s := c.between(from, from.Add(window)); len(s.took) > honest && s.lost == 0 && s.latency().P99 < max(5*usual.P99, 10*time.Millisecond) {
			return from.Sub(end)
		}
	}
	return restless
}
