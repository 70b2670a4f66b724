package room_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// command reads one line.
func (w *world) command(line string) *room.Command {
	w.Helper()
	var words, del []string
	options, set := map[string]string{}, map[string]string{}
	for _, word := range strings.Fields(line) {
		k, v, ok := strings.Cut(word, "=")
		switch {
		case word[0] == '+':
			set[k[1:]] = v
		case word[0] == '-' && word != "-":
			del = append(del, word[1:])
		case ok:
			options[k] = v
		default:
			words = append(words, word)
		}
	}
	number := func(key string) int {
		n, err := strconv.Atoi(options[key])
		if err != nil && options[key] != "" {
			w.Fatalf("%q: %v", line, err)
		}
		return n
	}
	if len(words) < 2 {
		w.Fatalf("%q is no command", line)
	}
	user, session, _ := strings.Cut(words[1], "/")
	if user == "-" {
		user = ""
	}
	c := &room.Command{
		Verb: room.Verb(words[0]), User: subjects.User(user), Name: options["name"], Session: session, RequestID: options["req"], TraceParent: options["trace"],
		RoomName: options["title"], RoomsFull: options["rooms"] == "full", UserRoomsFull: options["user"] == "full",
		Config:     events.Config{RoomDestroyDelayTime: int64(number("delay")), MaxMembers: number("max")},
		ReasonText: options["reason"], IfRevision: uint64(number("if")),
	}
	if c.Session == "" {
		c.Session = room.DefaultSession
	}
	if c.RequestID != "" {
		c.Digest = "d" + c.RequestID
	}
	if info := options["info"]; info != "" {
		c.Info = []byte(info)
	}
	if len(words) > 2 {
		c.Room = subjects.Room(words[2])
	}
	has := func(word string) bool { return slices.Contains(words[min(len(words), 3):], word) }
	c.UserForm, c.HostByToken, c.Role, c.Seconds = has("form"), has("token"), events.Role(options["role"]), int64(number("seconds"))
	c.Config.Hosts, c.Config.Attributes, c.Config.Speakers = options["hosts"], options["attributes"], options["speakers"]
	switch c.Verb {
	case room.Switch:
		c.From, c.Room, c.CreateMissing = c.Room, subjects.Room(words[3]), has("create")
	case room.Update:
		c.Change = changeOf(options)
		if title, ok := options["title"]; ok {
			c.Rename = &title
		}
	case room.SetMemberAttributes, room.Kick, room.SetRole, room.Ban, room.Unban, room.Mute, room.Unmute:
		for u := range strings.SplitSeq(words[3], ",") {
			c.Users = append(c.Users, subjects.User(u))
		}
	}
	if c.Verb == room.SetAttributes || c.Verb == room.SetMemberAttributes {
		c.Set, c.Delete, c.Force, c.UpdateOwner = set, del, has("force"), has("own")
		if goes := has("go"); goes || has("stay") {
			c.LeaveDeletes = &goes
		}
	} else if len(set) > 0 {
		c.Attributes = set
	}
	return c
}

// changeOf is the options of an update.
func changeOf(options map[string]string) *room.ConfigUpdate {
	c := &room.ConfigUpdate{}
	for k, field := range map[string]**string{"hosts": &c.Hosts, "attributes": &c.Attributes, "speakers": &c.Speakers} {
		if v, ok := options[k]; ok {
			*field = &v
		}
	}
	if n, err := strconv.ParseInt(options["delay"], 10, 64); err == nil {
		c.RoomDestroyDelayTime = &n
	}
	if n, err := strconv.Atoi(options["max"]); err == nil {
		c.MaxMembers = &n
	}
	return c
}

// verdict is a verdict in one line.
func verdict(v room.Verdict) string {
	said := "nothing"
	switch {
	case v.Begun:
		return "begun"
	case v.Later:
		return "later"
	case v.Refused != nil && v.Refused.Limit != 0:
		return fmt.Sprintf("%s limit=%d actual=%d", v.Refused.Code, v.Refused.Limit, v.Refused.Actual)
	case v.Refused != nil:
		return v.Refused.Code.Name
	case v.Created:
		said = "created"
	case v.Changed:
		said = "changed"
	}
	if v.ErrorKeys != nil {
		said += fmt.Sprintf(" errors=%s", strings.Join(v.ErrorKeys, ","))
	}
	if v.Users != nil {
		said += fmt.Sprintf(" users=%s", strings.Trim(fmt.Sprint(v.Users), "[]"))
	}
	if v.Until != 0 {
		said += fmt.Sprintf(" until=%d", v.Until/1000)
	}
	return said
}

// shownEntries is how many entries of a fact [describe] shows before it only counts.
const shownEntries = 6

