package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/alecthomas/kong"

	"natsrooms/events"
	"natsrooms/events/attendance"
	"natsrooms/roomsvc/room"
)

var update = flag.Bool("update", false, "write the golden files and the manual's tables")

// golden compares a text with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s has\n%s\nand now it is\n%s", file, want, got)
	}
}

var (
	long = events.Room{RoomID: "tenant-0042.class.mathematics-for-beginners", RoomName: "Mathematics for beginners, with exercises and a test at the end", CreatedAt: noon, CreatedBy: "teacher", MemberCount: 31, Sequence: 1234567}
	hall = events.Room{RoomID: "lobby", RoomName: "日本 Hall", CreatedAt: noon, MemberCount: 3, Sequence: 7}
	bare = events.Room{RoomID: "garden", CreatedAt: noon, MemberCount: 1, Sequence: 1}
)

func shot() *snapshot {
	return &snapshot{
		Time: noon.Time(), Server: "nats://127.0.0.1:4222", RTT: 0.21, P50: 0.84, P99: 12.4, Facts: 812.3, Messages: 4.2, Sampled: true,
		Commands: map[string]float64{"send": 4.1, "enter": 402, "leave": 398.7, "renew": 31, "get": 0.01},
		Instances: []instance{
			{Name: "GBSOUNZDA5I726J5H6GNYNBPR6", Version: "0.1.0", Ready: true, Leads: true, Rooms: 100_000, InFlight: 12, Started: noon.Time().Add(-75 * time.Hour)},
			{Name: "roomd-b", Version: "0.1.0", Problem: "the disk is nearly full", Rooms: 100_000, Started: noon.Time().Add(-70 * time.Second)},
		},
		Rooms: []busy{{Room: long.RoomID, Name: long.RoomName, Facts: 411.2, Messages: 2, Members: 31}, {Room: "lobby", Name: hall.RoomName, Facts: 3.4, Members: 1204}, {Room: "garden", Members: -1}},
		Lacks: []string{"room.cmd.get"},
	}
}

var checks = []finding{
	{"server", well, "nats://127.0.0.1:4222, nats-server 2.15.2, round trip 210µs", ""},
	{"service", worry, "a command takes 1.2s", "see docs/operations.md, alerts"},
	{"ROOMS", unwell, "max_age is 1h0m0s and has to be 720h0m0s, deny_purge is false and has to be true", "a roomd that runs puts it right at once, and tells it: find out who edits the stream, and start roomd if none runs"},
	{"permissions", unknown, "this connection acts for every user, as a back end does, and may not use $SRV.STATS.rooms", ""},
}

func attendedSample(name string) *attended {
	return &attended{RoomID: "lobby", Stays: []stay{
		{"alice", name, "i1", noon, noon + 3_723_000, 3_723_000, events.ReasonKicked}, {"alice", name, "i1", noon + 4_000_000, 0, 60_000, ""}, {"bob", "", "i1", noon, noon + 1500, 1500, events.ReasonLeft},
	}, Totals: attendance.Totals{"alice": {SpentMs: 3_783_000, Stays: 2}, "bob": {SpentMs: 1500, Stays: 1}}}
}

// screens is all that people see, as it is with a terminal of some width.
func screens(t *testing.T, width int) string {
	l := plain
	l.width = width
	var c cli
	app := newParser(&c, io.Discard, io.Discard, func(int) {}).Model
	help := func(args ...string) string {
		var out strings.Builder
		node := app.Node
		for _, name := range args {
			node = node.Children[slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == name })]
		}
		if err := newManual(l, app).print(&out, node); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	var flags strings.Builder
	if err := newManual(l, app).flags(&flags); err != nil {
		t.Fatal(err)
	}
	member := room.MemberInfo{UserID: "alice", UserName: "Alice Liddell of Christ Church", Role: events.RoleHost, JoinedAt: noon, Attributes: map[string]string{"hand": "up", "mood": "curious and curiouser"}, Sessions: []room.MemberSession{{SessionID: "tab-1"}, {SessionID: "the phone"}}}
	described := long
	described.Attributes = map[string]string{"topic": strings.Repeat("fractions and ", 8) + "decimals"}
	var m tea.Model = newTopModel(l, "rate", func() tea.Msg { return nil })
	m, _ = m.Update(sampled{shot: shot()})
	m, _ = m.Update(tea.WindowSizeMsg{Width: width, Height: 24})
	said := &transcript{RoomID: "lobby", RoomName: "Hall", InstanceID: "i1", Messages: []utterance{
		{MessageSeq: 1, Time: noon, UserID: "alice", UserName: "Alice", Type: events.Text, Data: "hello\nall \x1b[31m"}, {MessageSeq: 2, Deleted: true}, {MessageSeq: 4, Time: noon, Type: events.Custom, SubType: 3, Data: "# *x* <b>"},
	}}
	var b strings.Builder
	for _, s := range []struct{ name, text string }{
		{"ls", l.rooms("", []events.Room{long, hall, bare})},
		{"ls without names", l.rooms("", []events.Room{bare})},
		{"members", l.members("lobby", []room.MemberInfo{member, {UserID: "bob", JoinedAt: noon}})},
		{"members without more", l.members("lobby", []room.MemberInfo{{UserID: "bob", JoinedAt: noon}})},
		{"get", l.room(&room.GetReply{Room: described, Owners: map[string]string{"topic": "alice"}, Bans: []events.Restriction{{UserID: "eve", Until: noon, Reason: "spam"}}})},
		{"rooms", l.heads("alice", []room.RoomHead{{RoomID: long.RoomID, Sequence: 7}, {RoomID: "garden", Sequence: 12}})},
		{"instances", l.instances([]room.Instance{{InstanceID: "0mwzpuvysZ9nUsNiGTRm7w", RoomName: "Tea", CreatedAt: noon, EndedAt: noon, Reason: events.DestroyedEmpty, Sequence: 12}})},
		{"attributes", l.attributes(&room.GetReply{Room: described, Owners: map[string]string{"topic": "alice"}})},
		{"attendance", l.attended(attendedSample(member.UserName), false)},
		{"attendance --sum", l.attended(attendedSample(member.UserName), true)},
		{"transcript", l.transcript(said)},
		{"transcript --format markdown", l.markdown(said)},
		{"doctor", l.findings(checks)},
		{"top", m.View().Content},
		{"help", help()},
		{"help enter", help("enter")},
		{"help send", help("send")},
		{"help flags", flags.String()},
	} {
		fmt.Fprintf(&b, "$ roomctl %s\n%s\n\n", s.name, strings.TrimRight(s.text, "\n"))
	}
	return b.String()
}

// Every screen fits, and is as somebody has once looked at it.
func TestScreens(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 140} {
		all := screens(t, width)
		golden(t, fmt.Sprintf("screens/%d.txt", width), all)
		for line := range strings.Lines(all) {
			if line = strings.TrimSuffix(line, "\n"); cells(line) > width && !strings.Contains(line, "$ ") {
				t.Errorf("in %d columns: %s", width, line)
			}
		}
	}
}

// A table that cannot be made narrow enough is a list of lists.
func TestTooNarrow(t *testing.T) {
	t.Parallel()
	l := plain
	l.width = 30
	want := "ROOM      tenant-0042.class.mathematics-for-beginners\nMEMBERS   31\nSEQUENCE  1234567\nCREATED   2026-05-04 12:00:00"
	anonymous := long
	anonymous.RoomName = ""
	if got := l.rooms("", []events.Room{anonymous}); got != want {
		t.Errorf("got\n%s", got)
	}
}
