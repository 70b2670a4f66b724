package room_test

import (
	"cmp"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// key is a record's key in the bucket: a room's, a member's, or that of what an absent
// user left behind.
type key struct {
	room subjects.Room
	user subjects.User
	kept bool
}

// bucket is the state bucket as of one fact.
type bucket map[key]string

// put writes what a fact changed.
func (b bucket) put(t tb, r subjects.Room, instance string, ch room.Changes) {
	put := func(k key, raw []byte, err error) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		b[k] = string(raw)
	}
	for _, u := range ch.Del {
		delete(b, key{r, u, false})
	}
	for _, m := range ch.Put {
		raw, err := m.Record(instance)
		put(key{r, m.User, false}, raw, err)
	}
	for _, k := range ch.Keep {
		if k.Nothing() {
			delete(b, key{r, k.User, true})
			continue
		}
		raw, err := k.Record(instance)
		put(key{r, k.User, true}, raw, err)
	}
	if ch.Head == nil {
		delete(b, key{r, "", false})
	} else {
		raw, err := ch.Head.Record(r)
		put(key{r, "", false}, raw, err)
	}
}

// load makes states from a bucket as a start does: a member counts only beside a head of
// its instance.
func load(t tb, b bucket) map[subjects.Room]*room.State {
	heads := map[subjects.Room]room.Head{}
	for k, raw := range b {
		if k.user == "" {
			h, err := room.DecodeHead([]byte(raw))
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			heads[k.room] = h
		}
	}
	members, kept := map[subjects.Room][]*room.Member{}, map[subjects.Room][]room.Kept{}
	for k, raw := range b {
		switch {
		case k.user == "":
		case k.kept:
			left, instance, err := room.DecodeKept(k.user, []byte(raw))
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			if instance == heads[k.room].InstanceID {
				kept[k.room] = append(kept[k.room], left)
			}
		default:
			m, instance, err := room.DecodeMember([]byte(raw))
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			if instance == heads[k.room].InstanceID {
				members[k.room] = append(members[k.room], m)
			}
		}
	}
	states := map[subjects.Room]*room.State{}
	for r, h := range heads {
		states[r] = room.NewState(r, h, members[r], kept[r])
	}
	return states
}

func compareKeys(a, b key) int {
	kept := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(kept[a.kept], kept[b.kept]), cmp.Compare(a.room, b.room), cmp.Compare(a.user, b.user))
}
