package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"natsrooms/cmd/internal/version"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/journal"
	"natsrooms/subjects"
)

// From where on something is told.
const (
	slowTrip    = 250 * time.Millisecond // a round trip to the NATS server
	slowCommand = time.Second            // a command
	clocksAgree = 2 * time.Second        // clocks that differ by less agree; roomd says the same
	fullStream  = 80                     // percent of what a stream may store
	soonExpired = 5 * time.Minute        // a token
)

type doctorCmd struct {
	JSDomain string `name:"js-domain" placeholder:"DOMAIN" help:"The JetStream domain that has the streams, as roomd --js-domain names it."`
}

// verdict is how a check went.
type verdict string

const (
	well    verdict = "ok"
	worry   verdict = "warning" // it works, and should not stay so
	unwell  verdict = "bad"
	unknown verdict = "unknown" // it could not be found out
)

// finding is one check.
type finding struct {
	Check  string  `json:"check"`
	Result verdict `json:"result"`
	Says   string  `json:"says"`
	Do     string  `json:"do,omitzero"` // what to do about it, if something is to be done
}

// errUnwell is that something is not well.
var errUnwell = errors.New("something is not well")

// unwellError keeps the exit code of what kept the doctor from looking further.
type unwellError struct {
	says string
	why  error // nil: nothing did
}

func (e unwellError) Error() string { return e.says }
func (e unwellError) Unwrap() error { return errUnwell }

