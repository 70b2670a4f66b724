package faults_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/health"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// settings are those of a stream.
func (w *world) settings(stream string) jetstream.StreamConfig {
	w.T.Helper()
	s, err := w.JS.Stream(w.Ctx, stream)
	if err != nil {
		w.T.Fatal(err)
	}
	return s.CachedInfo().Config
}

// edit changes a stream as `nats stream edit` does.
func (w *world) edit(stream string, change func(*jetstream.StreamConfig)) {
	w.T.Helper()
	cfg := w.settings(stream)
	cfg.Metadata = maps.Clone(cfg.Metadata)
	change(&cfg)
	if _, err := w.JS.UpdateStream(w.Ctx, cfg); err != nil {
		w.T.Fatalf("editing %s: %v", stream, err)
	}
}

// alike says in what two settings differ; the server's own metadata does not count.
func alike(a, b jetstream.StreamConfig) string {
	for _, c := range []*jetstream.StreamConfig{&a, &b} {
		c.Metadata = maps.Clone(c.Metadata)
		maps.DeleteFunc(c.Metadata, func(k, _ string) bool { return strings.HasPrefix(k, "_nats.") })
	}
	slices.Sort(a.Subjects)
	slices.Sort(b.Subjects)
	show := func(c jetstream.StreamConfig) string {
		return fmt.Sprintf("%+v transform %+v republish %+v placement %+v", c, c.SubjectTransform, c.RePublish, c.Placement)
	}
	clean := func(c jetstream.StreamConfig) jetstream.StreamConfig {
		c.SubjectTransform, c.RePublish, c.Placement = nil, nil, nil
		return c
	}
	if fmt.Sprint(a.SubjectTransform) != fmt.Sprint(b.SubjectTransform) && (a.SubjectTransform == nil || b.SubjectTransform == nil) ||
		a.RePublish == nil != (b.RePublish == nil) || fmt.Sprintf("%+v", clean(a)) != fmt.Sprintf("%+v", clean(b)) {
		return show(a) + "\nand\n" + show(b)
	}
	return ""
}

// What an operator may decide about a stream.
func operators(cfg *jetstream.StreamConfig) {
	cfg.MaxBytes, cfg.MaxMsgs, cfg.Compression, cfg.Description = 1<<30, 1_000_000, jetstream.S2Compression, "of the operator"
	cfg.Metadata["team"] = "chat"
}

// Edits that break what is promised are put right at once, while rooms are used, and told. What
// is the operator's stays, also over a restart.
func TestEditedStreams(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	for _, stream := range subjects.Streams {
		w.edit(stream, operators)
	}
	for n, c := range []struct {
		stream, says string
		change       func(*jetstream.StreamConfig)
	}{
		{subjects.StreamRooms, "discard is DiscardOld and has to be DiscardNew", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{subjects.StreamRooms, "subjects is", func(c *jetstream.StreamConfig) { c.Subjects = []string{subjects.JournalPattern} }},
		{subjects.StreamRooms, "republish is none", func(c *jetstream.StreamConfig) { c.RePublish = nil }},
		{subjects.StreamRooms, "subject_transform is none", func(c *jetstream.StreamConfig) { c.SubjectTransform = nil }},
		{subjects.StreamRooms, "allow_atomic is false", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }},
		{subjects.StreamRooms, "max_age is 48h0m0s and has to be 168h0m0s", func(c *jetstream.StreamConfig) { c.MaxAge = 48 * 3600e9 }},
		{subjects.StreamRooms, "max_msgs_per_subject is 9", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 9 }},
		{subjects.StreamRooms, "duplicate_window is 1s", func(c *jetstream.StreamConfig) { c.Duplicates = 1e9 }},
		{subjects.StreamRooms, "entries of its metadata are missing, natsrooms-journal among them", func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"team": "chat"} }},
		{subjects.StreamRooms, "theirs", func(c *jetstream.StreamConfig) { c.Metadata["natsrooms-journal"] = "theirs" }},
		{subjects.StreamMessages, "discard is DiscardOld", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{subjects.StreamMessages, "max_msgs_per_subject is 5 and has to be 2000", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }},
		{subjects.StreamMessages, "republish is none", func(c *jetstream.StreamConfig) { c.RePublish = nil }},
		{subjects.StreamState, "discard is DiscardOld", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{subjects.StreamState, "max_age is 1h0m0s", func(c *jetstream.StreamConfig) { c.MaxAge = 3600e9 }},
		{subjects.StreamSessions, "max_age is 1h0m0s", func(c *jetstream.StreamConfig) { c.MaxAge = 3600e9 }},
	} {
		before := w.settings(c.stream)
		w.edit(c.stream, c.change)
		user := fmt.Sprint("u", n)
		w.Join("lobby", user)
		if _, err := w.Client.Send(w.Ctx, room.SendRequest{Caller: as(user, ""), RoomID: "lobby", Type: "text", Data: "hello"}); err != nil {
			t.Errorf("saying something: %v", err)
		}
		w.Until(patience, c.says+" to be put right", func() bool { return alike(before, w.settings(c.stream)) == "" })
		w.Until(patience, c.says+" to be told", func() bool {
			return slices.ContainsFunc(i.Problems(), func(p health.Problem) bool {
				return p.Name == "edited:"+c.stream && strings.Contains(p.Text, c.says) && !p.Unfit
			})
		})
		if !strings.Contains(i.Log.String(), c.says) {
			t.Errorf("%s is not in the log", c.says)
		}
	}
	if err := i.Check(w.Ctx); err != nil {
		t.Errorf("not ready: %v", err)
	}
	w.Check()
	i.End()
	var before []jetstream.StreamConfig
	for _, stream := range subjects.Streams {
		before = append(before, w.settings(stream))
	}
	again := w.Start(roomsvc.Config{})
	for n, stream := range subjects.Streams {
		if is := alike(before[n], w.settings(stream)); is != "" || before[n].Description != "of the operator" || before[n].MaxBytes != 1<<30 || before[n].Metadata["team"] != "chat" {
			t.Errorf("after a restart %s is\n%s", stream, is)
		}
	}
	if strings.Contains(again.Log.String(), "somebody edited") {
		t.Errorf("nobody edited anything, and it says\n%s", again.Log)
	}
	w.Check()
}

