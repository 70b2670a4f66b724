package inspector

import (
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/roomsvc/health"
)

// Session answers GET session, POST login and POST logout.
type Session struct {
	LoginNeeded bool        `json:"loginNeeded"` // there is a password
	LoggedIn    bool        `json:"loggedIn"`    // the caller may use everything; always true where no login is needed
	CSRF        string      `json:"csrf"`        // for the header X-CSRF-Token; empty unless loggedIn
	EndsAt      events.Time `json:"endsAt,omitzero"`
	IdleSeconds int         `json:"idleSeconds,omitzero"` // without a request for that long, the session ends
	Instance    string      `json:"instance,omitzero"`    // the following only if loggedIn
	Version     string      `json:"version,omitzero"`
	Roomctl     string      `json:"roomctl,omitzero"`   // how to begin a command line that does the same
	EndUsers    bool        `json:"endUsers,omitzero"`  // end users connect as themselves
	WithToken   bool        `json:"withToken,omitzero"` // POST try takes tokens
}

// Login is the body of POST login.
type Login struct {
	Password string `json:"password"`
}

// RoomsPage answers GET rooms.
type RoomsPage struct {
	Rooms       []RoomRow   `json:"rooms"`
	NextFlag    string      `json:"nextFlag"`    // the `after` of the next page; empty: this is the last one
	Matched     int         `json:"matched"`     // how many rooms prefix and search leave
	Total       int         `json:"total"`       // how many rooms there are
	Members     int         `json:"members"`     // of all rooms together
	At          events.Time `json:"at"`          // when the list was made
	RateSeconds float64     `json:"rateSeconds"` // over how long the rates are; 0: counting has just begun
	AgainMs     int         `json:"againMs"`     // when it makes sense to ask again
}

// RoomRow is one room of the list.
type RoomRow struct {
	RoomID     string      `json:"roomID"`
	RoomName   string      `json:"roomName"`
	InstanceID string      `json:"instanceID"`
	CreatedAt  events.Time `json:"createdAt"`
	CreatedBy  string      `json:"createdBy"`
	Members    int         `json:"members"`
	MaxMembers int         `json:"maxMembers,omitzero"`
	Access     string      `json:"access,omitzero"`
	Delivery   string      `json:"delivery,omitzero"`
	Sequence   uint64      `json:"sequence"`
	LastFactAt events.Time `json:"lastFactAt"`
	DestroyAt  events.Time `json:"destroyAt,omitzero"` // the room is empty and ends then
	Rate       float64     `json:"rate"`               // facts and messages a second
}

// LeasesPage answers GET leases.
type LeasesPage struct {
	Leases   []LeaseRow  `json:"leases"`
	NextFlag string      `json:"nextFlag"`
	At       events.Time `json:"at"`
}

// LeaseRow is a member's session that has a lease; the others have no row.
type LeaseRow struct {
	UserID       string      `json:"userID"`
	SessionID    string      `json:"sessionID"`
	LeaseSeconds int         `json:"leaseSeconds"`
	EndsAt       events.Time `json:"endsAt"`     // unless there is another sign of life
	LastSignAt   events.Time `json:"lastSignAt"` // endsAt less leaseSeconds
	Over         bool        `json:"over,omitzero"`
}

// Hello is the data of the first event of a room's stream, and of every one after which the page
// has to read the room again.
type Hello struct {
	RoomID     string `json:"roomID"`
	Exists     bool   `json:"exists"`
	InstanceID string `json:"instanceID,omitzero"`
	Sequence   uint64 `json:"sequence"`   // of the newest fact that is not told, because it was before
	Revision   uint64 `json:"revision"`   // of the same, for minRevision
	MessageSeq uint64 `json:"messageSeq"` // of the newest message that is not told
	Why        string `json:"why"`        // start, instance, gap
}

