package roomsvc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// utterance is a message of the model, by its number.
type utterance struct {
	seq              uint64
	user, text       string
	deleted, written bool // written: that it was deleted stands in its room's history
}

// model is what was said in some rooms, in order.
type model struct {
	w         *world
	rooms     []string
	instances map[string]string
	said      map[string][]*utterance
	count     int
}

func (m *model) say(id, user string) {
	m.count++
	text := fmt.Sprintf("%d of %s", m.count, user)
	m.said[id] = append(m.said[id], &utterance{seq: m.w.tell(id, user, text), user: user, text: text})
}

// take deletes messages by their numbers. by is who asks, a back end if it is empty.
func (m *model) take(rt *rapid.T, id, by string, seqs []uint64) {
	verb := "deleteMessages"
	if by != "" {
		verb += "." + by
	}
	body := fmt.Sprintf(`{"roomID":%q,"messageSeqs":%s}`, id, strings.ReplaceAll(fmt.Sprint(seqs), " ", ","))
	var want []uint64
	others := false
	for _, s := range m.said[id] {
		if slices.Contains(seqs, s.seq) && !s.deleted {
			want = append(want, s.seq)
			others = others || by != "" && s.user != by
		}
	}
	if others {
		m.w.Refused(room.ErrNotAllowed, verb, body)
		return
	}
	got := ok[room.DeleteMessagesReply](m.w, verb, body).MessageSeqs
	if slices.Sort(got); !slices.Equal(got, want) {
		rt.Fatalf("%q deletes %v of %v in %s; want %v", by, got, seqs, id, want)
	}
	m.gone(id, true, func(s *utterance) bool { return slices.Contains(want, s.seq) })
}

// gone notes what is deleted, and returns how many that are.
func (m *model) gone(id string, written bool, which func(*utterance) bool) (n int) {
	for _, s := range m.said[id] {
		if which(s) && !s.deleted {
			s.deleted, s.written = true, written
			n++
		}
	}
	return n
}

// takeAllOf deletes all that a user said in a room.
func (m *model) takeAllOf(rt *rapid.T, id, user string) {
	want := m.gone(id, true, func(s *utterance) bool { return s.user == user })
	got := 0
	for flag, more := "", true; more; more = flag != "" {
		r := ok[room.DeleteMessagesReply](m.w, "deleteMessages", fmt.Sprintf(`{"roomID":%q,"ofUserID":%q,"nextFlag":%q}`, id, user, flag))
		got, flag = got+len(r.MessageSeqs), r.NextFlag
	}
	if got != want {
		rt.Fatalf("%d messages of %s are deleted in %s; want %d", got, user, id, want)
	}
}

// erase erases all that a user said anywhere.
func (m *model) erase(rt *rapid.T, user string) {
	want, got := 0, 0
	for _, id := range m.rooms {
		want += m.gone(id, false, func(s *utterance) bool { return s.user == user })
	}
	for flag, more := "", true; more; more = flag != "" {
		r := ok[room.EraseUserReply](m.w, "eraseUser", fmt.Sprintf(`{"userID":%q,"nextFlag":%q}`, user, flag))
		got, flag = r.Erased, r.NextFlag
	}
	if got != want {
		rt.Fatalf("%d messages of %s are erased; want %d", got, user, want)
	}
}

// check compares what a reader finds with what was said and is not deleted.
func (m *model) check(rt *rapid.T, reader string) {
	for _, id := range m.rooms {
		var want []string
		for _, s := range m.said[id] {
			if !s.deleted {
				want = append(want, s.text)
			}
		}
		texts, deleted := m.w.pastOf(id, m.instances[id], reader)
		if !slices.Equal(texts, want) {
			rt.Fatalf("%q reads %q in %s; want %q", reader, texts, id, want)
		}
		for _, s := range m.said[id] {
			if told := slices.Contains(deleted, s.seq); told && !s.deleted || s.written && !told {
				rt.Fatalf("%q is told that %v is deleted in %s, and %q: deleted %v", reader, deleted, id, s.text, s.deleted)
			}
		}
	}
}

// Whatever is said, taken back, deleted and erased, by whomever and in whatever order: what is
// left is there, whole and in order, and nothing else.
func TestErasingModel(t *testing.T) {
	w, _ := newWorld(t, 2, roomsvc.Config{Feeds: true})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &model{w: w, instances: map[string]string{}, said: map[string][]*utterance{}}
		users := []string{fmt.Sprint("ann-", round), fmt.Sprint("ben-", round), fmt.Sprint("cat-", round)}
		for _, name := range []string{"hall", "yard"} {
			id := fmt.Sprint(name, "-", round)
			m.rooms = append(m.rooms, id)
			for _, u := range users {
				m.instances[id] = ok[room.JoinedReply](w, "enter."+u, fmt.Sprintf(`{"roomID":%q}`, id)).InstanceID
			}
		}
		for _, id := range m.rooms {
			for _, u := range users {
				m.say(id, u)
			}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			id, user := rapid.SampledFrom(m.rooms).Draw(rt, "room"), rapid.SampledFrom(users).Draw(rt, "user")
			some := func() (seqs []uint64) {
				for _, s := range rapid.SliceOfN(rapid.SampledFrom(m.said[id]), 1, 3).Draw(rt, "messages") {
					seqs = append(seqs, s.seq)
				}
				return seqs
			}
			switch rapid.SampledFrom([]string{"say", "say", "take back", "delete", "delete all", "erase"}).Draw(rt, "step") {
			case "say":
				m.say(id, user)
			case "take back":
				m.take(rt, id, user, some())
			case "delete":
				m.take(rt, id, "", some())
			case "delete all":
				m.takeAllOf(rt, id, user)
			case "erase":
				m.erase(rt, user)
			}
		}
		m.check(rt, rapid.SampledFrom(append(users, "")).Draw(rt, "reader"))
	})
}