// An instance with other settings, which the newest one decides for all, is no edit.
func TestSettingsAreNoEdit(t *testing.T) {
	w := newWorld(t)
	first := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	second := w.Start(roomsvc.Config{FactsKeep: 48 * 3600e9, MessagesKeep: 3600e9, MessagesPerRoom: 7, MessagesBytes: 1 << 28, Limits: room.Limits{MaxRooms: 5}})
	w.edit(subjects.StreamRooms, func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld })
	for _, i := range []*instance{first, second} {
		w.Until(patience, "the edit to be noticed", func() bool {
			return strings.Contains(i.Log.String(), "somebody edited") || w.settings(subjects.StreamRooms).Discard == jetstream.DiscardNew
		})
	}
	facts, said := w.settings(subjects.StreamRooms), w.settings(subjects.StreamMessages)
	if facts.MaxAge != 48*3600e9 || facts.Metadata["natsrooms-max-rooms"] != "5" || said.MaxAge != 3600e9 || said.MaxMsgsPerSubject != 7 || said.MaxBytes != 1<<28 {
		t.Errorf("they are %+v\nand %+v", facts, said)
	}
	for _, i := range []*instance{first, second} {
		if log := i.Log.String(); strings.Contains(log, "max_age") || strings.Contains(log, "max_msgs_per_subject") {
			t.Errorf("it says\n%s", log)
		}
	}
}

// Streams are edited while no instance runs, and lose their metadata. What ROOMS holds proves
// whose it is, with a bucket and without one; a stream of somebody else's is left alone.
func TestEditedWhileNobodyLooked(t *testing.T) {
	w := newWorld(t)
	i := w.Start(roomsvc.Config{})
	w.Create("lobby", 3600, "alice")
	w.Join("lobby", "bob")
	w.Check()
	i.End()
	journal := w.settings(subjects.StreamRooms).Metadata["natsrooms-journal"]
	wipe := func() {
		for _, stream := range subjects.Streams {
			w.edit(stream, func(c *jetstream.StreamConfig) {
				c.Metadata, c.Discard, c.MaxBytes = nil, jetstream.DiscardOld, 1<<30
			})
		}
	}
	wipe()
	i = w.Start(roomsvc.Config{})
	if is := w.settings(subjects.StreamRooms); is.Metadata["natsrooms-journal"] != journal || is.Discard != jetstream.DiscardNew || is.MaxBytes != 1<<30 {
		t.Errorf("the journal was %s; its stream is %+v", journal, is)
	}
	i.Said("had lost its metadata")
	i.Said("discard is DiscardOld and has to be DiscardNew")
	w.Join("lobby", "carol")
	w.Check()
	i.End()

	wipe()
	if err := w.JS.DeleteStream(w.Ctx, subjects.StreamState); err != nil {
		t.Fatal(err)
	}
	i = w.Start(roomsvc.Config{})
	i.Said("what it holds are facts of rooms")
	w.Join("lobby", "dave")
	w.Check()
	i.End()

	if err := w.JS.DeleteStream(w.Ctx, subjects.StreamRooms); err != nil {
		t.Fatal(err)
	}
	if _, err := w.JS.CreateStream(w.Ctx, jetstream.StreamConfig{Name: subjects.StreamRooms, Subjects: []string{"theirs"}}); err != nil {
		t.Fatal(err)
	}
	w.Refuses(roomsvc.Config{}, "natsrooms did not make", "put its metadata natsrooms-journal=")
}
