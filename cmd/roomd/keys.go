package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"time"

	"natsrooms/roomsvc"
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
	keys *auth.Keys // nil without --auth
	door *auth.Callout
	svc  *roomsvc.Service

	seen, used []byte // what the file said last, and what it said when its keys were taken
	trouble    string // what was wrong with it
}

// look reads the file, and takes its keys if it has changed. Somebody may be writing it just now,
// so unless asked it waits until the file says the same twice.
func (k *keyFile) look(ctx context.Context, asked bool) {
	file, err := os.ReadFile(k.cfg.AuthKey)
	if err != nil {
		k.complain("--auth-key cannot be read: " + err.Error())
		return
	}
	twice := bytes.Equal(file, k.seen)
	if k.seen = file; !asked && (!twice || bytes.Equal(file, k.used)) {
		return
	}
	keys, err := parseKeys(k.cfg, file)
	if err != nil {
		k.complain(err.Error())
		return
	}
	k.used, k.trouble = file, ""
	if gone, added := k.keys.Gone(keys), keys.Gone(k.keys); asked || gone+added > 0 {
		k.take(ctx, keys, gone, added)
	}
}

// take makes those the keys from now on. It says so in one line.
func (k *keyFile) take(ctx context.Context, keys *auth.Keys, gone, added int) {
	k.keys = keys
	k.door.SetKeys(keys)
	details := []any{"keys", keys.Len(), "new", added, "gone", gone}
	if gone > 0 {
		ctx, cancel := context.WithTimeout(ctx, endKeyed)
		defer cancel()
		ended, err := k.svc.KeysChanged(ctx, keys.Has)
		if details = append(details, "connections ended", ended); err != nil {
			k.log.Warn("the keys for tokens were read again; not all connections of those that are gone could be ended", append(details, "error", err)...)
			return
		}
	}
	k.log.Info("the keys for tokens were read again", details...)
}

func (k *keyFile) complain(why string) {
	if why != k.trouble {
		k.log.Error("the keys for tokens stay as they were", "why", why)
	}
	k.trouble = why
}
