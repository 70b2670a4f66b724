package roomsvc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// tell sends a message in a room and returns its number.
func (w *world) tell(id, user, text string) uint64 {
	w.T.Helper()
	return ok[room.SendReply](w, "send", fmt.Sprintf(`{"roomID":%q,"userID":%q,"type":"text","data":%q}`, id, user, text)).MessageSeq
}

// pastOf is what history gives of a room's messages: their texts, and the numbers of those that
// were deleted.
func (w *world) pastOf(id, instance, user string) (texts []string, deleted []uint64) {
	w.T.Helper()
	verb := "history"
	if user != "" {
		verb += "." + user
	}
	for after := "0"; after != ""; {
		r := ok[room.HistoryReply](w, verb, fmt.Sprintf(`{"roomID":%q,"instanceID":%q,"afterMessageSeq":%s,"sync":true}`, id, instance, after))
		for _, raw := range r.Events {
			texts = append(texts, readMessage(w.T, raw).Data)
		}
		deleted, after = append(deleted, r.Deleted...), r.NextFlag
	}
	back := ok[room.HistoryReply](w, verb, fmt.Sprintf(`{"roomID":%q,"instanceID":%q,"beforeMessageSeq":0}`, id, instance))
	if len(back.Events) != len(texts) || !slices.Equal(back.Deleted, deleted) {
		w.T.Errorf("backwards there are %d messages, and %v is deleted; forwards %q and %v", len(back.Events), back.Deleted, texts, deleted)
	}
	return texts, deleted
}

// deletion is the next copy, which must be a deletion.
func deletion(t *testing.T, sub *nats.Subscription) *events.Deletion {
	t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %v", sub.Subject, err)
	}
	d, err := events.DecodeDeletion(m.Data)
	if err != nil || m.Header.Get("Nats-Sequence") == "" || m.Header.Get("Content-Type") != events.ContentType {
		t.Fatalf("%s: %s with the headers %v: %v", sub.Subject, m.Data, m.Header, err)
	}
	return d
}

