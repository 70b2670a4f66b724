// Package streams keeps the JetStream streams of the service as it needs them. Others may edit
// them while it runs: an operator by hand, or a tool that knows only its own idea of them. What
// the service has promised depends on most of a stream's settings, so those are put right at
// once, and that is told. The rest is the operator's and stays: how much may be stored and
// where, on how many servers, compressed or not, and the description.
package streams

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Form is the number of the version of what the service needs of its streams. It is in their
// metadata: an instance leaves alone what a newer one has set up. Whoever changes one of the
// stream's settings in the code raises it.
const Form = 1

// Metadata of ours begins with this, for settings that all instances share, or with metaStream.
const (
	metaShared = "natsrooms-"
	metaForm   = metaStream + "form"
)

// Want is what the service needs of a stream.
type Want struct {
	Config   jetstream.StreamConfig // what belongs to the operator is only for a new stream
	Fresh    map[string]string      // metadata that only a new stream gets
	Settings []Setting              // of the stream, which another instance may have set differently
	Replicas int                    // 0: as many as the stream has, 1 for a new one
	MaxBytes int64                  // 0: as the stream has, unlimited for a new one
}

// Setting is a number in the stream's metadata that decides one of its settings. The instance
// that was started last decides it for all.
type Setting struct {
	Name  string
	Value int64
	Set   func(*jetstream.StreamConfig, int64)
}

// fresh is the stream when it is made.
func (w *Want) fresh() jetstream.StreamConfig {
	c := w.started()
	maps.Copy(c.Metadata, w.Fresh)
	return c
}

