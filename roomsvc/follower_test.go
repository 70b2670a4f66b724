package roomsvc_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What follows knows the service's contract and nothing of its code: the types are
// written out again from the contract's tables.

const typePrefix = "io.natsrooms."

// fact is one fact as a subscriber or a reader of the journal gets it.
type fact struct {
	Revision uint64
	Room     string
	Header   nats.Header
	Raw      []byte
	Event    event.Event
	Type     string // without the prefix
	Data     factData
}

type factData struct {
	RoomID      string         `json:"roomID"`
	InstanceID  string         `json:"instanceID"`
	Sequence    uint64         `json:"sequence"`
	MemberList  []entry        `json:"memberList"`
	MemberCount *int           `json:"memberCount"`
	Room        jsontext.Value `json:"room"`
	Reason      string         `json:"reason"`

	Set               map[string]string  `json:"set"`
	Delete            []string           `json:"delete"`
	Owners            map[string]*string `json:"owners"`
	DeletedAttributes []string           `json:"deletedAttributes"`
	UserID            string             `json:"userID"`
	Infos             []struct {
		UserID     string            `json:"userID"`
		Attributes map[string]string `json:"attributes"`
		UserName   string            `json:"userName"`
		UserInfo   jsontext.Value    `json:"userInfo"`
	} `json:"infos"`
	Config *struct {
		RoomDestroyDelayTime int64 `json:"roomDestroyDelayTime"`
	} `json:"config"`
}

type entry struct {
	UserID     string         `json:"userID"`
	UserName   string         `json:"userName"`
	UserInfo   jsontext.Value `json:"userInfo"`
	SessionID  string         `json:"sessionID"`
	JoinedAt   string         `json:"joinedAt"`
	LeftAt     string         `json:"leftAt"`
	Via        string         `json:"via"`
	FromRoomID string         `json:"fromRoomID"`
	ToRoomID   string         `json:"toRoomID"`
	Reason     string         `json:"reason"`
	RequestID  string         `json:"requestID"`
	ReasonText string         `json:"reasonText"`
	Operator   string         `json:"operator"`

	Attributes map[string]string `json:"attributes"`
}

func readFact(revision uint64, h nats.Header, data []byte) (*fact, error) {
	f := &fact{Revision: revision, Header: h, Raw: data}
	if err := f.Event.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("%.300s: %w", data, err)
	}
	f.Type = strings.TrimPrefix(f.Event.Type(), typePrefix)
	f.Room = f.Event.Subject()
	if err := json.Unmarshal(f.Event.Data(), &f.Data); err != nil {
		return nil, fmt.Errorf("%.300s: %w", data, err)
	}
	f.fill()
	return f, nil
}

// fill puts in what facts leave out.
func (f *fact) fill() {
	d := &f.Data
	d.RoomID = cmp.Or(d.RoomID, f.Room)
	if d.InstanceID == "" {
		d.InstanceID, _ = f.Event.Extensions()["roominstance"].(string)
	}
	at := f.Event.Time().UTC().Format("2006-01-02T15:04:05.000Z")
	for i := range d.MemberList {
		e := &d.MemberList[i]
		e.JoinedAt = cmp.Or(e.JoinedAt, at)
		if strings.HasSuffix(f.Type, ".left.v1") {
			e.LeftAt, e.Reason = cmp.Or(e.LeftAt, at), cmp.Or(e.Reason, "left")
		} else {
			e.Via = cmp.Or(e.Via, "enter")
		}
	}
	if f.Type == "room.attributes.changed.v1" && d.Owners == nil {
		d.Owners = map[string]*string{}
		for k := range d.Set {
			d.Owners[k] = &d.UserID
		}
	}
}

// roster is who is in one instance of a room, as its facts say.
type roster struct {
	Instance string
	Sequence uint64
	Delay    int64
	Members  map[string]member

	Attributes map[string]string
}

