// Package journal is how natsrooms uses JetStream: in the stream ROOMS every fact is one
// message, appended on the condition that it follows the room's previous fact. The package
// knows about streams, acknowledgements and what their absence means, and nothing about
// rooms.
package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

// What the server must be able to do.
const (
	MinServer     = "2.15.2"
	MinMaxPayload = 512 << 10 // bytes: a reply of 256 KiB and a fact of 64 KiB with room to spare
)

// MinKeep is the shortest time for which facts may be kept.
const MinKeep = 24 * time.Hour

// ErrAnother says that the stream is no longer the one that was opened.
var ErrAnother = errors.New("the stream " + subjects.StreamRooms + " is no longer the one this instance opened")

// Settings of the stream. Those in Shared affect answers, so they are kept in the stream's
// metadata, where all instances agree on them.
type Settings struct {
	Domain   string        // JetStream domain of the stream; empty: the one that the connection is in
	Keep     time.Duration // how long facts are kept
	Replicas int
	MaxBytes int64 // of the stream; 0: as it has, unlimited for a new one
	Shared   map[string]int
	Version  string // of this program
}

// Journal is the open stream ROOMS.
type Journal struct {
	ID      string          // of this journal; it never changes
	Streams *streams.Keeper // of this one and all others
	Adopted string          // how it was proven whose the stream is, if its metadata did not say; usually ""

	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	acks    *acks
	version string // of this program

	created time.Time // when the stream was
}

// Open checks the server, creates or opens the stream, and writes the settings into it. Its
// errors are sentences for people.
func Open(ctx context.Context, nc *nats.Conn, s Settings) (*Journal, error) {
	if err := CheckServer(nc); err != nil {
		return nil, err
	}
	js, err := jetStream(nc, s.Domain)
	if err != nil {
		return nil, err
	}
	j := &Journal{nc: nc, js: js, version: s.Version, Streams: streams.New(js, s.Version)}
	account, err := streams.Ask(ctx, js.AccountInfo)
	if err != nil {
		return nil, noJetStream(nc, s.Domain, err)
	}
	if err := j.CheckSubjects(ctx); err != nil {
		return nil, err
	}
	if j.acks, err = newAcks(nc, account.Domain, s.Domain); err != nil {
		return nil, err
	}
	if err = j.acks.checkAlone(ctx, js); err == nil {
		err = j.openStream(ctx, s)
	}
	if err != nil {
		j.acks.close()
		return nil, err
	}
	return j, nil
}

// Close releases what Open uses of the connection; the connection stays open.
func (j *Journal) Close() { j.acks.close() }

// JetStream returns the context that the journal works in.
func (j *Journal) JetStream() jetstream.JetStream { return j.js }

// CheckServer returns an error if the server is too old, or takes only messages that are too small.
func CheckServer(nc *nats.Conn) error {
	if v := nc.ConnectedServerVersion(); !atLeast(v, MinServer) {
		return fmt.Errorf("the NATS server at %s is version %s; natsrooms needs %s or newer, because older servers lack checks on appends that it relies on", nc.ConnectedUrlRedacted(), v, MinServer)
	}
	if n := nc.MaxPayload(); n < MinMaxPayload {
		return fmt.Errorf("the NATS server at %s has max_payload %d; natsrooms needs at least %d; set it in the server's configuration", nc.ConnectedUrlRedacted(), n, MinMaxPayload)
	}
	return nil
}

func atLeast(version, floor string) bool {
	v, f := strings.Split(strings.SplitN(version, "-", 2)[0], "."), strings.Split(floor, ".")
	for i := range f {
		a, b := 0, 0
		if i < len(v) {
			a, _ = strconv.Atoi(v[i])
		}
		b, _ = strconv.Atoi(f[i])
		if a != b {
			return a > b
		}
	}
	return true
}

// CheckSubjects returns an error if another stream takes subjects of ours. Such a stream
// would silently drop nearly every copy and break the order of facts; one that takes
// commands would answer them.
func (j *Journal) CheckSubjects(ctx context.Context) error {
	for _, subject := range []string{subjects.AllCommands, subjects.FactsPattern, subjects.MessagesHeard, subjects.JournalPattern, subjects.MessagesTaken, subjects.Sync} {
		names := j.js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
		for name := range names.Name() {
			if name != subjects.StreamRooms && name != subjects.StreamMessages {
				return fmt.Errorf("the stream %q takes %s, which belongs to natsrooms: it would silently miss most events; delete it, and read the stream %s with a consumer or let your stream source it", name, subject, subjects.StreamRooms)
			}
		}
		if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return fmt.Errorf("looking for other streams on %s: %w", subject, err)
		}
	}
	return nil
}

// Wanted is what the journal needs of its stream.
func Wanted(s Settings) streams.Want {
	return streams.Want{
		Config: jetstream.StreamConfig{
			Name:               subjects.StreamRooms,
			Description:        "natsrooms: every change of every room, in order",
			Subjects:           []string{subjects.JournalPattern, subjects.Sync},
			SubjectTransform:   &jetstream.SubjectTransformConfig{Source: subjects.JournalPattern, Destination: subjects.FactsTransform},
			RePublish:          &jetstream.RePublish{Source: subjects.FactsPattern, Destination: subjects.FactsTransform},
			Storage:            jetstream.FileStorage,
			Retention:          jetstream.LimitsPolicy,
			Discard:            jetstream.DiscardNew,
			DenyDelete:         true,
			DenyPurge:          true,
			AllowMsgTTL:        true,
			AllowAtomicPublish: true,
		},
		Settings: []streams.Setting{{Name: settingKeep, Value: s.Keep.Milliseconds(), Set: keepFor}},
		Replicas: s.Replicas,
		MaxBytes: s.MaxBytes,
	}
}

