package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A stream that is deleted while roomd runs ends it, with a sentence that says what to do. The
// bucket of rooms is made again, with everything in it.
func TestStreamsDeleted(t *testing.T) {
	t.Parallel()
	for stream, says := range map[string]string{
		"ROOMS":            "restore it from a backup before you start again, or delete the bucket rooms too",
		"ROOM_MESSAGES":    "start again",
		"KV_rooms":         "",
		"KV_room_blocks":   "restore it from a backup, or start the service again",
		"KV_room_sessions": "start it again",
	} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m")
			nc := connected(t, r.url)
			js, err := jetstream.New(nc.Conn)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := nc.Request("room.cmd.enter", []byte(`{"roomID":"lobby","userID":"alice"}`), within); err != nil || m.Header.Get("Nats-Service-Error") != "" {
				t.Fatalf("%v, %+v", err, m)
			}
			if err := js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			if says == "" {
				appears(t, js, "lobby.alice")
				r.end(t)
				return
			}
			select {
			case err := <-r.ended:
				if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(stream, "KV_")+" was deleted") || !strings.Contains(err.Error(), says) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(within):
				t.Fatal("it goes on")
			}
		})
	}
}

// appears waits until the bucket has a key.
func appears(t *testing.T, js jetstream.JetStream, key string) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for begun := time.Now(); ; <-ticker.C {
		bucket, err := js.KeyValue(t.Context(), "rooms")
		if err == nil {
			_, err = bucket.Get(t.Context(), key)
		}
		if err == nil {
			return
		}
		if time.Since(begun) > within || errors.Is(err, nats.ErrConnectionClosed) {
			t.Fatalf("%s is not in the bucket: %v", key, err)
		}
	}
}