type member struct {
	Name     string
	Info     string
	JoinedAt string
	Sessions map[string]string // when each joined

	Attributes map[string]string
}

// fold applies the next fact. It returns nil when the room has ended.
func (r *roster) fold(f *fact) *roster {
	if f.Type == "room.created.v1" {
		var info struct {
			Config struct {
				RoomDestroyDelayTime int64 `json:"roomDestroyDelayTime"`
			} `json:"config"`
			Attributes map[string]string `json:"attributes"`
		}
		_ = json.Unmarshal(f.Data.Room, &info)
		r = &roster{Instance: f.Data.InstanceID, Members: map[string]member{}, Delay: info.Config.RoomDestroyDelayTime, Attributes: map[string]string{}}
		maps.Copy(r.Attributes, info.Attributes)
	}
	maps.Copy(r.Attributes, f.Data.Set)
	for _, k := range slices.Concat(f.Data.Delete, f.Data.DeletedAttributes) {
		delete(r.Attributes, k)
	}
	for _, i := range f.Data.Infos {
		if m, ok := r.Members[i.UserID]; ok {
			maps.Copy(m.Attributes, i.Attributes)
			if i.UserName != "" {
				m.Name = i.UserName
			}
			if len(i.UserInfo) > 0 {
				m.Info = string(i.UserInfo)
			}
			r.Members[i.UserID] = m
		}
	}
	if f.Data.Config != nil {
		r.Delay = f.Data.Config.RoomDestroyDelayTime
	}
	r.Sequence = f.Data.Sequence
	for _, e := range f.Data.MemberList {
		switch f.Type {
		case "room.created.v1", "member.joined.v1":
			r.Members[e.UserID] = member{e.UserName, string(e.UserInfo), e.JoinedAt, map[string]string{e.SessionID: e.JoinedAt}, map[string]string{}}
			maps.Copy(r.Members[e.UserID].Attributes, e.Attributes)
		case "member.left.v1":
			delete(r.Members, e.UserID)
		case "session.joined.v1":
			if m, ok := r.Members[e.UserID]; ok {
				m.Sessions[e.SessionID] = e.JoinedAt
			}
		case "session.left.v1":
			if m, ok := r.Members[e.UserID]; ok {
				delete(m.Sessions, e.SessionID)
			}
		}
	}
	if f.Type == "room.destroyed.v1" {
		return nil
	}
	return r
}

func (r *roster) String() string {
	if r == nil {
		return "no room"
	}
	var b strings.Builder
	pairs := func(attributes map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(attributes)) {
			fmt.Fprintf(&b, " %s:%q", k, attributes[k])
		}
	}
	fmt.Fprintf(&b, "%s at %d, %d members", r.Instance, r.Sequence, len(r.Members))
	pairs(r.Attributes)
	for _, u := range slices.Sorted(maps.Keys(r.Members)) {
		m := r.Members[u]
		fmt.Fprintf(&b, "\n  %s %q %s %s", u, m.Name, m.Info, m.JoinedAt)
		for _, s := range slices.Sorted(maps.Keys(m.Sessions)) {
			fmt.Fprintf(&b, " %s=%s", s, m.Sessions[s])
		}
		pairs(m.Attributes)
	}
	return b.String()
}

// wireMember is a member in a reply and in the bucket.
type wireMember struct {
	UserID   string         `json:"userID"`
	UserName string         `json:"userName"`
	UserInfo jsontext.Value `json:"userInfo"`
	JoinedAt string         `json:"joinedAt"`
	Sessions []struct {
		SessionID string `json:"sessionID"`
		JoinedAt  string `json:"joinedAt"`
	} `json:"sessions"`
	Attributes map[string]string `json:"attributes"`
}

func (m *wireMember) member() member {
	v := member{m.UserName, string(m.UserInfo), m.JoinedAt, map[string]string{}, m.Attributes}
	for _, s := range m.Sessions {
		v.Sessions[s.SessionID] = s.JoinedAt
	}
	return v
}