// describe is a fact in one line.
func describe(f *events.Fact) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d at %d:", f.InstanceID, strings.TrimPrefix(f.Type, events.TypePrefix), f.Sequence, f.Time/1000)
	digests := slices.Clone(f.Digests)
	entries := 0
	entry := func(format string, args ...any) {
		var parts []string
		for part := range strings.SplitSeq(fmt.Sprintf(format, args...), " ") {
			if part != "" && !strings.HasSuffix(part, "=") {
				parts = append(parts, part)
			}
		}
		digest := "?"
		if len(digests) > 0 {
			digest, digests = digests[0], digests[1:]
		}
		if digest != "" {
			parts = append(parts, "digest="+digest)
		}
		if entries++; entries <= shownEntries {
			b.WriteString(" [" + strings.Join(parts, " ") + "]")
		}
	}
	if f.Type == events.RoomCreated && len(f.Joined) == 0 {
		entry("req=%s", f.RequestID)
	}
	if f.Type == events.RoomDestroyed && f.Operator+f.RequestID != "" {
		entry("by=%s req=%s", f.Operator, f.RequestID)
	}
	for _, j := range f.Joined {
		entry("%s/%s %s %s from=%s %s req=%s", j.UserID, j.SessionID, j.Via, j.Role, j.FromRoomID, pairs(j.Attributes, j.DeleteAfterOwnerLeft), j.RequestID)
	}
	for _, l := range f.Left {
		entry("%s/%s %s to=%s by=%s text=%s req=%s", l.UserID, l.SessionID, l.Reason, l.ToRoomID, l.Operator, l.ReasonText, l.RequestID)
	}
	for _, c := range f.Changes {
		entry("%s set=%s delete=%s errors=%s req=%s", c.UserID, strings.Join(c.Set, ","), strings.Join(c.Delete, ","), strings.Join(c.ErrorKeys, ","), c.RequestID)
	}
	for _, u := range f.Updates {
		if u.Role == "" {
			entry("%s name=%s info=%s req=%s", u.UserID, u.UserName, u.UserInfo, u.RequestID)
		}
	}
	switch f.Type {
	case events.RoomAccessChanged, events.RoomUpdated, events.MemberUpdated:
		if f.User != "" || f.RequestID != "" || len(f.Updates) == 0 {
			entry("%s req=%s", f.User, f.RequestID)
		}
	}
	if f.Type == events.MemberAttributesChanged {
		entry("%s req=%s", f.User, f.RequestID)
	}
	if entries > shownEntries {
		fmt.Fprintf(&b, " and %d more", entries-shownEntries)
	}
	switch f.Type {
	case events.RoomCreated:
		fmt.Fprintf(&b, " count=%d", f.Info.MemberCount)
	case events.RoomDestroyed:
		fmt.Fprintf(&b, " %s count=%d", f.Reason, f.Info.MemberCount)
	case events.RoomKept, events.MemberUpdated:
	case events.RoomUpdated:
		fmt.Fprintf(&b, " name=%q delay=%d max=%d hosts=%s", f.Name, f.Config.RoomDestroyDelayTime, f.Config.MaxMembers, f.Config.Hosts)
	case events.RoomAccessChanged:
		fmt.Fprintf(&b, "%s%s", restrictions(" ban", f.Bans), restrictions(" mute", f.Mutes))
	case events.RoomAttributesChanged:
		fmt.Fprintf(&b, " %s", owned(f.Set, f.Ownership))
	case events.MemberAttributesChanged:
		for _, i := range f.Infos {
			goes := slices.Sorted(maps.Keys(i.Attributes))
			if f.Staying {
				goes = nil
			}
			fmt.Fprintf(&b, " %s%s", i.UserID, pairs(i.Attributes, goes))
		}
	default:
		fmt.Fprintf(&b, " count=%d", f.MemberCount)
	}
	for _, u := range f.Updates {
		if u.Role != "" {
			fmt.Fprintf(&b, " %s=%s", u.UserID, u.Role)
		}
	}
	if gone := slices.Concat(f.Delete, f.Deleted); len(gone) > 0 {
		fmt.Fprintf(&b, " gone=%s", strings.Join(gone, ","))
	}
	if f.TraceParent != "" {
		b.WriteString(" trace=" + f.TraceParent)
	}
	if len(digests) > 0 {
		fmt.Fprintf(&b, " digests without entry: %q", digests)
	}
	return b.String()
}

// restrictions is bans or mutes, each with when it ends.
func restrictions(what string, list []events.Restriction) (out string) {
	for _, x := range list {
		switch out += what + "=" + x.UserID; {
		case x.Lifted:
			out += "(lifted)"
		case x.Until != 0:
			out += fmt.Sprintf("(until %d)", x.Until/1000)
		}
	}
	return out
}