// Who may delete what, and what everybody hears and reads of it.
func TestDeleteMessages(t *testing.T) {
	const recall = 5
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true, Limits: room.Limits{Recall: recall}})
	instance := ok[room.JoinedReply](w, "enter.alice", `{"roomID":"lobby"}`).InstanceID
	ok[room.JoinedReply](w, "enter.bob", `{"roomID":"lobby"}`)
	other := ok[room.JoinedReply](w, "enter.carol", `{"roomID":"hall"}`).InstanceID
	first, second := w.tell("lobby", "alice", "first"), w.tell("lobby", "bob", "second")
	elsewhere := w.tell("hall", "carol", "elsewhere")
	trusted, feed, spy := hear(t, w.NC, "room.msg.lobby"), hear(t, w.NC, "room.feed.bob.lobby"), hear(t, w.NC, "room.feed.carol.lobby")
	last := w.tell("lobby", "alice", "last")
	told := time.Now()
	for _, sub := range []*nats.Subscription{trusted, feed} {
		if got := next(t, sub); got != "last" {
			t.Errorf("%s: %q", sub.Subject, got)
		}
	}
	del := func(seqs ...uint64) string {
		return fmt.Sprintf(`{"roomID":"lobby","messageSeqs":%s}`, strings.ReplaceAll(fmt.Sprint(seqs), " ", ","))
	}

	// Nobody deletes what others said; and of several, all or none.
	w.Refused(room.ErrNotAllowed, "deleteMessages.bob", del(first))
	w.Refused(room.ErrNotAllowed, "deleteMessages.bob", del(second, last))
	w.Refused(room.ErrNotAllowed, "deleteMessages.carol", del(first))
	w.Refused(room.ErrNotAllowed, "deleteMessages.carol", del(elsewhere)) // it is hers, but of another room
	w.Refused(room.ErrNotAllowed, "deleteMessages.bob", `{"roomID":"lobby","ofUserID":"alice"}`)
	w.Refused(room.ErrNotAllowed, "eraseUser.alice", `{}`)
	w.Refused(room.ErrRoomNotExist, "deleteMessages.alice", `{"roomID":"nowhere","messageSeqs":[1]}`)
	for _, body := range []string{
		`{"roomID":"lobby"}`, `{"roomID":"lobby","messageSeqs":[]}`, `{"roomID":"lobby","messageSeqs":[0]}`, `{"roomID":"lobby","messageSeqs":[1],"ofUserID":"a"}`,
		`{"roomID":"lobby","messageSeqs":[1],"nextFlag":"1"}`, `{"roomID":"lobby","ofUserID":"a","nextFlag":"x"}`, del(make([]uint64, 101)...),
	} {
		w.Refused(room.ErrParamInvalid, "deleteMessages", body)
	}
	w.Refused(room.ErrParamInvalid, "eraseUser", `{}`)
	w.Refused(room.ErrParamInvalid, "eraseUser", `{"userID":"a","nextFlag":"x"}`)

	// The sender takes its message back.
	r := ok[room.DeleteMessagesReply](w, "deleteMessages.alice", strings.Replace(del(last, last), "{", `{"requestID":"once",`, 1))
	if !slices.Equal(r.MessageSeqs, []uint64{last}) || r.InstanceID != instance || r.RoomID != "lobby" {
		t.Errorf("alice deletes %d: %+v", last, r)
	}
	for _, sub := range []*nats.Subscription{trusted, feed} {
		d := deletion(t, sub)
		if !slices.Equal(d.MessageSeqs, []uint64{last}) || d.Operator != "alice" || d.Room != "lobby" || d.InstanceID != instance || d.RequestID != "once" {
			t.Errorf("%s: %+v", sub.Subject, d)
		}
	}
	if again := ok[room.DeleteMessagesReply](w, "deleteMessages.alice", strings.Replace(del(last, last), "{", `{"requestID":"once",`, 1)); !slices.Equal(again.MessageSeqs, r.MessageSeqs) {
		t.Errorf("repeated, it gives %+v", again)
	}
	w.Refused(room.ErrParamInvalid, "deleteMessages.alice", strings.Replace(del(first), "{", `{"requestID":"once",`, 1))
	if r := ok[room.DeleteMessagesReply](w, "deleteMessages.alice", del(last)); len(r.MessageSeqs) != 0 {
		t.Errorf("what is gone is deleted again: %+v", r)
	}
	for _, user := range []string{"", "alice", "bob"} {
		if texts, deleted := w.pastOf("lobby", instance, user); !slices.Equal(texts, []string{"first", "second"}) || !slices.Equal(deleted, []uint64{last}) {
			t.Errorf("%q reads %q, deleted %v", user, texts, deleted)
		}
	}

	// Later it can't, and back ends still can: in any room, and of one that has ended.
	w.Until(patience, "the time to take messages back to be over", func() bool { return time.Since(told) > recall*time.Second })
	if e := w.Refused(room.ErrNotAllowed, "deleteMessages.alice", del(first)); e.Limit != recall || e.Actual < recall || e.Field != "messageSeqs" {
		t.Errorf("too late it is %+v", e)
	}
	if r := ok[room.DeleteMessagesReply](w, "deleteMessages.alice", `{"roomID":"lobby","ofUserID":"alice"}`); len(r.MessageSeqs) != 0 {
		t.Errorf("too late it deletes %+v", r)
	}
	ok[room.JoinedReply](w, "enter.late", `{"roomID":"lobby"}`)
	if r := ok[room.DeleteMessagesReply](w, "deleteMessages", del(first, second, elsewhere, 1<<40)); !slices.Equal(r.MessageSeqs, []uint64{first, second}) {
		t.Errorf("a back end deletes %+v", r)
	}
	if d := deletion(t, trusted); d.Operator != "" || !slices.Equal(d.MessageSeqs, []uint64{first, second}) {
		t.Errorf("%+v", d)
	}
	if texts, deleted := w.pastOf("lobby", instance, "late"); len(texts) != 0 || !slices.Equal(deleted, []uint64{last, first, second}) {
		t.Errorf("somebody who came later reads %q, deleted %v", texts, deleted)
	}
	ok[room.DestroyReply](w, "destroy", `{"roomID":"hall"}`)
	body := fmt.Sprintf(`{"roomID":"hall","instanceID":%q,"messageSeqs":[%d]}`, other, elsewhere)
	w.Refused(room.ErrNotAllowed, "deleteMessages.alice", body)
	if r := ok[room.DeleteMessagesReply](w, "deleteMessages", body); len(r.MessageSeqs) != 1 {
		t.Errorf("of a room that has ended: %+v", r)
	}
	if texts, deleted := w.pastOf("hall", other, ""); len(texts) != 0 || !slices.Equal(deleted, []uint64{elsewhere}) {
		t.Errorf("of a room that has ended is read %q, deleted %v", texts, deleted)
	}
	if n, _, err := spy.Pending(); n > 0 || err != nil {
		t.Errorf("carol, who is not in, hears %d copies, %v", n, err)
	}
}