type membersPage struct {
	MemberList  []wireMember `json:"memberList"`
	MemberCount int          `json:"memberCount"`
	NextFlag    string       `json:"nextFlag"`
	InstanceID  string       `json:"instanceID"`
	Sequence    uint64       `json:"sequence"`
	Revision    uint64       `json:"revision"`
}

// snapshot reads all pages. The roster's sequence and its revision are the lowest of the
// pages: every fact after them is either in all of the pages or still to be folded.
func (w *world) snapshot(room string, minRevision uint64, sync bool, count int) (r *roster, revision uint64) {
	w.T.Helper()
	for next := ""; ; {
		body := fmt.Sprintf(`{"roomID":%q,"minRevision":%d,"sync":%t,"count":%d,"nextFlag":%q}`, room, minRevision, sync, count, next)
		m := w.Ask("members", body)
		if e := refusal(m); e != nil {
			if e.Code.Name == "ROOM_NOT_EXIST" {
				return nil, 0
			}
			w.T.Fatalf("members %s: %v", body, e)
		}
		if len(m.Data) > 256<<10 {
			w.T.Errorf("a page of %d bytes", len(m.Data))
		}
		page := decode[membersPage](w.T, m.Data)
		if r == nil || r.Instance != page.InstanceID {
			if next != "" {
				r, next = nil, "" // it is another instance of the room now
				continue
			}
			r, revision = &roster{Instance: page.InstanceID, Sequence: page.Sequence, Members: map[string]member{}}, page.Revision
		}
		if page.Sequence < r.Sequence {
			r.Sequence, revision = page.Sequence, page.Revision
		}
		for i := range page.MemberList {
			r.Members[page.MemberList[i].UserID] = page.MemberList[i].member()
		}
		if next = page.NextFlag; next != "" {
			continue
		}
		var same bool
		if r.Attributes, same = w.attributes(room, minRevision, r.Instance); same {
			return r, revision
		}
		r = nil
	}
}

// attributes reads the room's attributes; same is false if the room is another instance now.
func (w *world) attributes(room string, minRevision uint64, instance string) (attributes map[string]string, same bool) {
	w.T.Helper()
	m := w.Ask("get", fmt.Sprintf(`{"roomID":%q,"minRevision":%d}`, room, minRevision))
	if e := refusal(m); e != nil {
		return nil, false
	}
	reply := decode[struct {
		InstanceID string `json:"instanceID"`
		Room       struct {
			Attributes map[string]string `json:"attributes"`
		} `json:"room"`
	}](w.T, m.Data)
	return reply.Room.Attributes, reply.InstanceID == instance
}

// follower is a client without an SDK that wants to know who is in a room. Some copies
// never reach it if lossy is set.
type follower struct {
	w        *world
	room     string
	sub      *nats.Subscription
	lossy    int // one in so many copies is lost; 0: none
	heard    int
	healed   int
	roster   *roster
	revision uint64 // of the newest fact folded
}

// follow begins to follow a room: it subscribes first and reads then, so that nothing is missed.
func (w *world) follow(room, token string, minRevision uint64, lossy int) *follower {
	w.T.Helper()
	sub, err := w.NC.SubscribeSync("room.evt." + token)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = w.NC.FlushTimeout(patience)
	}
	if err != nil {
		w.T.Fatalf("subscribing: %v", err)
	}
	w.T.Cleanup(func() { _ = sub.Unsubscribe() })
	f := &follower{w: w, room: room, sub: sub, lossy: lossy}
	f.roster, f.revision = w.snapshot(room, minRevision, false, 7)
	return f
}