// pairs is a member's attributes; ~ marks those that go with the membership.
func pairs(attributes map[string]string, going []string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		mark := ""
		if slices.Contains(going, k) {
			mark = "~"
		}
		list = append(list, k+"="+attributes[k]+mark)
	}
	if list == nil {
		return ""
	}
	return "{" + strings.Join(list, ",") + "}"
}

// owned is a room's attributes, with their (owner), and ~ if they go with the owner.
func owned(attributes map[string]string, o events.Ownership) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		who, mark := "nobody", ""
		if id := o.Owners[k]; id != nil {
			who = *id
		}
		if slices.Contains(o.DeleteAfterOwnerLeft, k) {
			mark = "~"
		}
		list = append(list, fmt.Sprintf("%s=%s(%s%s)", k, attributes[k], who, mark))
	}
	return "{" + strings.Join(list, " ") + "}"
}

// stays is those of a member's attributes that outlive the membership, according to its record.
func stays(t tb, m *room.Member) []string {
	raw, err := m.Record("")
	var rec struct{ Staying []string }
	if err == nil {
		err = json.Unmarshal(raw, &rec, json.MatchCaseInsensitiveNames(true))
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rec.Staying
}

func goes(t tb, m *room.Member) (keys []string) {
	staying := stays(t, m)
	for k := range m.Attributes {
		if !slices.Contains(staying, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// ownershipOf is a head's owners in the form of a fact.
func ownershipOf(h *room.Head) events.Ownership {
	o := events.Ownership{Owners: map[string]*string{}}
	for k, owner := range h.Owners {
		if owner.User != "" {
			id := string(owner.User)
			o.Owners[k] = &id
		}
		if owner.Leaving {
			o.DeleteAfterOwnerLeft = append(o.DeleteAfterOwnerLeft, k)
		}
	}
	return o
}

// keptOf is everything that absent users left behind, oldest first.
func keptOf(s *room.State) (list []room.Kept) {
	s.Kept(func(k room.Kept) { list = append(list, k) })
	slices.SortFunc(list, func(a, b room.Kept) int {
		if a.Revision != b.Revision {
			return int(a.Revision) - int(b.Revision)
		}
		return strings.Compare(string(a.User), string(b.User))
	})
	return list
}

// show is a room in one line.
func (w *world) show(r subjects.Room) string {
	w.Helper()
	s := w.rooms[r]
	if s == nil {
		return string(r) + ": none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %d, %d members:", s.InstanceID, s.Sequence, s.Members)
	shown := 0
	s.After(0, func(m *room.Member) bool {
		if shown++; shown > shownEntries {
			fmt.Fprintf(&b, " and %d more", s.Members-shownEntries)
			return false
		}
		fmt.Fprintf(&b, " %s", m.User)
		for _, session := range m.Sessions {
			fmt.Fprintf(&b, "/%s", session.SessionID)
		}
		if s.IsHost(m.User) {
			b.WriteString("(host)")
		}
		b.WriteString(pairs(m.Attributes, goes(w, m)))
		return true
	})
	if len(s.Attributes) > 0 {
		fmt.Fprintf(&b, " %s", owned(s.Attributes, ownershipOf(s.Head)))
	}
	for _, k := range keptOf(s) {
		if k.Attributes != nil {
			fmt.Fprintf(&b, ", %s left behind %s", k.User, pairs(k.Attributes, nil))
		}
	}
	bans, mutes := s.Restrictions(w.now)
	b.WriteString(restrictions(", ban", bans) + restrictions(", mute", mutes))
	if s.EmptySince != 0 {
		fmt.Fprintf(&b, " empty since %d by %d, ends at %d", s.EmptySince/1000, s.EmptyBy, s.DestroyAt()/1000)
	}
	if s.Unborn {
		b.WriteString(", unborn")
	}
	if s.Ending() {
		b.WriteString(", ending")
	}
	return b.String()
}

// dump is everything a state holds, for comparing.
func dump(t tb, r subjects.Room, s *room.State) string {
	t.Helper()
	if s == nil {
		return "none"
	}
	must := func(raw []byte, err error) string {
		if err != nil {
			t.Fatalf("%v", err)
		}
		return string(raw) + "\n"
	}
	out := must(s.Head.Record(r))
	s.After(0, func(m *room.Member) bool {
		if s.Member(m.User) != m {
			out += "a ghost: "
		}
		out += must(m.Record(s.InstanceID))
		return true
	})
	for _, k := range keptOf(s) {
		out += string(k.User) + " left behind " + must(k.Record(s.InstanceID))
	}
	return out
}