// started is the stream as an instance that starts sets it up.
func (w *Want) started() jetstream.StreamConfig {
	c := w.Config
	c.Metadata = maps.Clone(c.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[metaForm] = strconv.Itoa(Form)
	for _, s := range w.Settings {
		c.Metadata[metaStream+s.Name] = strconv.FormatInt(s.Value, 10)
		s.Set(&c, s.Value)
	}
	c.Replicas = max(w.Replicas, 1)
	if c.MaxBytes = -1; w.MaxBytes > 0 {
		c.MaxBytes = w.MaxBytes
	}
	return c
}

// over is what an instance that starts makes of a stream that exists.
func (w *Want) over(have *jetstream.StreamConfig) jetstream.StreamConfig {
	c := w.started()
	spare(&c, have)
	if w.Replicas > 0 {
		c.Replicas = w.Replicas
	}
	if w.MaxBytes > 0 {
		c.MaxBytes = w.MaxBytes
	}
	meta := maps.Clone(have.Metadata)
	if meta == nil {
		meta = map[string]string{}
	}
	maps.Copy(meta, c.Metadata)
	c.Metadata = meta
	return c
}

// changes reports whether an instance that starts changes anything, see over.
func changes(have, c *jetstream.StreamConfig) bool {
	return c.Replicas != have.Replicas || c.MaxBytes != have.MaxBytes || !maps.Equal(c.Metadata, have.Metadata) || len(differences(have, c)) > 0
}

// kept is what a running instance makes of a stream; meta is the metadata of ours as it was.
func (w *Want) kept(have *jetstream.StreamConfig, meta map[string]string) jetstream.StreamConfig {
	c := w.Config
	spare(&c, have)
	c.Metadata = maps.Clone(have.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	for k, v := range meta {
		if k == metaStore || k == metaStoreBy { // it is only raised
			if marked(have.Metadata) <= marked(meta) {
				c.Metadata[k] = v
			}
			continue
		}
		if now, ok := c.Metadata[k]; !ok || number(v) && !number(now) || !number(v) && now != v || k == metaForm {
			c.Metadata[k] = v
		}
	}
	for _, s := range w.Settings {
		value, err := strconv.ParseInt(c.Metadata[metaStream+s.Name], 10, 64)
		if err != nil || value <= 0 {
			value = s.Value
			c.Metadata[metaStream+s.Name] = strconv.FormatInt(value, 10)
		}
		s.Set(&c, value)
	}
	return c
}

// Wrong says in what a stream is not as the service needs it, according to what its metadata says
// of settings; an instance that runs puts that right. One that a newer version has set up is not
// judged.
func (w *Want) Wrong(have *jetstream.StreamConfig) []string {
	if newer(have) {
		return nil
	}
	c := w.kept(have, nil)
	return append(differences(have, &c), lost(have, &c)...)
}

// spare gives a configuration what is the operator's, and what no update can change.
func spare(c, have *jetstream.StreamConfig) {
	c.Description, c.MaxBytes, c.MaxMsgs, c.Placement, c.Replicas, c.Compression = have.Description, have.MaxBytes, have.MaxMsgs, have.Placement, have.Replicas, have.Compression
	c.MaxConsumers, c.FirstSeq, c.Template, c.PersistMode = have.MaxConsumers, have.FirstSeq, have.Template, have.PersistMode
	c.AllowMsgCounter, c.AllowMsgSchedules, c.AllowBatchPublish = have.AllowMsgCounter, have.AllowMsgSchedules, have.AllowBatchPublish
	if c.Duplicates == 0 {
		c.Duplicates = have.Duplicates
	}
}

// mine is the part of the metadata that is ours.
func mine(meta map[string]string) map[string]string {
	ours := map[string]string{}
	for k, v := range meta {
		if strings.HasPrefix(k, metaShared) || strings.HasPrefix(k, metaStream) {
			ours[k] = v
		}
	}
	return ours
}

// newer reports whether a newer version of the service has set the stream up.
func newer(have *jetstream.StreamConfig) bool {
	form, err := strconv.Atoi(have.Metadata[metaForm])
	return err == nil && form > Form
}

func number(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

// ours are the settings that are not the operator's.
var ours = []struct {
	name string
	of   func(*jetstream.StreamConfig) any
}{
	{"subjects", func(c *jetstream.StreamConfig) any { return slices.Sorted(slices.Values(c.Subjects)) }},
	{"subject_transform", func(c *jetstream.StreamConfig) any { return shown(c.SubjectTransform) }},
	{"republish", func(c *jetstream.StreamConfig) any { return shown(c.RePublish) }},
	{"discard", func(c *jetstream.StreamConfig) any { return c.Discard }},
	{"discard_new_per_subject", func(c *jetstream.StreamConfig) any { return c.DiscardNewPerSubject }},
	{"retention", func(c *jetstream.StreamConfig) any { return c.Retention }},
	{"storage", func(c *jetstream.StreamConfig) any { return c.Storage }},
	{"max_age", func(c *jetstream.StreamConfig) any { return c.MaxAge }},
	{"max_msgs_per_subject", func(c *jetstream.StreamConfig) any { return most(c.MaxMsgsPerSubject) }},
	{"max_msg_size", func(c *jetstream.StreamConfig) any { return most(int64(c.MaxMsgSize)) }},
	{"duplicate_window", func(c *jetstream.StreamConfig) any { return c.Duplicates }},
	{"no_ack", func(c *jetstream.StreamConfig) any { return c.NoAck }},
	{"sealed", func(c *jetstream.StreamConfig) any { return c.Sealed }},
	{"deny_delete", func(c *jetstream.StreamConfig) any { return c.DenyDelete }},
	{"deny_purge", func(c *jetstream.StreamConfig) any { return c.DenyPurge }},
	{"allow_rollup_hdrs", func(c *jetstream.StreamConfig) any { return c.AllowRollup }},
	{"allow_direct", func(c *jetstream.StreamConfig) any { return c.AllowDirect }},
	{"mirror_direct", func(c *jetstream.StreamConfig) any { return c.MirrorDirect }},
	{"allow_msg_ttl", func(c *jetstream.StreamConfig) any { return c.AllowMsgTTL }},
	{"subject_delete_marker_ttl", func(c *jetstream.StreamConfig) any { return c.SubjectDeleteMarkerTTL }},
	{"allow_atomic", func(c *jetstream.StreamConfig) any { return c.AllowAtomicPublish }},
	{"consumer_limits", func(c *jetstream.StreamConfig) any { return c.ConsumerLimits }},
	{"mirror", func(c *jetstream.StreamConfig) any { return c.Mirror != nil }},
	{"sources", func(c *jetstream.StreamConfig) any { return len(c.Sources) }},
}

// differences says in what settings of ours a stream is not as it should be.
func differences(have, want *jetstream.StreamConfig) (list []string) {
	for _, s := range ours {
		if is, should := fmt.Sprint(s.of(have)), fmt.Sprint(s.of(want)); is != should {
			list = append(list, fmt.Sprintf("%s is %s and has to be %s", s.name, is, should))
		}
	}
	return list
}

// lost says what is missing in a stream's metadata, or is not as it was.
func lost(have, want *jetstream.StreamConfig) (list []string) {
	var missing []string
	for _, k := range slices.Sorted(maps.Keys(mine(want.Metadata))) {
		if is, ok := have.Metadata[k]; !ok {
			missing = append(missing, k)
		} else if is != want.Metadata[k] {
			list = append(list, fmt.Sprintf("its metadata %s is %s and has to be %s", k, is, want.Metadata[k]))
		}
	}
	switch n := len(missing); {
	case n > few:
		most := missing[0]
		if i := slices.IndexFunc(missing, func(k string) bool { return !number(want.Metadata[k]) }); i >= 0 {
			most = missing[i] // it says whose the stream is
		}
		list = append(list, fmt.Sprintf("%d entries of its metadata are missing, %s among them", n, most))
	case n > 0:
		list = append(list, "its metadata lacks "+strings.Join(missing, ", "))
	}
	return list
}

// few is how many missing entries are named.
const few = 3

func shown[T any](p *T) any {
	if p == nil {
		return "none"
	}
	return *p
}

// most is a limit as the server stores it: none is -1.
func most(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}