// take folds one copy, after the facts that are missing before it.
func (f *follower) take(x *fact) {
	f.w.T.Helper()
	switch {
	case x.Revision <= f.revision || f.roster != nil && x.Data.InstanceID == f.roster.Instance && x.Data.Sequence <= f.roster.Sequence:
		return
	case x.Type == "room.created.v1" && f.roster == nil, f.roster != nil && x.Data.InstanceID == f.roster.Instance && x.Data.Sequence == f.roster.Sequence+1:
		f.roster, f.revision = f.roster.fold(x), x.Revision
	default:
		f.heal()
	}
}

// heal reads what was missed from the journal.
func (f *follower) heal() {
	f.w.T.Helper()
	f.healed++
	for _, x := range f.w.journal("room.evt."+token(f.room), f.revision+1) {
		switch {
		case f.roster == nil && x.Type == "room.created.v1":
		case f.roster != nil && x.Data.InstanceID == f.roster.Instance && x.Data.Sequence <= f.roster.Sequence:
			continue // the pages were read one after another, so this fact is in them already
		case f.roster == nil || x.Data.InstanceID != f.roster.Instance || x.Data.Sequence != f.roster.Sequence+1:
			f.w.T.Fatalf("the journal has %s %d of instance %s after %v", x.Type, x.Data.Sequence, x.Data.InstanceID, f.roster)
		}
		f.roster, f.revision = f.roster.fold(x), x.Revision
	}
}

// until folds what arrives until the follower is where a reply says that the room is.
func (f *follower) until(revision uint64) {
	f.w.T.Helper()
	for f.revision < revision {
		if f.lossy > 0 {
			if n, _, err := f.sub.Pending(); err != nil || n == 0 {
				f.heal() // the room is known to be further on, and the copy may be lost
				continue
			}
		}
		m, err := f.sub.NextMsg(patience)
		if err != nil {
			f.w.T.Fatalf("the follower of %q is at revision %d, the room at %d: %v", f.room, f.revision, revision, err)
		}
		if f.heard++; f.lossy > 0 && f.heard%f.lossy == 0 {
			continue
		}
		f.take(f.w.live(m))
	}
}

// agree compares the roster with what the service answers now.
func (f *follower) agree() {
	f.w.T.Helper()
	want, revision := f.w.snapshot(f.room, 0, true, 500)
	if want == nil {
		revision = f.w.lastOf(f.room)
	}
	f.until(revision)
	if got, want := f.roster.String(), want.String(); got != want {
		f.w.T.Errorf("the follower of %q has\n%s\nmembers says\n%s", f.room, got, want)
	}
}

// live reads a live copy.
func (w *world) live(m *nats.Msg) *fact {
	w.T.Helper()
	revision, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil || m.Header.Get("Nats-Stream") != "ROOMS" {
		w.T.Fatalf("a live copy with headers %v", m.Header)
	}
	f, err := readFact(revision, m.Header, m.Data)
	if err != nil {
		w.T.Fatalf("a live copy: %v", err)
	}
	return f
}

// journal reads the facts stored at a subject, from a revision on.
func (w *world) journal(subject string, from uint64) []*fact {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, "ROOMS")
	if err != nil {
		w.T.Fatal(err)
	}
	info, err := stream.Info(w.Ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		w.T.Fatal(err)
	}
	stored := uint64(0)
	for _, n := range info.State.Subjects {
		stored += n
	}
	var facts []*fact
	if stored == 0 || from > info.State.LastSeq {
		return nil
	}
	cons, err := w.JS.OrderedConsumer(w.Ctx, "ROOMS", jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
	})
	if err != nil {
		w.T.Fatal(err)
	}
	pending := cons.CachedInfo().NumPending
	if pending == 0 {
		return nil
	}
	it, err := cons.Messages()
	if err != nil {
		w.T.Fatal(err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(w.Ctx))
		if err != nil {
			w.T.Fatalf("reading the journal: %v", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.T.Fatal(err)
		}
		f, err := readFact(meta.Sequence.Stream, m.Headers(), m.Data())
		if err != nil {
			w.T.Fatalf("fact %d: %v", meta.Sequence.Stream, err)
		}
		facts = append(facts, f)
		if meta.NumPending == 0 {
			return facts
		}
	}
}