// Sample is the data of an event of the service's stream: how the instance is now, and what was
// done in the last seconds.
type Sample struct {
	At       events.Time `json:"at"`
	Seconds  float64     `json:"seconds"` // what the rates are over; 0 in the first sample, which has none
	Instance string      `json:"instance"`
	Version  string      `json:"version"`

	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons"` // all that is wrong, also what does not make it unready
	Leads   bool     `json:"leads"`
	Leader  string   `json:"leader"` // the instance that leads; empty if that is not known

	InFlight int64               `json:"inFlight"`
	Commands map[string]VerbRate `json:"commands"` // by verb; those that were not asked for are left out
	All      VerbRate            `json:"all"`      // all verbs together
	Refused  map[string]float64  `json:"refused"`  // a second, by code

	Commit   CommitRate         `json:"commit"`
	Lag      Lag                `json:"lag"`
	Copies   Copies             `json:"copies"`
	Limits   Limits             `json:"limits"`
	Talk     TalkRate           `json:"talk"`
	Failed   map[string]float64 `json:"failed"` // what JetStream did not do, a second, by operation
	Hooks    []HookRate         `json:"hooks"`
	Webhooks []Webhook          `json:"webhooks"`
	Memory   Memory             `json:"memory"`
	Rooms    int64              `json:"rooms"`
	Members  int                `json:"members"` // as of at most some seconds ago

	Streams     []Stream     `json:"streams"`
	Store       *Store       `json:"store"` // null: not known
	Connections []Connection `json:"connections"`
}

// Reason is a problem, and where the manual says what to do.
type Reason struct {
	health.Problem `json:",embed"`
	Anchor         string `json:"anchor"` // of the manual's section, see GET runbook
}

// VerbRate is what became of commands.
type VerbRate struct {
	PerSecond float64 `json:"perSecond"`
	P50Ms     float64 `json:"p50Ms"` // 0 if there were none
	P99Ms     float64 `json:"p99Ms"`
}

// CommitRate is what became of changes.
type CommitRate struct {
	Facts     float64 `json:"factsPerSecond"`
	Batch     float64 `json:"batch"` // commands that were stored together, on average
	P50Ms     float64 `json:"p50Ms"`
	P99Ms     float64 `json:"p99Ms"`
	Conflicts float64 `json:"conflictsPerSecond"`
	Retries   float64 `json:"retriesPerSecond"`
}

// Lag is how far parts of the instance are behind.
type Lag struct {
	Journal    uint64 `json:"journal"`    // facts and markers to read
	Projection uint64 `json:"projection"` // facts to write into the bucket
	Feeds      int    `json:"feeds"`      // facts and messages to copy for end users
}

// Copies are those for end users.
type Copies struct {
	PerSecond float64 `json:"perSecond"`
	Dropped   float64 `json:"droppedPerSecond"`
	Total     uint64  `json:"droppedTotal"`
}

// Limits are how often end users reached their limits.
type Limits struct {
	Commands float64   `json:"commandsPerSecond"` // refused: too many commands or bytes
	Waiting  float64   `json:"waitingPerSecond"`  // refused: too many at a time
	Changes  float64   `json:"changesPerSecond"`  // refused: too many changes of a room
	Dropped  float64   `json:"droppedPerSecond"`  // got no answer
	CutOff   uint64    `json:"cutOffTotal"`       // users, since the instance started
	Users    []Limited `json:"users"`             // who it was lately, those with the most first
}

// Limited is an end user who reached a limit lately.
type Limited struct {
	UserID    string      `json:"userID"`
	Refused   uint64      `json:"refused"` // requests, since it is known here
	CutOff    bool        `json:"cutOff"`
	CutOffEnd events.Time `json:"cutOffUntil,omitzero"`
}

// TalkRate is what was said.
type TalkRate struct {
	Stored float64 `json:"storedPerSecond"`
	Live   float64 `json:"livePerSecond"`
}

