package roomsvc

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"go.opentelemetry.io/otel/trace"

	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/load"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/space"
	"natsrooms/roomsvc/webhooks"
)

// Version is the version of the service, as its micro service reports it.
const Version = "0.1.0"

// Config is a service's settings. The zero value works.
type Config struct {
	Instance        string                    // unique among running instances; one that starts under the name of the instance that led takes the lead at once. Default: random
	FactsKeep       time.Duration             // how long facts are kept: 0 is 168 h, else at least 24 h
	MessagesKeep    time.Duration             // how long messages are kept: 0 is 24 h, else at least 5 min
	MessagesPerRoom int                       // newest messages that a room keeps; 0: 2,000
	FactsBytes      int64                     // that facts may take in the store; 0: as the stream has, unlimited for a new one
	MessagesBytes   int64                     // the same for messages
	StateBytes      int64                     // the same for each of the buckets
	Limits          room.Limits               // see [room.Settings]
	JSDomain        string                    // JetStream domain of the streams, if it is not the one that the connection is in: on a leaf node; empty: that one
	Replicas        int                       // of streams and buckets made here; 0: 1 for new ones, existing ones keep theirs
	MaxInFlight     int                       // commands worked on at once, beyond that BUSY; 0: 16384
	SourcePrefix    string                    // before the source of every event
	Remember        time.Duration             // how long outcomes of requests are known: 0 is 3 min; under 2 min breaks what is promised about retries
	Settle          time.Duration             // how long the server may take to bring what it acknowledged to its disk, longer than its sync_interval; 0: 5 min
	Feeds           bool                      // end users connect as themselves: they hear rooms by feeds, and read only what is theirs. Once one instance has had it, all have it
	UsersConn       *nats.Conn                // for commands of end users, so that nothing else waits behind them; nil: the service's own connection
	FeedsConn       *nats.Conn                // for copies to end users, so that they are not in the way of commands; nil: the service's own connection
	Grace           time.Duration             // from the end of a session's connection to the end of its lease; 0: 10 s, negative: at once
	System          *nats.Conn                // a connection to the server's system account, which tells of connections that end, and which are open; nil: leases run their whole time
	Server          string                    // ID of the NATS server, if all clients only ever connect to this one: connections to any other belong to an earlier server, and have closed
	EndConnection   func(client uint64) error // ends a client's connection to Server, if that is in this process; nil: System is asked to
	Listened        func(subject string) bool // says whether anybody who is connected to Server subscribes to a subject, if that is in this process: notices and copies for end users that nobody would hear are not made; nil: they all are
	GoodKey         func(key uint64) bool     // says whether a key of tokens, by what stands for it, is good now; what others gave users counts no more. nil: all are good
	Store           func() space.Store        // looks at the store of the NATS server, if it is in this process; nil: the server is asked for its limits. It is called for every command
	MessagesUntil   int                       // percentage of the store above which messages are refused; 0: 90
	Image           *Image                    // of what this instance knew a while ago, and its file: a start over it is faster; nil: none
	Hooks           hooks.Settings            // what the application is asked before it is decided; zero: nothing
	Webhooks        webhooks.Settings         // where facts and messages are delivered over HTTP; zero: nowhere
	TakeOver        bool                      // replaces a stream of messages from which nothing can be erased, because an earlier version made it; no other instance may run meanwhile
	Wait            time.Duration             // how long a start waits for a cluster that has no leader yet; 0: 1 min, negative: not at all
	Wall            func() time.Time          // reads this machine's clock; nil: time.Now
	Tracer          trace.TracerProvider      // traces each command, to where its fact is copied for end users; nil: nothing is traced
	TraceIDs        bool                      // spans tell the IDs of rooms and users
	Build           string                    // version of the program, for statistics; empty: [Version]
	Logger          *slog.Logger              // default: slog.Default()
}

// Image is an image of what an instance knew, in a file that it alone uses; see [ReadImage].
type Image = load.Image

