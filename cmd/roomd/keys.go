package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"natsrooms/roomsvc/auth"
)

const (
	keyLook  = time.Second // how often the key file is looked at
	endKeyed = time.Minute // for connections of keys that are gone to be ended
)

// keyFile is the file with the keys that verify tokens. It may change while roomd runs.
type keyFile struct {
	cfg  Config
	log  *slog.Logger
	keys *auth.Keys                // nil without --auth
	now  atomic.Pointer[auth.Keys] // the same, for whoever asks
	door *auth.Callout
	end  func(context.Context, func(key uint64) bool) (ended int, err error) // see [roomsvc.Service.KeysChanged]

	seen, used []byte // what the file said last, and what it said when its keys were taken
	trouble    string // what was wrong with it
	open       bool   // connections with tokens of keys that are gone may be open
}

func newKeyFile(cfg Config, keys *auth.Keys, log *slog.Logger) *keyFile {
	k := &keyFile{cfg: cfg, log: log, keys: keys}
	k.now.Store(keys)
	return k
}

// good says whether a key is among those that count now.
func (k *keyFile) good(key uint64) bool { return k.now.Load().Has(key) }

// look reads the file, and takes its keys if it has changed. Somebody may be writing it just now,
// so unless asked it waits until the file says the same twice. What connections could not be ended
// the last time is ended now.
func (k *keyFile) look(ctx context.Context, asked bool) {
	if !k.read(ctx, asked) && k.open {
		if ended, err := k.endOthers(ctx); err == nil {
			k.log.Info("the connections of keys for tokens that are gone have all ended", "connections ended", ended)
		}
	}
}

// read does it, except for what was left over, and reports whether it took keys.
func (k *keyFile) read(ctx context.Context, asked bool) (taken bool) {
	file, err := os.ReadFile(k.cfg.AuthKey)
	if err != nil {
		k.complain("--auth-key cannot be read: " + err.Error())
		return false
	}
	twice := bytes.Equal(file, k.seen)
	if k.seen = file; !asked && (!twice || bytes.Equal(file, k.used)) {
		return false
	}
	keys, err := parseKeys(k.cfg, file)
	if err != nil {
		k.complain(err.Error())
		return false
	}
	k.used, k.trouble = file, ""
	gone, added := k.keys.Gone(keys), keys.Gone(k.keys)
	if taken = asked || gone+added > 0; taken {
		k.take(ctx, keys, gone, added)
	}
	return taken
}

// take makes those the keys from now on. It says so in one line.
func (k *keyFile) take(ctx context.Context, keys *auth.Keys, gone, added int) {
	k.keys = keys
	k.door.SetKeys(keys)
	k.now.Store(keys)
	details := []any{"keys", keys.Len(), "new", added, "gone", gone}
	if k.open = k.open || gone > 0; k.open {
		ended, err := k.endOthers(ctx)
		if details = append(details, "connections ended", ended); err != nil {
			k.log.Warn("the keys for tokens were read again; not all connections of those that are gone could be ended, and that is tried again each second", append(details, "error", err)...)
			return
		}
	}
	k.log.Info("the keys for tokens were read again", details...)
}

// endOthers ends the connections of keys that are gone.
func (k *keyFile) endOthers(ctx context.Context) (ended int, err error) {
	ctx, cancel := context.WithTimeout(ctx, endKeyed)
	defer cancel()
	ended, err = k.end(ctx, k.keys.Has)
	k.open = err != nil
	return ended, err
}

func (k *keyFile) complain(why string) {
	if why != k.trouble {
		k.log.Error("the keys for tokens stay as they were", "why", why)
	}
	k.trouble = why
}