func (j *Journal) openStream(ctx context.Context, s Settings) error {
	shared := map[string]string{}
	for k, v := range s.Shared {
		shared[metaSetting+k] = strconv.Itoa(v)
	}
	told, err := adopt(ctx, j.js, shared)
	if err != nil {
		return err
	}
	w := Wanted(s)
	w.Config.Metadata, w.Fresh = shared, streams.Mark(s.Version)
	w.Fresh[metaID] = nuid.Next()
	stream, err := j.Streams.Open(ctx, w)
	if err != nil {
		return err
	}
	j.stream, j.created, j.ID, j.Adopted = stream, stream.CachedInfo().Created, stream.CachedInfo().Config.Metadata[metaID], told
	return nil
}

// MarkStore notes in the stream that this version has opened it, if that is to keep older ones
// out from now on.
func (j *Journal) MarkStore(ctx context.Context) error {
	return streams.MarkStore(ctx, j.js, subjects.StreamRooms, j.version)
}

// Keeps is how long the stream keeps facts now: the instance that was started last decides it.
func (j *Journal) Keeps() time.Duration {
	return time.Duration(j.Streams.Value(subjects.StreamRooms, settingKeep)) * time.Millisecond
}

const settingKeep = "facts-keep"

// keepFor makes a stream keep what it holds for some milliseconds.
func keepFor(cfg *jetstream.StreamConfig, ms int64) {
	cfg.MaxAge = time.Duration(ms) * time.Millisecond
	cfg.Duplicates = min(2*time.Minute, cfg.MaxAge)
}

// Shared reads the settings that all instances share.
func (j *Journal) Shared(ctx context.Context) (map[string]int, error) {
	info, err := j.stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	shared := map[string]int{}
	for k, v := range info.Config.Metadata {
		if name, ok := strings.CutPrefix(k, metaSetting); ok && k != metaID {
			if shared[name], err = strconv.Atoi(v); err != nil {
				return nil, fmt.Errorf("the metadata %s of the stream %s is %q, which is not a number", k, subjects.StreamRooms, v)
			}
		}
	}
	return shared, nil
}

// Share changes settings that all instances share, as an instance that starts does. Settings that
// are not in the table stay as they are.
func (j *Journal) Share(ctx context.Context, shared map[string]int) error {
	info, err := j.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("asking for the settings of the stream %s: %w", subjects.StreamRooms, err)
	}
	cfg := info.Config
	cfg.Metadata = maps.Clone(cfg.Metadata)
	for name, value := range shared {
		cfg.Metadata[metaSetting+name] = strconv.Itoa(value)
	}
	if _, err = j.js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("changing the settings of the stream %s: %w", subjects.StreamRooms, err)
	}
	return nil
}

// Extent is what the stream holds, according to its leader.
type Extent struct {
	First, Last uint64
	Since       time.Time // when the first was stored
	At          time.Time // by the server's clock
}

// Extent asks the stream's leader. A deposed leader may answer too; only [Journal.Mark] is
// proof against that.
func (j *Journal) Extent(ctx context.Context) (Extent, error) {
	info, err := j.stream.Info(ctx)
	if err != nil {
		return Extent{}, fmt.Errorf("asking for the state of the stream %s: %w", subjects.StreamRooms, err)
	}
	// The metadata may have been edited; the stream is still the same.
	if id := info.Config.Metadata[metaID]; id != j.ID && !info.Created.Equal(j.created) {
		return Extent{}, fmt.Errorf("%w (journal %s, now %q)", ErrAnother, j.ID, id)
	}
	return Extent{info.State.FirstSeq, info.State.LastSeq, info.State.FirstTime, info.TimeStamp}, nil
}

// At reads one stored message; ok is false if there is none at seq.
func (j *Journal) At(ctx context.Context, seq uint64) (data []byte, ok bool, err error) {
	m, err := j.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading %d of the stream %s: %w", seq, subjects.StreamRooms, err)
	}
	return m.Data, true, nil
}

// Message is one stored message: a fact, or a marker of [Journal.Mark].
type Message struct {
	Seq     uint64
	Subject string
	Digests string
	Data    []byte
	Time    time.Time // when it was stored
	Batch   string    // ID of the atomic append that it belongs to, if any
	More    bool      // the next message belongs to the same append
	Trace   string    // its header traceparent, if it has one
}

// LastOf returns the newest fact of a room according to the stream's leader, or the zero
// value if none is kept.
func (j *Journal) LastOf(ctx context.Context, r subjects.Room) (Message, error) {
	m, err := j.stream.GetLastMsgForSubject(ctx, subjects.Facts(r))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, nil
	}
	if err != nil {
		return Message{}, err
	}
	return Message{Seq: m.Sequence, Subject: m.Subject, Data: m.Data, Time: m.Time}, nil
}
