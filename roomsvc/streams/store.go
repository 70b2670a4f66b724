package streams

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Store is the number of the form of what is stored: facts, messages, and what the buckets hold.
// It is a mark in the metadata of the stream that holds the facts. A version whose number is
// smaller does not open that store, and ends if it has it open. Whoever adds something that an
// older version would lose, misread or end at raises it.
const Store = 1

// The mark: the number, and the version that set it, which is the oldest that may open the store.
const (
	metaStream  = "natsrooms."
	metaStore   = metaStream + "store"
	metaStoreBy = metaStream + "store-by"
)

// Mark is the metadata of a new store, which this version makes.
func Mark(version string) map[string]string {
	return map[string]string{metaStore: strconv.Itoa(Store), metaStoreBy: version}
}

// marked is the number in the mark, 0 if there is none.
func marked(metadata map[string]string) int {
	n, _ := strconv.Atoi(metadata[metaStore])
	return n
}

// Later is an error if a later version has marked the store: a sentence that names both.
func Later(metadata map[string]string, version string) error {
	n := marked(metadata)
	if n <= Store {
		return nil
	}
	by := cmp.Or(metadata[metaStoreBy], "of a later version")
	return fmt.Errorf("natsrooms %s has opened this store, and stores in form %d; this is natsrooms %s, which knows form %d and would lose some of that: start natsrooms %[1]s or a later one, or restore a backup from before it", by, n, version, Store)
}

// MarkStore marks a stream that an older version made, or marked. It is done when all has been
// read, since from then on no older version opens the store.
func MarkStore(ctx context.Context, js jetstream.JetStream, name, version string) error {
	stream, err := Find(ctx, js, name)
	if err != nil {
		return fmt.Errorf("opening the stream %s: %w", name, err)
	}
	cfg := stream.CachedInfo().Config
	if marked(cfg.Metadata) >= Store {
		return Later(cfg.Metadata, version)
	}
	if cfg.Metadata = maps.Clone(cfg.Metadata); cfg.Metadata == nil {
		cfg.Metadata = map[string]string{}
	}
	maps.Copy(cfg.Metadata, Mark(version))
	if _, err = js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("marking the stream %s as written by this version: %w", name, err)
	}
	return nil
}