// HookRate is what became of questions to the application about one verb.
type HookRate struct {
	Verb      string  `json:"verb"`
	PerSecond float64 `json:"perSecond"`
	NoUse     float64 `json:"noUsePerSecond"` // without a useful answer
	Waiting   int64   `json:"waiting"`
	MeanMs    float64 `json:"meanMs"`
}

// Webhook is how a webhook is. The counts are left out if they are not known.
type Webhook struct {
	Name      string      `json:"name"`
	Host      string      `json:"host"`               // where it leads, without the path
	State     string      `json:"state"`              // elsewhere (this instance does not lead), starting, delivering, failing, paused
	Since     events.Time `json:"since,omitzero"`     // failing: nothing was taken since
	Until     events.Time `json:"until,omitzero"`     // paused
	Delivered float64     `json:"deliveredPerSecond"` // events
	Failed    float64     `json:"failedPerSecond"`    // tries
	MeanMs    float64     `json:"meanMs"`             // until an answer came; 0 if there was none
	Waiting   *uint64     `json:"waiting,omitzero"`   // facts and messages to deliver, at least
	Behind    *int64      `json:"behind,omitzero"`    // rooms that wait for another try
	Letters   *int64      `json:"letters,omitzero"`   // dead letters
	OldestAt  events.Time `json:"oldestAt,omitzero"`  // when the oldest event was stored that is being delivered, or waits for another try
	Why       string      `json:"why,omitzero"`       // of the last failure
	WhyAt     events.Time `json:"whyAt,omitzero"`
}

// Memory is the process's.
type Memory struct {
	Bytes      uint64 `json:"bytes"` // obtained from the system and not given back
	Heap       uint64 `json:"heapBytes"`
	Goroutines uint64 `json:"goroutines"`
}

// Stream is what a stream holds.
type Stream struct {
	Name     string  `json:"name"`
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	MaxBytes int64   `json:"maxBytes,omitzero"` // 0: no limit of its own
	Full     float64 `json:"full"`              // 0 to 1: of its own limit or, without one, of the store
	FirstSeq uint64  `json:"firstSeq"`
	LastSeq  uint64  `json:"lastSeq"`
}

// Store is what the server stores.
type Store struct {
	Used int64   `json:"usedBytes"`
	Free int64   `json:"freeBytes"`
	Full float64 `json:"full"` // 0 to 1
}

// Connection is one of the instance's to the NATS server.
type Connection struct {
	Use       string  `json:"use"`
	Connected bool    `json:"connected"`
	InBytes   float64 `json:"inBytesPerSecond"`
	OutBytes  float64 `json:"outBytesPerSecond"`
}

// Section answers GET runbook, by anchor.
type Section struct {
	Title    string `json:"title"`
	Markdown string `json:"markdown"`
}

// Try is the body of POST try.
type Try struct {
	Token string         `json:"token"`
	Verb  string         `json:"verb,omitzero"` // empty: only look at the token
	Body  jsontext.Value `json:"body,omitzero"` // of the command; without userID
}

// Tried answers POST try.
type Tried struct {
	Claims   *Claims        `json:"claims"` // what the token says; null if it cannot be read
	Accepted bool           `json:"accepted"`
	Why      string         `json:"why,omitzero"`    // it was not accepted
	Status   int            `json:"status,omitzero"` // of the answer, as POST command would have it
	Reply    jsontext.Value `json:"reply,omitzero"`  // the answer to the command, or the refusal
}

// Claims are what a token says of its user. Whether they are true is known only if it was accepted.
type Claims struct {
	UserID    string      `json:"userID"`
	Admin     bool        `json:"admin,omitzero"`
	Verbs     []string    `json:"verbs,omitzero"` // none: all
	Rooms     []string    `json:"rooms,omitzero"`
	Hosts     []string    `json:"hosts,omitzero"`
	ExpiresAt events.Time `json:"expiresAt,omitzero"`
}