// lastOf is the revision of a room's newest fact; 0 if it has none.
func (w *world) lastOf(room string) uint64 {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, "ROOMS")
	if err != nil {
		w.T.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(w.Ctx, "room.evt."+token(room))
	if err != nil {
		return 0
	}
	return m.Sequence
}

// awaitFacts reads facts at a subject as they arrive, until enough is true.
func (w *world) awaitFacts(subject, what string, enough func(*fact) bool) {
	w.T.Helper()
	cons, err := w.JS.OrderedConsumer(w.Ctx, "ROOMS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		w.T.Fatal(err)
	}
	it, err := cons.Messages()
	if err != nil {
		w.T.Fatal(err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			w.T.Fatalf("waiting for %s: %v", what, err)
		}
		meta, _ := m.Metadata()
		f, err := readFact(meta.Sequence.Stream, m.Headers(), m.Data())
		if err != nil {
			w.T.Fatal(err)
		}
		if enough(f) {
			return
		}
	}
}

// token writes an ID as the single subject token that the contract asks for.
func token(id string) string {
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// history is what all facts together say.
type history struct {
	rooms map[string]*roster
	last  uint64 // revision of the newest fact
	facts []*fact
}

// replay folds the whole journal and checks its rules as it goes.
func (w *world) replay() history {
	w.T.Helper()
	h := history{rooms: map[string]*roster{}}
	ids := map[string]bool{}
	times := map[string]time.Time{}
	for _, f := range w.journal("room.evt.*", 1) {
		w.checkFact(f)
		if ids[f.Event.ID()] {
			w.T.Errorf("the id %s comes twice", f.Event.ID())
		}
		ids[f.Event.ID()] = true
		r := h.rooms[f.Room]
		switch {
		case r == nil && (f.Type != "room.created.v1" || f.Data.Sequence != 1):
			w.T.Fatalf("fact %d: %s %d of %q, which has not begun", f.Revision, f.Type, f.Data.Sequence, f.Room)
		case r != nil && (f.Data.InstanceID != r.Instance || f.Data.Sequence != r.Sequence+1):
			w.T.Fatalf("fact %d: %s %d of %q, instance %s, after %v", f.Revision, f.Type, f.Data.Sequence, f.Room, f.Data.InstanceID, r)
		}
		if f.Event.Time().Before(times[f.Room]) {
			w.T.Errorf("fact %d: the time of %s %d of %q is before that of the fact before it", f.Revision, f.Type, f.Data.Sequence, f.Room)
		}
		times[f.Room] = f.Event.Time()
		w.checkEntries(f, r)
		if r = r.fold(f); r == nil {
			delete(h.rooms, f.Room)
		} else {
			h.rooms[f.Room] = r
			if n := f.Data.MemberCount; n != nil && *n != len(r.Members) {
				w.T.Errorf("fact %d: memberCount %d, but %d members", f.Revision, *n, len(r.Members))
			}
		}
		h.last = f.Revision
		h.facts = append(h.facts, f)
	}
	return h
}

// checkFact checks what the contract says about every fact.
func (w *world) checkFact(f *fact) {
	w.T.Helper()
	e := &f.Event
	if err := e.Validate(); err != nil {
		w.T.Errorf("fact %d is no valid CloudEvent: %v", f.Revision, err)
	}
	x := e.Extensions()
	if e.SpecVersion() != "1.0" || e.DataContentType() != "application/json" || e.DataSchema() != "" || e.Subject() != f.Data.RoomID ||
		e.Source() != "/rooms/"+token(f.Data.RoomID)+"/"+f.Data.InstanceID ||
		x["sequence"] != fmt.Sprintf("%020d", f.Data.Sequence) || x["roominstance"] != f.Data.InstanceID || x["partitionkey"] != f.Data.RoomID {
		w.T.Errorf("fact %d has an envelope unlike the contract: %s", f.Revision, f.Raw)
	}
	if got := f.Header.Get("Content-Type"); got != "application/cloudevents+json" {
		w.T.Errorf("fact %d has Content-Type %q", f.Revision, got)
	}
	if len(f.Raw) > 64<<10 {
		w.T.Errorf("fact %d has %d bytes", f.Revision, len(f.Raw))
	}
}

// checkEntries checks that a fact's entries are true of the state before it.
func (w *world) checkEntries(f *fact, r *roster) {
	w.T.Helper()
	for _, e := range f.Data.MemberList {
		in, session := false, false
		if r != nil {
			_, in = r.Members[e.UserID]
			_, session = r.Members[e.UserID].Sessions[e.SessionID]
		}
		fits := map[string]bool{
			"room.created.v1": !in, "member.joined.v1": !in, "session.joined.v1": in && !session,
			"member.left.v1": session, "session.left.v1": session,
		}
		if !fits[f.Type] {
			w.T.Errorf("fact %d: %s of %q, session %q, on %v", f.Revision, f.Type, e.UserID, e.SessionID, r)
		}
		if e.LeftAt != "" && e.LeftAt < e.JoinedAt {
			w.T.Errorf("fact %d: %q left at %s, joined at %s", f.Revision, e.UserID, e.LeftAt, e.JoinedAt)
		}
	}
}

// projected waits until the bucket has reached a revision, and returns how far it is.
func (w *world) projected(revision uint64) uint64 {
	w.T.Helper()
	watch, err := w.kv.Watch(w.Ctx, "=projected")
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	var at uint64
	for {
		select {
		case e := <-watch.Updates():
			if e == nil {
				continue
			}
			var v struct {
				Revision uint64 `json:"revision"`
				Torn     bool   `json:"torn"`
			}
			if err := json.Unmarshal(e.Value(), &v); err != nil && len(e.Value()) > 0 {
				w.T.Fatal(err)
			}
			if at = v.Revision; at >= revision && !v.Torn {
				return at
			}
		case <-deadline.C:
			w.T.Fatalf("the bucket is at %d, waited for %d", at, revision)
		}
	}
}

// bucket reads the bucket's living keys, as JSON.
func (w *world) bucket() map[string]map[string]any {
	w.T.Helper()
	watch, err := w.kv.WatchAll(w.Ctx, jetstream.IgnoreDeletes())
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	records := map[string]map[string]any{}
	for e := range watch.Updates() {
		if e == nil {
			break
		}
		records[e.Key()] = *decode[map[string]any](w.T, e.Value())
	}
	delete(records, "=projected")
	return records
}

// roomsNow is every room that list names.
func (w *world) roomsNow() map[string]map[string]any {
	w.T.Helper()
	rooms := map[string]map[string]any{}
	for next := ""; ; {
		page := ok[struct {
			RoomList []map[string]any `json:"roomList"`
			NextFlag string           `json:"nextFlag"`
		}](w, "list", fmt.Sprintf(`{"sync":true,"nextFlag":%q}`, next))
		for _, r := range page.RoomList {
			rooms[r["roomID"].(string)] = r
		}
		if next = page.NextFlag; next == "" {
			return rooms
		}
	}
}

// settled waits until no room is left that is empty and has nothing to wait for.
func (w *world) settled() {
	w.T.Helper()
	open := map[string]*roster{}
	end := ok[struct {
		Revision uint64 `json:"revision"`
	}](w, "enter", `{"roomID":"settled","userID":"settled","config":{"roomDestroyDelayTime":10000}}`).Revision
	w.awaitFacts("room.evt.*", "rooms that are empty to end", func(f *fact) bool {
		if f.Type == "room.created.v1" {
			open[f.Room] = nil
		}
		if open[f.Room] = open[f.Room].fold(f); open[f.Room] == nil {
			delete(open, f.Room)
		}
		if f.Revision < end {
			return false
		}
		for _, r := range open {
			if len(r.Members) == 0 && r.Delay == 0 {
				return false
			}
		}
		return true
	})
}

// check compares what all sources say after a storm: the folded facts, the service's
// replies, and the bucket.
func (w *world) check(followers ...*follower) history {
	w.T.Helper()
	w.settled()
	h := w.replay()
	rooms := w.roomsNow()
	if got, want := slices.Sorted(maps.Keys(rooms)), slices.Sorted(maps.Keys(h.rooms)); !slices.Equal(got, want) {
		w.T.Errorf("list names\n%q\nthe facts make\n%q", got, want)
	}
	w.projected(h.last)
	records := w.bucket()
	for id, r := range h.rooms {
		said, _ := w.snapshot(id, 0, true, 500)
		if said != nil {
			said.Delay = r.Delay
		}
		if got, want := said.String(), r.String(); got != want {
			w.T.Errorf("members of %q says\n%s\nthe facts make\n%s", id, got, want)
		}
		w.checkRecords(id, rooms[id], records)
	}
	for key, record := range records {
		room, _, _ := strings.Cut(strings.TrimPrefix(key, "=kept."), ".")
		for id, r := range h.rooms {
			if strings.HasPrefix(key, "=kept.") && token(id) == room && record["instanceID"] == r.Instance {
				delete(records, key)
			}
		}
	}
	if len(records) > 0 {
		w.T.Errorf("the bucket has keys that belong to nothing: %q", slices.Sorted(maps.Keys(records)))
	}
	for _, f := range followers {
		f.agree()
	}
	return h
}

// checkRecords compares a room's records with the replies, and deletes them from the map.
func (w *world) checkRecords(id string, room map[string]any, records map[string]map[string]any) {
	w.T.Helper()
	within := func(key string, want map[string]any) {
		got := records[key]
		delete(records, key)
		for field, value := range want {
			if pretty(w.T, got[field]) != pretty(w.T, value) {
				w.T.Errorf("the bucket's %s: %s is %v, the reply says %v", key, field, got[field], value)
			}
		}
		if revision, _ := got["revision"].(float64); revision == 0 || got["instanceID"] != room["instanceID"] {
			w.T.Errorf("the bucket's %s: revision %v, instanceID %v", key, got["revision"], got["instanceID"])
		}
	}
	within(token(id), room)
	for next := ""; ; {
		page := ok[struct {
			MemberList []map[string]any `json:"memberList"`
			NextFlag   string           `json:"nextFlag"`
		}](w, "members", fmt.Sprintf(`{"roomID":%q,"nextFlag":%q}`, id, next))
		for _, m := range page.MemberList {
			within(token(id)+"."+token(m["userID"].(string)), m)
		}
		if next = page.NextFlag; next == "" {
			return
		}
	}
}

func TestFollowerHealsHoles(t *testing.T) {
	w, _ := newWorld(t, 3, configOf(nil))
	first := ok[position](w, "create", `{"roomID":"lobby","config":{"roomDestroyDelayTime":100}}`)
	perfect, lossy := w.follow("lobby", "lobby", first.Revision, 0), w.follow("lobby", "lobby", first.Revision, 3)
	together(60, func(i int) {
		user := fmt.Sprintf("u%d", i%20)
		_, err := once[position](w, "enter", map[string]any{"roomID": "lobby", "userID": user, "sessionID": strconv.Itoa(i / 20)})
		if err == nil && i%2 == 0 {
			_, err = once[position](w, "leave", map[string]any{"roomID": "lobby", "userID": user, "sessionID": strconv.Itoa(i / 20)})
		}
		if err != nil {
			t.Error(err)
		}
	})
	w.check(perfect, lossy)
	if perfect.healed > 0 || lossy.healed == 0 {
		t.Errorf("read the journal %d times without a loss, %d times with losses", perfect.healed, lossy.healed)
	}
}
