package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/events"
	"natsrooms/roomsvc/streams"
	"natsrooms/subjects"
)

// What the stream's metadata says of the journal.
const (
	metaID      = "natsrooms-journal"
	metaSetting = "natsrooms-"
)

// adopt makes sure that a stream of our name is ours. If its metadata no longer says whose it
// is, what it holds may prove it; then metadata gets the journal's ID, and told says why.
func adopt(ctx context.Context, js jetstream.JetStream, metadata map[string]string) (told string, err error) {
	stream, err := streams.Find(ctx, js, subjects.StreamRooms)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("opening the stream %s: %w", subjects.StreamRooms, err)
	}
	if stream.CachedInfo().Config.Metadata[metaID] != "" {
		return "", nil
	}
	b := bucketSays(ctx, js)
	how, err := proven(ctx, stream, b)
	if err != nil {
		return "", fmt.Errorf("reading the stream %s: %w", subjects.StreamRooms, err)
	}
	if how == "" {
		hint := ""
		if b.Journal != "" {
			hint = fmt.Sprintf("; if it is the one that was edited, put its metadata %s=%s back", metaID, b.Journal)
		}
		return "", fmt.Errorf("there is a stream %s that natsrooms did not make; give natsrooms an account of its own, or rename that stream%s", subjects.StreamRooms, hint)
	}
	if metadata[metaID] = b.Journal; b.Journal == "" {
		metadata[metaID] = nuid.Next()
	}
	return fmt.Sprintf("the stream %s had lost its metadata, and with it the limits that all instances share; %s, so it is taken for journal %s, with the limits of this instance", subjects.StreamRooms, how, metadata[metaID]), nil
}

// mark is what the bucket of rooms says of the journal that it follows.
type mark struct {
	Journal  string `json:"journal"`
	Revision uint64 `json:"revision"`
	FactID   string `json:"factID"`
}

// bucketSays reads that; the zero value if there is no such bucket.
func bucketSays(ctx context.Context, js jetstream.JetStream) (b mark) {
	bucket, err := streams.Find(ctx, js, subjects.StreamState)
	if err != nil {
		return b
	}
	m, err := bucket.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketState, subjects.KeyProjected))
	if err != nil || json.Unmarshal(m.Data, &b) != nil {
		return mark{}
	}
	return b
}

// proven says what proves that a stream is the service's, "" if nothing does. If the bucket
// names a journal, it has to be that one.
func proven(ctx context.Context, stream jetstream.Stream, b mark) (how string, err error) {
	info := stream.CachedInfo()
	if b.Journal != "" && b.Revision > info.State.LastSeq {
		return "", nil
	}
	if b.Journal != "" && b.Revision >= max(info.State.FirstSeq, 1) {
		m, err := stream.GetMsg(ctx, b.Revision)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return "", err
		}
		if err == nil && factOf(m) == b.FactID {
			return "it holds the fact that the bucket " + subjects.BucketState + " names", nil
		}
		return "", nil
	}
	newest, err := stream.GetLastMsgForSubject(ctx, subjects.FactsPattern)
	switch {
	case err == nil && factOf(newest) != "":
		return "what it holds are facts of rooms", nil
	case err == nil:
		return "", nil
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return "", err
	case slices.Contains(info.Config.Subjects, subjects.JournalPattern) && slices.Contains(info.Config.Subjects, subjects.Sync):
		return "it takes what only natsrooms appends, and holds no facts", nil
	}
	return "", nil
}

// factOf is the ID of the fact that a message is, "" if it is none.
func factOf(m *jetstream.RawStreamMsg) string {
	f, err := events.DecodeFact(m.Data)
	if err != nil {
		return ""
	}
	return f.ID
}
