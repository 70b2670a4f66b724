package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"natsrooms/cmd/internal/version"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/room"
)

// Where the embedded server listens and stores unless flags or a configuration say otherwise.
const (
	defaultHost     = "127.0.0.1"
	defaultPort     = 4222
	defaultStoreDir = "./data"
)

// Config is roomd's settings. What nothing sets stays zero, because it overrides the NATS
// server's configuration only if it is set.
type Config struct {
	Config string `placeholder:"FILE" help:"A file with settings: YAML, with the names of these flags. Flags and variables override it. A file whose name does not end in .yaml or .yml is NATS server configuration, as with --nats-config."`

	NATSConfig string `name:"nats-config" placeholder:"FILE" help:"NATS server configuration for the embedded server. What is set otherwise overrides it."`

	Host     string `placeholder:"HOST" help:"Where the embedded server listens (127.0.0.1)."`
	Port     *int   `placeholder:"PORT" help:"Its port (4222); -1 picks any free one."`
	StoreDir string `placeholder:"DIR" help:"Where it stores everything (./data)."`
	Sync     *Sync  `placeholder:"always" help:"When it forces stored data onto the disk: always, before a command is answered, or at an interval like 2m. With an interval a power loss can lose the newest changes."`

	Image string `placeholder:"FILE" help:"Where this instance leaves an image of what it knows, so that its next start is faster; no other instance may use that file. With a store that is not encrypted: a file in --store-dir."`

	NATS  string `name:"nats" placeholder:"URL" help:"Use this server or cluster instead of embedding one."`
	Creds string `placeholder:"FILE" help:"Credentials for --nats."`

	SystemCreds string `placeholder:"FILE" help:"Credentials for the system account of --nats, where the server announces closed connections."`

	JSDomain string `name:"js-domain" placeholder:"NAME" help:"With --nats, on a leaf node: JetStream domain that rooms are stored in. Without it, the JetStream of the server of --nats."`

	Wait *time.Duration `placeholder:"1m" help:"How long a start waits for a server of --nats that does not answer yet, or a cluster that has no leader yet; 0: not at all."`

	Auth         string `placeholder:"jwt" help:"Let end users in with signed JSON Web Tokens: jwt, the only kind there is. Without it, only the NATS server's configuration says who may connect."`
	AuthKey      string `placeholder:"FILE" help:"What tokens are verified with: a JSON Web Key Set, a public key in PEM (RSA or Ed25519), or a secret of 32 bytes or more for HS256."`
	AuthAudience string `placeholder:"NAME" help:"What the aud of a token must contain; for keys that sign tokens for others too."`
	AuthIssuer   string `placeholder:"FILE" help:"With --nats: seed of the account key that the server's auth_callout names as its issuer; in operator mode, of the account's own key or of a signing key."`
	AuthXKey     string `name:"auth-xkey" placeholder:"FILE" help:"With --nats: seed of the curve key that the server's auth_callout, or in operator mode the account, names as its xkey."`

	AuthNames string `placeholder:"token" help:"With --auth, who says how an end user is called: token, the claims name and info of its token; own, the user's own commands."`

	Websocket        string `placeholder:":PORT" help:"Let web pages of this machine connect to the embedded server over WebSocket, on this port of 127.0.0.1; -1 picks any free one. For other machines, write a block websocket in the file of --nats-config."`
	WebsocketOrigins string `placeholder:"URL,URL" help:"Which pages those are: where they come from. Without it, those of the examples, which are served on ports 8000 and 8001 of this machine."`

	IDs                string `name:"ids" placeholder:"strict" help:"New IDs of rooms and users: strict, none that could be taken for another one; any, any text. With --auth strict, otherwise any."`
	WebsocketAnyOrigin bool   `help:"With --auth, start although the configuration's websocket listener accepts connections from every web page."`

	FactsKeep       time.Duration `placeholder:"168h" help:"How long the journal keeps facts, at least 24h."`
	MaxRooms        int           `placeholder:"N" help:"Rooms that may exist at a time (0: any number)."`
	MaxMembers      int           `placeholder:"N" help:"Members that a room may have (0: any number)."`
	MaxRoomsPerUser int           `placeholder:"N" help:"Rooms that a user may be in at a time (0: any number)."`
	MessagesKeep    time.Duration `placeholder:"24h" help:"How long messages are kept, at least 5m."`
	MessagesPerRoom int           `placeholder:"2000" help:"How many of its newest messages a room keeps."`
	MessagesUntil   int           `placeholder:"90" help:"Percentage of the store above which messages are refused, so that there is space for people to come and go."`
	FactsBytes      Bytes         `placeholder:"SIZE" help:"What facts may take in the store, such as 10GB; without it, any amount, or what the stream is already limited to."`
	MessagesBytes   Bytes         `placeholder:"SIZE" help:"The same for messages."`
	StateBytes      Bytes         `placeholder:"SIZE" help:"The same for each of the two buckets, rooms and room_sessions."`
	MessageRate     int           `placeholder:"N" help:"Messages per second from one sender in one room, on each instance (0: any number)."`

	Lease   time.Duration  `placeholder:"60s" help:"How long a user's session stays in its rooms without a sign of life, unless it asks for a different time: 5s to 1h."`
	Grace   *time.Duration `placeholder:"10s" help:"How long it stays after its connection has closed; 0: not at all."`
	Devices string         `placeholder:"many" help:"many: several sessions of a user may be in a room; replace: the newest takes the place of the others."`

	Recall time.Duration `placeholder:"2m" help:"How long a sender may delete its message: whole seconds, 1s to 8760h."`

	TakeOver bool `help:"With --nats: replace a stream of messages that an earlier version made and from which nothing can be deleted. No other roomd may run meanwhile, and the credentials must allow it; a server of its own is taken over without."`

	Limit map[string]int `placeholder:"NAME=N" mapsep:"," help:"Other limits, such as attributes=100,room-name=200; docs/operations.md lists them."`

	Hook        map[string]string `placeholder:"VERB=SUBJECT" mapsep:"," help:"Ask the application on this NATS subject, or at this URL, before a send, enter, join, create or switch of an end user is decided; once for each verb. docs/hooks.md has the questions and answers."`
	HookTimeout time.Duration     `placeholder:"1s" help:"How long its answer may take: 10ms to 5s."`
	HookFailure string            `placeholder:"deny" help:"What becomes of a command without a useful answer in time: deny or allow."`
	HookMost    int               `placeholder:"256" help:"Questions that may wait for an answer at a time; commands beyond that are BUSY."`
	HookTrusted bool              `help:"Ask also about what trusted callers send in a user's name."`

	Webhook        Webhooks      `placeholder:"URL" help:"Deliver facts to this URL, or as NAME=URL; once for each. docs/webhooks.md says how, and what the configuration file can say besides."`
	WebhookSecret  []string      `placeholder:"FILE" sep:"," help:"What requests over HTTP are signed with: whsec_ and 24 to 64 random bytes in base64. Two files, separated by a comma, while one secret takes the place of the other."`
	WebhookPrivate bool          `help:"Webhooks, and hooks over HTTP, may lead to addresses of private networks and this machine, and need not be https."`
	WebhookGiveUp  time.Duration `placeholder:"72h" help:"How old an event that cannot be delivered becomes before it is put aside: 1s to 720h, and no longer than facts are kept."`

	Feeds bool `help:"End users connect as themselves, with permissions that something other than roomd gives them: they hear rooms on feeds of their own and read only what is theirs. If one instance has it, all have it."`

	Replicas int `placeholder:"N" help:"How many servers keep each fact, 1, 3 or 5; with --nats."`

	HTTP string `name:"http" placeholder:"ADDR" help:"Answer /healthz, /readyz and /metrics (for Prometheus) over HTTP at HOST:PORT; :PORT is for this machine only."`

	HTTPPassword string `name:"http-password" placeholder:"FILE" help:"Password for the inspector, a page at --http that shows rooms and may change them. Without it, the inspector is there only for this machine, and only if the NATS server lets everybody in."`

	TraceIDs bool `name:"trace-ids" help:"Traces, which the environment variables of OpenTelemetry switch on, tell the IDs of rooms and users."`

	LogLevel Level `placeholder:"info" help:"Lowest level to log: debug, info, warn or error."`

	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`

	again func() (Config, error) // reads everything again; nil without a file of roomd's
}

// Sync says when stored data is forced onto the disk.
type Sync struct {
	Always bool
	Every  time.Duration // if not Always
}

// UnmarshalText reads "always" or a duration.
func (s *Sync) UnmarshalText(text []byte) error {
	if strings.EqualFold(string(text), "always") {
		*s = Sync{Always: true}
		return nil
	}
	every, err := time.ParseDuration(string(text))
	if err != nil || every <= 0 {
		return fmt.Errorf("%q is neither \"always\" nor a duration like 2m", text)
	}
	*s = Sync{Every: every}
	return nil
}

// Bytes is an amount of storage; 0: not given.
type Bytes int64

// units of Bytes, the longest first.
var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1000}, {"MB", 1000 * 1000}, {"GB", 1000 * 1000 * 1000}, {"TB", 1000 * 1000 * 1000 * 1000}, {"", 1},
}

// UnmarshalText reads a number of bytes, or a number with a unit such as 500MB or 10GiB.
func (b *Bytes) UnmarshalText(text []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*b = Bytes(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not an amount of storage like 500MB or 10GiB", text)
}

// Level is the lowest level that is logged.
type Level struct{ slog.Level }

// UnmarshalText reads debug, info, warn or error.
func (l *Level) UnmarshalText(text []byte) error {
	if err := l.Level.UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is not debug, info, warn or error", text)
	}
	return nil
}

func (c *Config) check() error {
	if c.Port != nil && *c.Port != -1 && (*c.Port < 1 || *c.Port > 65535) {
		return fmt.Errorf("--port is %d; it must be 1 to 65535, or -1 for any free port", *c.Port)
	}
	if c.FactsKeep != 0 && c.FactsKeep < 24*time.Hour {
		return fmt.Errorf("--facts-keep is %s; facts are kept for at least 24h, because readers catch up from them", c.FactsKeep)
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"--max-rooms", c.MaxRooms}, {"--max-members", c.MaxMembers}, {"--max-rooms-per-user", c.MaxRoomsPerUser},
		{"--message-rate", c.MessageRate}, {"--messages-per-room", c.MessagesPerRoom}, {"--replicas", c.Replicas},
	} {
		if f.value < 0 {
			return fmt.Errorf("%s is %d; it must be 1 or more, or 0 for the default", f.name, f.value)
		}
	}
	if err := c.checkMessages(); err != nil {
		return err
	}
	if err := c.checkLeases(); err != nil {
		return err
	}
	if _, err := c.limits(); err != nil {
		return err
	}
	if err := cmp.Or(c.checkAuth(), c.checkHooks(), c.checkWebsocket(), c.checkWebhooks()); err != nil {
		return err
	}
	if c.HTTPPassword != "" && c.HTTP == "" {
		return errors.New("--http-password is for the page at --http, which is not given")
	}
	if err := journal.CheckDomain(c.JSDomain); err != nil {
		return fmt.Errorf("--js-domain: %w", err)
	}
	if c.NATS != "" {
		return c.checkRemote()
	}
	return c.checkEmbedded()
}

// checkEmbedded checks what makes no sense with a server of its own.
func (c *Config) checkEmbedded() error {
	if c.Wait != nil {
		return errors.New("--wait is for --nats URL; the embedded server has nobody to wait for")
	}
	if c.JSDomain != "" {
		return errors.New("--js-domain is for --nats URL; the embedded server stores rooms itself")
	}
	if c.Creds != "" {
		return errors.New("--creds is for --nats URL; the embedded server needs none from roomd")
	}
	if c.SystemCreds != "" {
		return errors.New("--system-creds is for --nats URL; roomd has a way into the server that it embeds")
	}
	if c.Replicas > 1 {
		return fmt.Errorf("--replicas is %d, but the embedded server is alone; run a NATS cluster and name it with --nats URL", c.Replicas)
	}
	return nil
}

func (c *Config) checkMessages() error {
	if c.MessagesUntil < 0 || c.MessagesUntil > 100 {
		return fmt.Errorf("--messages-until is %d; it must be a percentage, 1 to 100", c.MessagesUntil)
	}
	if c.MessagesKeep != 0 && c.MessagesKeep < 5*time.Minute {
		return fmt.Errorf("--messages-keep is %s; messages are kept for at least 5m, because readers catch up from them", c.MessagesKeep)
	}
	return nil
}

func (c *Config) checkAuth() error {
	switch {
	case c.Auth != "" && c.Auth != "jwt":
		return fmt.Errorf("--auth is %q; the only kind is jwt", c.Auth)
	case c.Auth != "" && c.AuthKey == "":
		return errors.New("--auth jwt needs --auth-key FILE to verify tokens with")
	case c.Auth == "" && cmp.Or(c.AuthKey, c.AuthAudience, c.AuthNames, c.AuthIssuer, c.AuthXKey) != "":
		return errors.New("--auth-key, --auth-audience, --auth-names, --auth-issuer and --auth-xkey are for --auth jwt, which is not given")
	case c.AuthNames != "" && c.AuthNames != "token" && c.AuthNames != "own":
		return fmt.Errorf("--auth-names is %q; it must be token or own", c.AuthNames)
	case c.IDs != "" && c.IDs != "strict" && c.IDs != "any":
		return fmt.Errorf("--ids is %q; it must be strict or any", c.IDs)
	case c.Auth != "" && c.NATS != "" && c.AuthIssuer == "":
		return errors.New("--auth jwt with --nats needs --auth-issuer FILE; docs/security.md says how to set the server up")
	case c.NATS == "" && cmp.Or(c.AuthIssuer, c.AuthXKey) != "":
		return errors.New("--auth-issuer and --auth-xkey are for --nats URL; for the server it embeds, roomd makes its own")
	}
	return nil
}

func (c *Config) checkHooks() error {
	switch {
	case c.HookFailure != "" && c.HookFailure != "deny" && c.HookFailure != "allow":
		return fmt.Errorf("--hook-failure is %q; it must be deny or allow", c.HookFailure)
	case len(c.Hook) == 0 && (c.HookFailure != "" || c.HookTimeout != 0 || c.HookMost != 0 || c.HookTrusted):
		return errors.New("--hook-timeout, --hook-failure, --hook-most and --hook-trusted are for --hook VERB=SUBJECT, which is not given")
	}
	s := c.hooks()
	if err := s.Check(); err != nil {
		return fmt.Errorf("--hook: %w", err)
	}
	return nil
}

// hooks are what the application is asked, as the command line has it.
func (c *Config) hooks() hooks.Settings {
	s := hooks.Settings{Timeout: c.HookTimeout, Allow: c.HookFailure == "allow", Most: c.HookMost, Trusted: c.HookTrusted, Secrets: c.WebhookSecret, Private: c.WebhookPrivate}
	for verb, subject := range c.Hook {
		if s.Subjects == nil {
			s.Subjects = map[room.Verb]string{}
		}
		s.Subjects[room.Verb(verb)] = subject
	}
	return s
}

func (c *Config) checkLeases() error {
	switch {
	case c.Lease != 0 && (c.Lease < room.MinLease*time.Second || c.Lease > room.MaxLease*time.Second || c.Lease%time.Second != 0):
		return fmt.Errorf("--lease is %s; it must be whole seconds, 5s to 1h", c.Lease)
	case c.Recall != 0 && (c.Recall < time.Second || c.Recall > 8760*time.Hour || c.Recall%time.Second != 0):
		return fmt.Errorf("--recall is %s; it must be whole seconds, 1s to 8760h", c.Recall)
	case c.Grace != nil && *c.Grace < 0:
		return fmt.Errorf("--grace is %s; it must be a duration like 10s, or 0 for none", *c.Grace)
	case c.Grace != nil && c.NATS != "" && c.SystemCreds == "":
		return errors.New("--grace is of no use with --nats alone: the server announces closed connections in its system account; name credentials for that with --system-creds")
	case c.Devices != "" && c.Devices != "many" && c.Devices != "replace":
		return fmt.Errorf("--devices is %q; it must be many or replace", c.Devices)
	}
	return nil
}

func (c *Config) checkRemote() error {
	if c.Wait != nil && *c.Wait < 0 {
		return fmt.Errorf("--wait is %s; it must be a duration like 1m, or 0 for not at all", *c.Wait)
	}
	var idle []string
	for _, f := range []struct {
		name  string
		given bool
	}{
		{c.serverFlag(), c.NATSConfig != ""}, {"--host", c.Host != ""}, {"--port", c.Port != nil},
		{"--store-dir", c.StoreDir != ""}, {"--sync", c.Sync != nil}, {"--websocket-any-origin", c.WebsocketAnyOrigin},
	} {
		if f.given {
			idle = append(idle, f.name)
		}
	}
	if len(idle) > 0 {
		return fmt.Errorf("with --nats no server is embedded, so there is nothing to set up with %s; leave it out (and its ROOMD_ variable), or leave out --nats", strings.Join(idle, ", "))
	}
	switch c.Replicas {
	case 0, 1, 3, 5:
		return nil
	}
	return fmt.Errorf("--replicas is %d; JetStream keeps 1, 3 or 5 copies", c.Replicas)
}

// serverFlag is the flag that names the NATS server's configuration.
func (c *Config) serverFlag() string {
	if c.Config == c.NATSConfig {
		return "--config"
	}
	return "--nats-config"
}

// limits is the table of limits as the command line sets it.
func (c *Config) limits() (room.Limits, error) {
	var l room.Limits
	if c.Auth != "" {
		for _, s := range room.Settings {
			*s.Of(&l) = room.Protection[s.Name]
		}
	}
	l.MaxRooms, l.MaxMembers, l.MaxRoomsPerUser = c.MaxRooms, c.MaxMembers, c.MaxRoomsPerUser
	l.MessageRate, l.LeaseSeconds, l.Recall = c.MessageRate, int(c.Lease/time.Second), int(c.Recall/time.Second)
	if c.Devices == "replace" {
		l.ReplaceDevices = 1
	}
	if c.AuthNames == "own" {
		l.TokenNames = 0
	}
	if c.IDs != "" {
		l.StrictIDs = map[string]int{"strict": 1}[c.IDs]
	}
	for name, n := range c.Limit {
		if flag, ok := ownFlags[name]; ok {
			return l, fmt.Errorf("--limit names %q, which has a flag of its own; give %s", name, flag)
		}
		i := slices.IndexFunc(room.Settings, func(s room.Setting) bool { return s.Name == name })
		if i < 0 {
			return l, fmt.Errorf("--limit names %q, which is not a limit; there are %s", name, limitNames())
		}
		*room.Settings[i].Of(&l) = n
	}
	return l, l.Check()
}

// ownFlags are the flags of the limits that --limit does not set.
var ownFlags = map[string]string{
	"max-rooms": "--max-rooms", "max-members": "--max-members", "max-rooms-per-user": "--max-rooms-per-user",
	"message-rate": "--message-rate", "lease-seconds": "--lease", "replace-devices": "--devices", "recall": "--recall",
	"token-names": "--auth-names", "strict-ids": "--ids",
}

// feeds reports whether end users connect as themselves.
func (c *Config) feeds() bool { return c.Feeds || c.Auth != "" }

func limitNames() string {
	var names []string
	for _, s := range room.Settings {
		if ownFlags[s.Name] == "" {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

func (c *Config) service(l *link, log *slog.Logger) roomsvc.Config {
	limits, _ := c.limits() // checked
	settle := time.Duration(0)
	if c.Sync != nil && !c.Sync.Always {
		settle = c.Sync.Every + 3*time.Minute
	}
	asks := c.hooks()
	asks.Conn = l.hooks
	grace := time.Duration(0) // the service's default
	if c.Grace != nil {
		grace = cmp.Or(*c.Grace, -1)
	}
	return roomsvc.Config{
		Wait:       l.wait,
		Settle:     settle,
		Instance:   l.instance,
		Feeds:      c.feeds(),
		UsersConn:  l.users,
		FeedsConn:  l.feeds,
		System:     l.system,
		Server:     l.only,
		Grace:      grace,
		FactsKeep:  c.FactsKeep,
		FactsBytes: int64(c.FactsBytes), MessagesBytes: int64(c.MessagesBytes), StateBytes: int64(c.StateBytes),
		MessagesKeep: c.MessagesKeep, MessagesPerRoom: c.MessagesPerRoom, MessagesUntil: c.MessagesUntil,
		Store:         l.store,
		Image:         l.image,
		EndConnection: l.end,
		Listened:      l.listened,
		Limits:        limits,
		Hooks:         asks,
		Webhooks:      c.webhooks(),
		TakeOver:      c.TakeOver || c.NATS == "",
		JSDomain:      c.JSDomain,
		Replicas:      c.Replicas,
		TraceIDs:      c.TraceIDs,
		Build:         version.String(),
		Logger:        log,
	}
}