// ReadImage begins to read the image in a file, and is for [Config]. There need not be one, or a
// server, yet. The instance leaves its own images there.
func ReadImage(path string) *Image { return load.ReadImage(path) }

// DefaultFactsKeep is how long facts are kept unless [Config] says.
const DefaultFactsKeep = 168 * time.Hour

const (
	defaultInFlight = 16384
	defaultRemember = 3 * time.Minute
	defaultSettle   = 5 * time.Minute
	defaultGrace    = 10 * time.Second
	defaultWait     = time.Minute

	defaultMessagesKeep    = 24 * time.Hour
	minMessagesKeep        = 5 * time.Minute
	defaultMessagesPerRoom = 2000
	defaultMessagesUntil   = 90
)

func (c *Config) validate() error {
	if c.FactsKeep == 0 {
		c.FactsKeep = DefaultFactsKeep
	}
	if c.FactsKeep < journal.MinKeep {
		return fmt.Errorf("facts are to be kept for %v; it must be at least %v", c.FactsKeep, journal.MinKeep)
	}
	c.MessagesKeep = cmp.Or(c.MessagesKeep, defaultMessagesKeep)
	if c.MessagesKeep < minMessagesKeep {
		return fmt.Errorf("messages are to be kept for %v; it must be at least %v", c.MessagesKeep, minMessagesKeep)
	}
	c.MessagesPerRoom = cmp.Or(c.MessagesPerRoom, defaultMessagesPerRoom)
	if c.FactsBytes < 0 || c.MessagesBytes < 0 || c.StateBytes < 0 {
		return errors.New("bytes of facts, messages and state can't be negative; 0 leaves them as they are")
	}
	if c.MessagesPerRoom < 0 || c.Replicas < 0 || c.MaxInFlight < 0 {
		return errors.New("messages per room, replicas and commands in flight can't be negative; 0 is the default")
	}
	if err := journal.CheckDomain(c.JSDomain); err != nil {
		return err
	}
	c.MessagesUntil = cmp.Or(c.MessagesUntil, defaultMessagesUntil)
	if c.MessagesUntil < 0 || c.MessagesUntil > 100 {
		return fmt.Errorf("messages are to be refused above %d%% of the store; it must be 1 to 100, or 0 for the default", c.MessagesUntil)
	}
	if err := cmp.Or(c.Limits.Check(), c.Hooks.Check(), c.checkWebhooks()); err != nil {
		return err
	}
	if c.Remember < 0 || c.Settle < 0 {
		return errors.New("the time to remember requests and the time to settle can't be negative; 0 is the default")
	}
	c.fill()
	return nil
}

// checkWebhooks has events given up while the journal still has them.
func (c *Config) checkWebhooks() error {
	if c.Webhooks.GiveUp == 0 {
		c.Webhooks.GiveUp = min(webhooks.DefaultGiveUp, c.FactsKeep)
	}
	if c.Webhooks.GiveUp > c.FactsKeep {
		return fmt.Errorf("webhooks are given up after %v, and facts are kept for %v; they can't be delivered any more after that, so keep facts longer or give up sooner", c.Webhooks.GiveUp, c.FactsKeep)
	}
	return c.Webhooks.Check()
}

// fill gives what is left its default.
func (c *Config) fill() {
	c.Grace = max(cmp.Or(c.Grace, defaultGrace), 0)
	if c.Remember == 0 {
		c.Remember = defaultRemember
	}
	c.Wait = max(cmp.Or(c.Wait, defaultWait), 0)
	if c.Settle == 0 {
		c.Settle = defaultSettle
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultInFlight
	}
	if c.Instance == "" {
		c.Instance = nuid.Next()
	}
	c.Build = cmp.Or(c.Build, Version)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// sharedFeeds is a shared setting: some instance has been told that end users connect as
// themselves. From then on no instance may answer as if everybody were trusted.
const sharedFeeds = "feeds"

// shared is the settings that this instance wants all instances to have.
func (c *Config) shared() map[string]int {
	table := c.Limits.Table()
	if c.Feeds {
		table[sharedFeeds] = 1
	}
	return table
}