// All messages of one user in one room, in parts; and what its sender may take back.
func TestDeleteMessagesOfUser(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	instance := ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"alice"}`).InstanceID
	ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"bob"}`)
	var want []uint64
	for n := range 130 {
		want = append(want, w.tell("lobby", "alice", fmt.Sprint("a", n)))
		if n%10 == 0 {
			w.tell("lobby", "bob", fmt.Sprint("b", n))
		}
	}
	var got []uint64
	flag := ""
	for parts := 1; ; parts++ {
		r := ok[room.DeleteMessagesReply](w, "deleteMessages.alice", fmt.Sprintf(`{"roomID":"lobby","ofUserID":"alice","nextFlag":%q,"requestID":"part %d"}`, flag, parts))
		if got = append(got, r.MessageSeqs...); len(r.MessageSeqs) > 100 {
			t.Errorf("a part has %d", len(r.MessageSeqs))
		}
		again := ok[room.DeleteMessagesReply](w, "deleteMessages.alice", fmt.Sprintf(`{"roomID":"lobby","ofUserID":"alice","nextFlag":%q,"requestID":"part %d"}`, flag, parts))
		if !slices.Equal(again.MessageSeqs, r.MessageSeqs) {
			t.Errorf("part %d repeated is %v, it was %v", parts, again.MessageSeqs, r.MessageSeqs)
		}
		if flag = r.NextFlag; flag == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v is deleted, want %v", got, want)
	}
	if texts, deleted := w.pastOf("lobby", instance, ""); len(texts) != 13 || !slices.Equal(deleted, want) {
		t.Errorf("what is left is %q; deleted %v", texts, deleted)
	}
}

// Everything that a user said is erased in all rooms, also in those that have ended, a part at a
// time; what others said stays.
func TestEraseUser(t *testing.T) {
	w, instances := newWorld(t, 2, roomsvc.Config{})
	var ids []string
	said := 0
	for n := range 30 {
		id := fmt.Sprintf("room %d", n)
		for _, user := range []string{"alice", "bob"} {
			in := ok[room.JoinedReply](w, "enter", fmt.Sprintf(`{"roomID":%q,"userID":%q}`, id, user))
			for m := range 4 {
				w.tell(id, user, fmt.Sprintf("%s says %d", user, m))
			}
			if user == "alice" {
				ids = append(ids, in.InstanceID)
			}
		}
		if said += 4; n%3 == 0 {
			ok[room.DestroyReply](w, "destroy", fmt.Sprintf(`{"roomID":%q}`, id))
		}
	}
	body := `{"userID":"alice","requestID":"e"}`
	r := ok[room.EraseUserReply](w, "eraseUser", body)
	first := *r
	if r.Erased != 100 || r.NextFlag == "" || r.UserID != "alice" {
		t.Errorf("the first part is %+v", r)
	}
	instances[0].End() // on whichever instance, a repeat gets the same
	if again := ok[room.EraseUserReply](w, "eraseUser", body); again.Erased < first.Erased || again.Erased > said {
		t.Errorf("repeated, it gives %+v, it was %+v", again, first)
	}
	for flag := first.NextFlag; flag != ""; flag = r.NextFlag {
		r = ok[room.EraseUserReply](w, "eraseUser", fmt.Sprintf(`{"userID":"alice","nextFlag":%q}`, flag))
	}
	if total := ok[room.EraseUserReply](w, "eraseUser", `{"userID":"alice"}`); total.Erased != 0 || total.NextFlag != "" {
		t.Errorf("after all, there is %+v", total)
	}
	for n, instance := range ids {
		texts, deleted := w.pastOf(fmt.Sprintf("room %d", n), instance, "")
		if len(texts) != 4 || len(deleted) != 4 || slices.ContainsFunc(texts, func(s string) bool { return !strings.HasPrefix(s, "bob") }) {
			t.Errorf("in room %d is %q, deleted %v", n, texts, deleted)
		}
	}
}

