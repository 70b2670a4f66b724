package room

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"natsrooms/subjects"
)

// Whatever a member has comes back when it is unpacked: also what a field has that is added
// some day.
func TestPackKeepsEverything(t *testing.T) {
	m := &Member{}
	n := 0
	fill(t, reflect.ValueOf(m).Elem(), &n)
	m.staying = map[string]struct{}{"stays": {}} // not exported
	if got := packMember(m).member(); !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, want %+v", got, m)
	}
	const number, form = 2, "00000000000000150175016e0000808080808040ac020101730a7801016b017600"
	if got := fmt.Sprintf("%x", packMember(&Member{User: "u", Name: "n", Since: 1 << 40, Order: 21, Revision: 300, Sessions: []MemberSession{{"s", 1<<40 + 5, 60}}, Attributes: map[string]string{"k": "v"}})); got != form || Packing != number {
		t.Errorf("packed is %s, form %d: another form needs another number, which goes into this test with it", got, Packing)
	}
	bare := &Member{User: "u", Sessions: []MemberSession{}}
	if got := packMember(bare).member(); !reflect.DeepEqual(got, bare) {
		t.Errorf("%+v, want %+v", got, bare)
	}
	late := &Member{User: "late", Since: -1 << 62, Order: ^uint64(0), Revision: ^uint64(0), Sessions: []MemberSession{{JoinedAt: 1 << 61, LeaseSeconds: -1}}}
	if got := packMember(late).member(); !reflect.DeepEqual(got, late) {
		t.Errorf("%+v, want %+v", got, late)
	}
}

// fill gives every exported field a value of its own.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), n)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, *n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, n)
			fill(t, value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("this test cannot fill a %v", v.Type())
	}
}

// A roster holds what a map does, in order, however it grows and shrinks.
func TestRosterIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var start []*Member
		model := map[subjects.User]*Member{}
		order := uint64(1000)
		join := func(u subjects.User, at uint64) *Member {
			model[u] = &Member{User: u, Name: string("of " + u), Order: at, Sessions: []MemberSession{{SessionID: "default"}}}
			return model[u]
		}
		for i := range rapid.SampledFrom([]int{0, 1, few, few + 1, 3 * few}).Draw(t, "at the start") {
			order++
			start = append(start, join(subjects.User(fmt.Sprint("u", i)), order))
		}
		s := NewState("lobby", Head{}, start, nil)
		user := rapid.Map(rapid.IntRange(0, 4*few), func(i int) subjects.User { return subjects.User(fmt.Sprint("u", i)) })
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { agrees(t, s, model, rapid.Uint64Range(0, order+1).Draw(t, "after")) },
			"join or change": func(t *rapid.T) {
				u := user.Draw(t, "user")
				if m := model[u]; m != nil {
					m.Sessions = append(m.Sessions, MemberSession{SessionID: "another"})
				} else {
					order++
					join(u, order)
				}
				s.members.place(model[u])
			},
			"join in the past": func(t *rapid.T) {
				if u := user.Draw(t, "user"); model[u] == nil {
					s.members.place(join(u, rapid.Uint64Range(0, order).Draw(t, "order")))
				}
			},
			"join again": func(t *rapid.T) {
				u := user.Draw(t, "user")
				order++
				s.members.place(join(u, order))
			},
			"leave": func(t *rapid.T) {
				u := user.Draw(t, "user")
				s.members.remove(u)
				delete(model, u)
			},
			"many leave": func(t *rapid.T) {
				keep := rapid.IntRange(1, 10).Draw(t, "keep one of")
				for i, u := range slices.Sorted(maps.Keys(model)) {
					if i%keep != 0 {
						s.members.remove(u)
						delete(model, u)
					}
				}
			},
		})
	})
}

func agrees(t *rapid.T, s *State, model map[subjects.User]*Member, after uint64) {
	if s.members.in != len(model) || len(s.members.list)-len(model) > max(len(model), few) {
		t.Fatalf("%d members in %d places, want %d", s.members.in, len(s.members.list), len(model))
	}
	last, n := after, 0
	s.After(after, func(m *Member) bool {
		if m.Order <= after || m.Order < last || !reflect.DeepEqual(m, model[m.User]) {
			t.Fatalf("after %d comes %+v, want %+v", last, m, model[m.User])
		}
		last = m.Order
		n++
		return true
	})
	for u, m := range model {
		if m.Order > after {
			n--
		}
		if !reflect.DeepEqual(s.Member(u), m) {
			t.Fatalf("%+v, want %+v", s.Member(u), m)
		}
	}
	if n != 0 || s.Member("nobody") != nil {
		t.Fatalf("%d members too many", n)
	}
}
