package roomsvc_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// instances asks for all pages of the rooms that there were under an ID.
func (w *world) instances(id string, count int) (all []room.Instance) {
	w.T.Helper()
	for next := ""; ; {
		page := ok[room.InstancesReply](w, "instances", fmt.Sprintf(`{"roomID":%q,"count":%d,"nextFlag":%q}`, id, count, next))
		if len(page.Instances) > count {
			w.T.Errorf("%d instances on a page of %d", len(page.Instances), count)
		}
		all = append(all, page.Instances...)
		if next = page.NextFlag; next == "" {
			return all
		}
	}
}

// forgetBefore makes the server drop all facts before a place, as if they were too old. It
// returns where the stream begins when it has.
func (w *world) forgetBefore(place uint64) (first uint64) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, "ROOMS")
	if err != nil {
		w.T.Fatal(err)
	}
	rest, err := stream.CreateConsumer(w.Ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: place, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
	if err != nil {
		w.T.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.Discard, cfg.MaxMsgs = jetstream.DiscardOld, int64(rest.CachedInfo().NumPending)
	if stream, err = w.JS.UpdateStream(w.Ctx, cfg); err != nil {
		w.T.Fatal(err)
	}
	w.Until(patience, "an instance to put the stream right", func() bool { // or it would undo what comes now
		info, err := stream.Info(w.Ctx)
		return err == nil && info.Config.Discard == jetstream.DiscardNew
	})
	cfg.Discard, cfg.MaxMsgs = jetstream.DiscardNew, -1
	if _, err := w.JS.UpdateStream(w.Ctx, cfg); err != nil {
		w.T.Fatal(err)
	}
	info, err := stream.Info(w.Ctx)
	if err != nil || info.State.FirstSeq < place {
		w.T.Fatalf("the stream begins at %d, not at %d: %v", info.State.FirstSeq, place, err)
	}
	return info.State.FirstSeq
}

// Back ends learn which rooms there were under an ID, of which facts are kept.
func TestInstances(t *testing.T) {
	w, running := newWorld(t, 2, roomsvc.Config{})
	w.Refused(room.ErrRoomNotExist, "instances", `{"roomID":"lobby"}`)
	w.Refused(room.ErrNotAllowed, "instances.alice", `{"roomID":"lobby"}`)
	for _, flag := range []string{"x", "0", "-1"} {
		if e := w.Refused(room.ErrParamInvalid, "instances", fmt.Sprintf(`{"roomID":"lobby","nextFlag":%q}`, flag)); e.Field != "nextFlag" {
			t.Errorf("%q: %v", flag, e)
		}
	}
	const rooms = 9
	for i := range rooms {
		ok[position](w, "create", fmt.Sprintf(`{"roomID":"lobby","userID":"alice","roomName":"the %d","config":{"roomDestroyDelayTime":600}}`, i))
		for range i * 4 { // so that it is far from one end to the other
			ok[position](w, "create", `{"roomID":"hall","userID":"bob"}`)
			ok[position](w, "destroy", `{"roomID":"hall"}`)
		}
		if i%2 == 0 {
			ok[position](w, "destroy", `{"roomID":"lobby"}`)
		} else {
			ok[position](w, "leave", `{"roomID":"lobby","userID":"alice"}`)
			ok[position](w, "destroy", `{"roomID":"lobby"}`)
		}
	}
	living := ok[position](w, "create", `{"roomID":"lobby","userID":"alice","roomName":"living"}`)
	var want []room.Instance
	var created []uint64
	for _, f := range w.Facts() {
		switch {
		case f.Room != "lobby":
		case f.Type == events.RoomCreated:
			created = append(created, f.Revision)
			want = append(want, room.Instance{InstanceID: f.InstanceID, RoomName: f.Info.RoomName, CreatedAt: f.Info.CreatedAt, Sequence: 1})
		case f.Type == events.RoomDestroyed:
			in := &want[len(want)-1]
			in.EndedAt, in.Reason, in.Sequence = f.Time, f.Reason, f.Sequence
		}
	}
	slices.Reverse(want)
	slices.Reverse(created)
	if len(want) != rooms+1 || want[0].InstanceID != living.InstanceID || want[0].EndedAt != 0 {
		t.Fatalf("%d rooms: %+v", len(want), want)
	}
	same := func(when string, want []room.Instance) {
		t.Helper()
		for _, count := range []int{1, 4, 500} {
			if got := w.instances("lobby", count); !slices.Equal(got, want) {
				t.Errorf("%s, by %d: %+v, want %+v", when, count, got, want)
			}
		}
	}
	same("all", want)
	for _, i := range running {
		i.End()
	}
	w.Start(roomsvc.Config{})
	same("after a restart", want)
	page := ok[room.InstancesReply](w, "instances", `{"roomID":"lobby","count":5}`)
	w.forgetBefore(created[4] + 1) // the fact that made it is gone, but not the one that ended it
	same("when facts are too old", want[:5])
	if late := ok[room.InstancesReply](w, "instances", fmt.Sprintf(`{"roomID":"lobby","nextFlag":%q}`, page.NextFlag)); len(late.Instances) != 0 || late.NextFlag != "" {
		t.Errorf("a page that is no longer kept: %+v", late)
	}
}

// moment is what a room was at a moment.
type moment struct {
	at       events.Time
	reply    *room.MembersReply // nil: there was no room
	revision uint64             // of the newest fact then
}

// now is what the room is.
func (w *world) now(id string) (m moment) {
	w.T.Helper()
	stream, err := w.JS.Stream(w.Ctx, "ROOMS")
	if err != nil {
		w.T.Fatal(err)
	}
	m.revision = stream.CachedInfo().State.LastSeq
	for range 3 { // an instance's clock may be a little behind this one, or ahead of it
		w.tick()
	}
	m.at = events.TimeOf(time.Now())
	for range 3 {
		w.tick()
	}
	w.Until(patience, "word of who is in", func() bool {
		answer := w.Ask("members", fmt.Sprintf(`{"roomID":%q,"sync":true}`, id))
		refused := refusal(answer)
		if refused == nil {
			m.reply = decode[room.MembersReply](w.T, answer.Data)
		}
		return refused == nil || refused.Code == room.ErrRoomNotExist
	})
	return m
}

// then asks for who was in at a moment, page by page; nil: there was no room.
func (w *world) then(id string, at events.Time, count int) *room.MembersReply {
	w.T.Helper()
	var all *room.MembersReply
	for next := ""; ; {
		m := w.Ask("members", fmt.Sprintf(`{"roomID":%q,"at":%q,"count":%d,"nextFlag":%q}`, id, at, count, next))
		if e := refusal(m); e != nil {
			if e.Code != room.ErrRoomNotExist {
				w.T.Fatalf("at %v: %v", at, e)
			}
			return nil
		}
		page := decode[room.MembersReply](w.T, m.Data)
		if all != nil {
			page.MemberList = append(all.MemberList, page.MemberList...)
		}
		if all, next = page, page.NextFlag; next == "" {
			return all
		}
	}
}

// whole is a reply with everything that must be the same.
func whole(t *testing.T, r *room.MembersReply) string {
	t.Helper()
	if r == nil {
		return "no room"
	}
	data, err := json.Marshal(r.MemberList, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %d of %d", data, r.InstanceID, r.MemberCount, r.Sequence)
}

// who is who was in, and since when, which is known also when first facts are not kept.
func who(r *room.MembersReply) string {
	if r == nil {
		return "no room"
	}
	var list []string
	for _, m := range r.MemberList {
		list = append(list, fmt.Sprintf("%s (%s) since %v", m.UserID, m.UserName, m.JoinedAt))
	}
	slices.Sort(list)
	return fmt.Sprintf("%s; %s %d of %d", strings.Join(list, ", "), r.InstanceID, r.MemberCount, r.Sequence)
}

// lived makes a room live at random, ends it and makes it again some times, and returns what
// it was after each step.
func lived(w *world, random *rand.Rand, steps int) (moments []moment) {
	user := func() string { return string("abcdefgh"[random.IntN(8)]) }
	session := func() string { return string("12"[random.IntN(2)]) }
	for range steps {
		u, s := user(), session()
		me := fmt.Sprintf(`{"roomID":"lobby","userID":%q,"userName":"name of %s","userInfo":{"like":%q},"sessionID":%q`, u, u, u, s)
		switch random.IntN(20) {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			w.Ask("enter", me+`,"config":{"roomDestroyDelayTime":600}}`)
		case 8, 9, 10, 11:
			w.Ask("leave", me+`}`)
		case 12, 13, 14, 15:
			w.Ask("setMemberAttributes", me+fmt.Sprintf(`,"userIDs":[%q,%q],"attributes":{%q:"%d"},"isDeleteAfterOwnerLeft":%v}`, u, user(), user(), random.IntN(9), random.IntN(2) == 0))
		case 16:
			w.Ask("kick", fmt.Sprintf(`{"roomID":"lobby","userIDs":[%q,%q]}`, u, user()))
		case 17:
			w.Ask("setAttributes", me+`,"set":{"a":"b"}}`)
		case 18:
			w.Ask("enter", strings.ReplaceAll(me, "lobby", "hall")+`,"config":{"roomDestroyDelayTime":600}}`)
		default:
			if random.IntN(2) == 0 {
				w.Ask("destroy", `{"roomID":"lobby"}`)
			}
		}
		moments = append(moments, w.now("lobby"))
	}
	return moments
}

// Who was in a room at any moment is what members answered then, on any instance and after a
// restart, and as far as possible also if the room's first facts are no longer kept.
func TestMembersAt(t *testing.T) {
	w, running := newWorld(t, 2, roomsvc.Config{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ok[position](w, "create", `{"roomID":"hall","userID":"dora"}`) // markers before it would go, and the journal would not reach back to its beginning
	w.tick()
	before := events.TimeOf(time.Now())
	w.tick()
	moments := lived(w, rand.New(rand.NewPCG(seed, 0)), 60)
	check := func(when string, since uint64) {
		t.Helper()
		for i, m := range moments {
			if m.revision < since {
				continue
			}
			got := w.then("lobby", m.at, 1+i%4)
			if got != nil && got.Complete == nil {
				t.Fatalf("%s: no word about whether it is complete", when)
			}
			if got != nil && !*got.Complete && since > 0 {
				if who(got) != who(m.reply) {
					t.Errorf("%s, at step %d:\n%s, want\n%s", when, i, who(got), who(m.reply))
				}
			} else if whole(t, got) != whole(t, m.reply) {
				t.Errorf("%s, at step %d:\n%s, want\n%s", when, i, whole(t, got), whole(t, m.reply))
			}
		}
	}
	check("with all facts", 0)
	if w.then("lobby", before, 500) != nil {
		t.Error("there was a room before there was one")
	}
	for _, i := range running {
		i.End()
	}
	w.Start(roomsvc.Config{})
	check("after a restart", 0)
	for part := range 4 {
		first := w.forgetBefore(moments[len(moments)*(part+1)/5].revision)
		check(fmt.Sprintf("with the facts from %d on", first), first)
		body := fmt.Sprintf(`{"roomID":"lobby","at":%q}`, before)
		if e := w.Refused(room.ErrParamInvalid, "members", body); e.Field != "at" || !strings.Contains(e.Message, "facts are kept only since ") {
			t.Errorf("before what is kept: %v", e)
		}
		w.Ask("leave", `{"roomID":"lobby","userID":"a","sessionID":"1"}`) // there is always something after it
		moments = append(moments, w.now("lobby"))
	}
}

// Those who came before the first fact that is kept are known with all they have, if nothing
// has changed it since.
func TestMembersAtOfAnOldRoom(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	ok[position](w, "create", `{"roomID":"lobby","userID":"alice","userName":"Alice","userInfo":{"a":1},"config":{"roomDestroyDelayTime":600}}`)
	ok[position](w, "enter", `{"roomID":"lobby","userID":"bob","userName":"Bob","leaseSeconds":600}`)
	ok[position](w, "enter", `{"roomID":"lobby","userID":"alice","sessionID":"phone"}`)
	ok[position](w, "setMemberAttributes", `{"roomID":"lobby","userID":"alice","userIDs":["alice"],"attributes":{"same":"1","other":"1"}}`)
	old := w.now("lobby")
	ok[position](w, "create", `{"roomID":"hall","userID":"dora","config":{"roomDestroyDelayTime":600}}`)
	quiet := w.now("lobby") // the facts that are kept begin before this moment, but not the room's
	for _, body := range []string{`"userIDs":["alice"],"attributes":{"other":"2"}`} {
		ok[position](w, "setMemberAttributes", `{"roomID":"lobby","userID":"alice",`+body+`}`)
	}
	ok[position](w, "leave", `{"roomID":"lobby","userID":"bob"}`)
	late := w.now("lobby")
	if first := w.forgetBefore(quiet.revision); first != quiet.revision {
		t.Fatalf("the stream begins at %d, not at %d", first, quiet.revision)
	}
	for _, m := range []moment{quiet, late} {
		got := w.then("lobby", m.at, 1)
		if got == nil || who(got) != who(m.reply) || *got.Complete {
			t.Fatalf("%+v, want %s", got, who(m.reply))
		}
		alice, was := got.MemberList[0], m.reply.MemberList[0]
		if m.at == quiet.at {
			delete(was.Attributes, "other")
		}
		if !maps.Equal(alice.Attributes, was.Attributes) || string(alice.UserInfo) != string(was.UserInfo) || !slices.Equal(alice.Sessions, was.Sessions) {
			t.Errorf("%+v, want %+v", alice, was)
		}
	}
	if e := w.Refused(room.ErrParamInvalid, "members", fmt.Sprintf(`{"roomID":"lobby","at":%q}`, old.at)); e.Field != "at" {
		t.Errorf("before what is kept: %v", e)
	}
}

// at is for back ends, and for moments that have been.
func TestMembersAtRefused(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	at := ok[position](w, "create", `{"roomID":"lobby","userID":"alice"}`)
	for _, c := range []struct {
		subject, at string
		code        *room.Code
	}{
		{"members.alice", "2026-01-01T00:00:00Z", room.ErrNotAllowed},
		{"members", "2999-01-01T00:00:00Z", room.ErrParamInvalid},
		{"members", "yesterday", room.ErrParamInvalid},
		{"members", "", room.ErrParamInvalid},
	} {
		if e := w.Refused(c.code, c.subject, fmt.Sprintf(`{"roomID":"lobby","at":%q}`, c.at)); e.Field != "at" {
			t.Errorf("%q: %v", c.at, e)
		}
	}
	w.Refused(room.ErrRoomNotExist, "members", `{"roomID":"lobby","at":"1970-01-01T00:00:00Z"}`)
	w.Refused(room.ErrRoomNotExist, "members", `{"roomID":"never","at":"2026-01-01T02:00:00+02:00"}`)
	w.tick()
	if got := ok[room.MembersReply](w, "members", fmt.Sprintf(`{"roomID":"lobby","at":%q}`, time.Now().Format(time.RFC3339Nano))); got.InstanceID != at.InstanceID || got.MemberCount != 1 {
		t.Errorf("a moment ago: %+v", got)
	}
}