func (c *doctorCmd) Run(ctx context.Context, s *session) error {
	s.domain = c.JSDomain
	d := &doctor{session: s, now: time.Now}
	why := d.examine(ctx)
	if err := d.report(); err != nil {
		return err
	}
	var usage usageError
	if errors.As(why, &usage) {
		return why
	}
	bad := 0
	for _, f := range d.found {
		if f.Result == unwell {
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	return unwellError{fmt.Sprintf("%d of %d checks found something that is not well", bad, len(d.found)), why}
}

// doctor is one examination.
type doctor struct {
	*session
	now    func() time.Time
	found  []finding
	lacks  []string // what the NATS server did not allow
	hooked bool     // an instance has webhooks
}

func (d *doctor) say(check string, v verdict, do, format string, args ...any) {
	d.found = append(d.found, finding{check, v, fmt.Sprintf(format, args...), do})
}

// examine returns why it could not look further, if so.
func (d *doctor) examine(ctx context.Context) error {
	if err := d.dial(); err != nil {
		hint, _ := strings.CutPrefix(d.hint(err), "try: ")
		d.say("server", unwell, hint, "%s", d.sentence(err))
		return err
	}
	d.server()
	d.token()
	why := d.commands(ctx)
	d.running(ctx)
	d.streams(ctx)
	d.permissions()
	return why
}

// server checks the NATS server and the way to it.
func (d *doctor) server() {
	if err := journal.CheckServer(d.nc); err != nil {
		d.say("server", unwell, "use another server, or change that", "%v", err)
		return
	}
	trip, err := d.nc.RTT()
	switch {
	case err != nil:
		d.say("server", unwell, "see whether the server, or the network, stands still", "%s is there, but does not answer: %v", d.place(), err)
	case trip > slowTrip:
		d.say("server", worry, "run it nearer to its clients, or find out what the network does", "%s (nats-server %s) is %s away", d.place(), d.nc.ConnectedServerVersion(), rounded(trip))
	default:
		d.say("server", well, "", "%s, nats-server %s, round trip %s", d.place(), d.nc.ConnectedServerVersion(), rounded(trip))
	}
}

func rounded(t time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, 10 * time.Millisecond, time.Millisecond, 10 * time.Microsecond} {
		if t >= 10*unit {
			return t.Round(unit)
		}
	}
	return t.Round(time.Microsecond)
}

// token checks how long the connection lasts.
func (d *doctor) token() {
	if d.expires.IsZero() {
		return
	}
	left := d.expires.Sub(d.now())
	if left < soonExpired {
		d.say("token", worry, "ask for a new one", "the token is valid until %s, which is in %s", d.expires.Format(time.DateTime), left.Round(time.Second))
		return
	}
	d.say("token", well, "", "valid until %s", d.expires.Format(time.DateTime))
}

// forbid notes what the NATS server does not allow, which is checked no further.
func (d *doctor) forbid(check, what string) {
	d.lacks = append(d.lacks, what)
	d.say(check, unknown, "", "this connection may not use %s", what)
}

// commands checks whether the service answers.
func (d *doctor) commands(ctx context.Context) error {
	var times []time.Duration
	err := d.asking(ctx, d.Timeout, func(ctx context.Context) (err error) {
		times, err = d.roundTrips(ctx, d.watcher())
		return err
	})
	slices.Sort(times)
	switch {
	case errors.Is(err, errForbidden):
		subject := subjects.Command("list")
		if d.userForm {
			subject = subjects.UserCommand("rooms", subjects.User(d.As))
		}
		d.forbid("service", subject)
		return nil
	case errors.Is(err, client.ErrNoService):
		d.say("service", unwell, d.hint(err), "no room service answers")
	case err != nil:
		d.say("service", unwell, "read roomd's log, and the instances below", "%s", d.sentence(err))
	case times[0] > slowCommand:
		d.say("service", worry, "see docs/operations.md, alerts", "a command takes %s", rounded(times[len(times)/2]))
	default:
		d.say("service", well, "", "answers in %s, at most %s of %d times", rounded(times[len(times)/2]), rounded(times[len(times)-1]), len(times))
	}
	return err
}

// running checks the instances of roomd.
func (d *doctor) running(ctx context.Context) {
	var all []instance
	err := d.asking(ctx, d.Timeout, func(ctx context.Context) (err error) {
		all, err = d.instances(ctx)
		return err
	})
	switch {
	case errors.Is(err, errForbidden):
		d.forbid("instances", "$SRV.STATS."+subjects.MicroService)
		return
	case errors.Is(err, client.ErrNoService), err == nil && len(all) == 0:
		d.say("instances", unwell, "start one: roomd --nats "+shellWord(d.place()), "no roomd runs here")
		return
	case err != nil:
		d.say("instances", unknown, "try again", "%v", err)
		return
	}
	d.versions(all)
	leaders := 0
	for _, i := range all {
		d.hooked = d.hooked || len(i.Webhooks) > 0
		if i.Leads {
			leaders++
		}
		if !i.Ready || i.Problem != "" {
			result := worry
			if !i.Ready {
				result = unwell
			}
			d.say("instances", result, "docs/operations.md says of each alert what to do", "%s is %s: %s", i.Name, map[bool]string{true: "ready, but", false: "not ready"}[i.Ready], cmp.Or(printable(i.Problem), "it does not say why"))
		}
	}
	switch leaders {
	case 1:
		d.say("instances", well, "", "%s, and one leads", count(len(all), "instance", "instances"))
	case 0:
		d.say("instances", worry, "try again in 10 s; if it is still so, read roomd's log: nothing ends leases and empty rooms meanwhile", "%s, and none leads", count(len(all), "instance", "instances"))
	default:
		d.say("instances", worry, "try again in 10 s; for a moment after a change of the lead it is so", "%d of %d instances say that they lead", leaders, len(all))
	}
}

// versions checks whether all are of one version.
func (d *doctor) versions(all []instance) {
	versions := map[string]bool{}
	for _, i := range all {
		versions[i.Version] = true
	}
	what := strings.Join(slices.Sorted(maps.Keys(versions)), " and ")
	switch {
	case len(versions) > 1:
		d.say("version", worry, "finish the update: start all instances with the same version", "instances of roomd are %s", what)
	case !versions[version.String()]:
		d.say("version", worry, "use the roomctl that came with that roomd, if a command is missing or not understood", "roomd is %s, and this roomctl %s", what, version.String())
	default:
		d.say("version", well, "", "%s", what)
	}
}

// permissions says what could not be looked at, and what would be needed for that.
func (d *doctor) permissions() {
	who := "acts for every user, as a back end does"
	if d.userForm {
		who = "acts for " + word(d.As) + " alone, as an end user"
	}
	if len(d.lacks) == 0 {
		d.say("permissions", well, "", "this connection %s, and could look at everything", who)
		return
	}
	slices.Sort(d.lacks)
	d.say("permissions", unknown, "to see all of it, connect as the user service of nats.conf, or with --creds of roomd; docs/security.md says what each role may do",
		"this connection %s, and may not use %s", who, strings.Join(slices.Compact(d.lacks), ", "))
}

// report prints what was found.
func (d *doctor) report() error {
	if d.programs() {
		return d.own(map[string][]finding{"checks": d.found}, "checks")
	}
	_, err := fmt.Fprint(d.stdout, d.look.findings(d.found))
	return err
}

// findings has a line for each check and, below it, what to do.
func (l look) findings(list []finding) string {
	var b strings.Builder
	left := 0
	for _, f := range list {
		left = max(left, len(f.Check))
	}
	marks := map[verdict]string{well: l.paint(text.FgGreen, "ok  "), worry: l.paint(text.FgYellow, "hm  "), unwell: l.paint(text.FgRed, "bad "), unknown: "?   "}
	indent := strings.Repeat(" ", 4+left+2)
	wide := cmp.Or(l.width, 1<<20)
	for _, f := range list {
		says := wrap(f.Says, wide-len(indent), indent)
		fmt.Fprintf(&b, "%s%-*s  %s\n", marks[f.Result], left, f.Check, says)
		if f.Do != "" {
			fmt.Fprintf(&b, "%s%s\n", indent, wrap("-> "+f.Do, wide-len(indent)-3, indent+"   "))
		}
	}
	return b.String()
}
