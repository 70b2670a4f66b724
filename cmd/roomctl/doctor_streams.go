package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc/blocks"
	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/leases"
	"natsrooms/roomsvc/messages"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/streams"
	"natsrooms/roomsvc/webhooks"
	"natsrooms/subjects"
)

// wanted is what the service needs of its streams.
var wanted = map[string]streams.Want{
	subjects.StreamRooms:    journal.Wanted(journal.Settings{}),
	subjects.StreamMessages: messages.Wanted(messages.Settings{}),
	subjects.StreamState:    projection.Wanted(projection.Settings{}),
	subjects.StreamSessions: leases.Wanted(leases.Settings{}),
	subjects.StreamBlocks:   blocks.Wanted(0, 0),
	subjects.StreamWebhooks: webhooks.Wanted(webhooks.Bucket{}),
}

// streams checks the streams, and the clock by what the server says when it answers.
func (d *doctor) streams(ctx context.Context) {
	js, err := d.jetStream()
	if err != nil {
		d.say("streams", unknown, "", "%v", err)
		return
	}
	timed := false
	for _, name := range subjects.AllStreams {
		var info *jetstream.StreamInfo
		began := d.now()
		err := d.asking(ctx, d.Timeout, func(ctx context.Context) error {
			stream, err := js.Stream(ctx, name)
			if err == nil {
				info = stream.CachedInfo()
			}
			return err
		})
		switch {
		case name == subjects.StreamWebhooks && !d.hooked && (errors.Is(err, errForbidden) || errors.Is(err, jetstream.ErrStreamNotFound)):
			continue // nobody says that there are webhooks
		case errors.Is(err, errForbidden):
			d.lacks = append(d.lacks, "$JS.API.STREAM.INFO."+name)
			continue
		case errors.Is(err, jetstream.ErrStreamNotFound):
			d.say(name, unwell, "start roomd, which makes it; if it was there before, see docs/operations.md, backups and damage", "there is no such stream")
			continue
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
			d.say("streams", unwell, "switch JetStream on for this account; if the streams are in a domain, name it with --js-domain", "JetStream does not answer")
			return
		case err != nil:
			d.say(name, unwell, "see whether the stream has a leader: nats stream info "+name, "%v", err)
			continue
		}
		if !timed {
			timed = true
			d.clock(info.TimeStamp, began, d.now())
		}
		d.stream(info)
	}
	if !timed {
		d.say("streams", unknown, "", "this connection may not look at any of them")
	}
}

// stream checks one stream.
func (d *doctor) stream(info *jetstream.StreamInfo) {
	cfg, name := &info.Config, info.Config.Name
	want, ok := wanted[name]
	if !ok {
		return
	}
	if name == subjects.StreamMessages { // one from before has it, and roomd says what that means
		want.Config.DenyDelete = cfg.DenyDelete
	}
	behind := 0
	if info.Cluster != nil {
		for _, r := range info.Cluster.Replicas {
			if r.Offline || !r.Current {
				behind++
			}
		}
	}
	wrong := want.Wrong(cfg)
	percent := uint64(0)
	if cfg.MaxBytes > 0 {
		percent = info.State.Bytes * 100 / uint64(cfg.MaxBytes)
	}
	switch {
	case len(wrong) > 0:
		d.say(name, unwell, "a roomd that runs puts it right at once, and tells it: find out who edits the stream, and start roomd if none runs", "%s", strings.Join(wrong, ", "))
	case info.Cluster != nil && info.Cluster.Leader == "" && cfg.Replicas > 1:
		d.say(name, unwell, "bring back the servers that are down: more than half have to run", "it has no leader")
	case behind > 0:
		d.say(name, worry, "bring back the servers that are down: nats stream report", "%d of its %d replicas are not current", behind, cfg.Replicas)
	case percent >= fullStream:
		d.say(name, worry, "raise its max_bytes, or keep less", "%d percent of the %s that it may store are used", percent, amount(uint64(cfg.MaxBytes)))
	default:
		d.say(name, well, "", "%s, %s%s; its settings are as they must be", count(int(info.State.Msgs), "entry", "entries"), amount(info.State.Bytes), replicas(cfg.Replicas))
	}
}

func replicas(n int) string {
	if n > 1 {
		return fmt.Sprintf(" on %d servers", n)
	}
	return ""
}

// amount is a number of bytes for people.
func amount(n uint64) string {
	for _, unit := range []struct {
		name string
		size uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// clock compares this machine's clock with the server's, which answered between two moments.
func (d *doctor) clock(server, began, ended time.Time) {
	if server.IsZero() {
		d.say("clock", unknown, "", "the NATS server does not say what time it is")
		return
	}
	ahead := time.Duration(0)
	switch {
	case server.Before(began):
		ahead = began.Sub(server)
	case server.After(ended):
		ahead = ended.Sub(server)
	}
	if ahead.Abs() <= clocksAgree {
		d.say("clock", well, "", "as the NATS server's")
		return
	}
	which := "ahead of"
	if ahead < 0 {
		which = "behind"
	}
	d.say("clock", unwell, "let both machines keep their clocks by NTP: what expires, and times that you type, are off by that", "this machine's clock is %s %s the NATS server's", rounded(ahead.Abs()), which)
}
