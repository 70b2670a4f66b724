package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"natsrooms/roomsvc"
)

const limitsWithin = 10 * time.Second // for the stream to take new limits

// reloader reads the configuration again at SIGHUP and makes it count, as far as it can while
// roomd runs.
type reloader struct {
	cfg   Config // what counts
	log   *slog.Logger
	level *slog.LevelVar
	keys  *keyFile
	svc   *roomsvc.Service
	certs *certificates // of the embedded server; nil without its configuration
}

// hangUps tells of every SIGHUP, which would end the program otherwise, until stop is called.
func hangUps() (told <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// watch reads again at each SIGHUP, and looks at the keys for tokens all the time, until ctx ends.
func (r *reloader) watch(ctx context.Context, told <-chan os.Signal) {
	ticker := time.NewTicker(keyLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if r.keys.keys != nil {
				r.keys.look(ctx, false)
			}
		case <-told:
			notify(r.log, reloading())
			r.reload(ctx)
			notify(r.log, readyState)
		}
	}
}

// reload reads everything again. Whatever cannot be used changes nothing, and the log says why.
func (r *reloader) reload(ctx context.Context) {
	var later []string // what counts only after a restart
	if r.cfg.again != nil {
		next, err := r.cfg.again()
		if err == nil {
			later, err = r.take(ctx, next)
		}
		if err != nil {
			r.log.Error("SIGHUP: the settings stay as they were", "why", err)
		}
	}
	if r.certs != nil {
		parts, err := r.certs.renew(r.log)
		if err != nil {
			r.log.Error("SIGHUP: the certificates of the NATS server stay as they were", "why", err)
		}
		later = append(later, parts...)
	}
	if len(later) > 0 {
		r.log.Warn("SIGHUP: these settings have changed, and count only after a restart", "settings", strings.Join(later, ", "))
	}
	if r.keys.keys == nil {
		r.log.Info("SIGHUP: without --auth there are no keys to read again")
		return
	}
	r.keys.look(ctx, true)
}

// living are the fields of Config that may change while roomd runs: the log's level, and what is
// in the table of limits.
var living = []string{"LogLevel", "Limit", "MaxRooms", "MaxMembers", "MaxRoomsPerUser", "MessageRate", "Lease", "Recall", "Devices", "AuthNames", "IDs"}

// take makes new settings count, and returns the names of those that need a restart.
func (r *reloader) take(ctx context.Context, next Config) (later []string, err error) {
	to := r.cfg
	old, now, target := reflect.ValueOf(r.cfg), reflect.ValueOf(next), reflect.ValueOf(&to).Elem()
	var changed []string
	for i := range old.NumField() {
		field := old.Type().Field(i)
		if !field.IsExported() || reflect.DeepEqual(old.Field(i).Interface(), now.Field(i).Interface()) {
			continue
		}
		if !slices.Contains(living, field.Name) {
			later = append(later, flagName(field))
			continue
		}
		changed = append(changed, flagName(field))
		target.Field(i).Set(now.Field(i))
	}
	if len(changed) == 0 {
		r.log.Info("SIGHUP: the settings were read again; none has changed that can count now")
		return later, nil
	}
	before, _ := r.cfg.limits() // checked
	limits, err := to.limits()  // its checks may depend on what needs a restart
	if err != nil {
		return later, err
	}
	if limits != before {
		ctx, cancel := context.WithTimeout(ctx, limitsWithin)
		defer cancel()
		if err := r.svc.SetLimits(ctx, limits); err != nil {
			return later, err
		}
	}
	r.level.Set(to.LogLevel.Level)
	r.cfg = to
	r.log.Info("SIGHUP: the settings were read again", "changed", strings.Join(changed, ", "))
	return later, nil
}

var hump = regexp.MustCompile(`([a-z])([A-Z])`)

// flagName is the name of the flag of a field of Config.
func flagName(field reflect.StructField) string {
	return cmp.Or(field.Tag.Get("name"), strings.ToLower(hump.ReplaceAllString(field.Name, "$1-$2")))
}