// The client tells of deletions: those that it hears, and those of the time in which it was away.
func TestFollowDeletions(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{})
	ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"alice"}`)
	one := w.tell("lobby", "alice", "one")
	from := uint64(0)
	follow := func() func() worlds.Step {
		return worlds.Hear(t, w.Ctx, w.Client, client.MessagesRequest{RoomID: "lobby", AfterMessageSeq: &from})
	}
	live := follow()
	if s := live(); s.Message == nil || s.Message.Data != "one" {
		t.Fatalf("it hears %+v", s)
	}
	ok[room.DeleteMessagesReply](w, "deleteMessages", fmt.Sprintf(`{"roomID":"lobby","userID":"carol","messageSeqs":[%d]}`, one))
	if s := live(); !slices.Equal(s.Told.Deleted, []uint64{one}) || s.Told.Operator != "carol" || s.Told.Raw == nil || s.Note != client.NoteDeleted {
		t.Errorf("it is told of %+v", s)
	}
	two := w.tell("lobby", "alice", "two")
	if s := live(); s.Message == nil || s.Message.Data != "two" || s.Recovered || s.Lost || s.After != two-1 {
		t.Errorf("after the deletion it hears %+v", s)
	}
	later := follow()
	if s := later(); !slices.Equal(s.Told.Deleted, []uint64{one}) || s.Told.Operator != "" || s.Note != client.NoteDeleted {
		t.Errorf("later it is told of %+v", s)
	}
	if s := later(); s.Message == nil || s.Message.Data != "two" || !s.Recovered || s.Lost {
		t.Errorf("later it hears %+v", s)
	}
}

// The bytes are gone from the files in which the server keeps the stream: at once, and after the
// server has started again.
func TestErasedFromFiles(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	node := roomtest.Start(t, func(o *server.Options) { o.StoreDir = store })
	w := emptyWorld(t, node)
	w.Options = nil
	w.Start(roomsvc.Config{Instance: "i"})
	instance := ok[room.JoinedReply](w, "enter", `{"roomID":"lobby","userID":"alice"}`).InstanceID
	const secret, kept = "the words that nobody is to read", "the words that stay"
	filler := strings.Repeat("filler ", 1000)
	seq := w.tell("lobby", "alice", secret)
	for range 10 {
		w.tell("lobby", "", filler)
	}
	w.tell("lobby", "alice", secret)
	w.tell("lobby", "alice", kept)
	if roomtest.Holding(t, store, secret) == 0 || roomtest.Holding(t, store, kept) == 0 {
		t.Fatal("what was said is in no file of the store, so this test finds nothing")
	}
	ok[room.DeleteMessagesReply](w, "deleteMessages", fmt.Sprintf(`{"roomID":"lobby","messageSeqs":[%d]}`, seq))
	ok[room.DeleteMessagesReply](w, "deleteMessages", `{"roomID":"lobby","ofUserID":"alice"}`)
	w.tell("lobby", "alice", kept)
	look := func(when string) {
		if n := roomtest.Holding(t, store, secret); n > 0 {
			t.Errorf("%s %d files of the store hold what was erased", when, n)
		}
		if roomtest.Holding(t, store, kept) == 0 {
			t.Errorf("%s what was not erased is gone", when)
		}
		if texts, _ := w.pastOf("lobby", instance, ""); len(texts) != 11 {
			t.Errorf("%s there are %d messages", when, len(texts))
		}
	}
	look("at once")
	node.Restart()
	w.Until(patience, "the service to answer again", w.Try(func(ctx context.Context) bool {
		_, err := w.Client.Get(ctx, client.ReadRequest{RoomID: "lobby"})
		return err == nil
	}))
	look("after a restart")
}
