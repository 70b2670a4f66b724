package shape

import (
	"fmt"
	"strings"
	"testing"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/events"
)

// encode is a fact of room r-0 with one entry.
func encode(t *testing.T, sequence uint64, typ, user string) []byte {
	t.Helper()
	f := events.Fact{ID: "id", Type: typ, Time: 1, Room: "r-0", InstanceID: "i", Sequence: sequence}
	switch typ {
	case events.MemberJoined:
		f.Joined = []events.Joined{{UserID: user, SessionID: "default", JoinedAt: 1, Via: events.ViaEnter}}
	case events.MemberLeft:
		f.Left = []events.Left{{UserID: user, SessionID: "default", JoinedAt: 1, LeftAt: 2, Reason: events.ReasonLeft}}
	}
	data, err := f.Encode("")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReadFact(t *testing.T) {
	for _, c := range []struct {
		typ  string
		want fact
	}{
		{events.MemberJoined, fact{7, joins, 1, true}},
		{events.MemberLeft, fact{7, leaves, 1, true}},
		{events.RoomKept, fact{7, other, 0, false}},
	} {
		if got, err := readFact(encode(t, 7, c.typ, "u1"), []byte(`u1"`), nil); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.typ, got, err)
		}
	}
	got, err := readFact(encode(t, 7, events.MemberJoined, "u12"), []byte(`u1"`), func(k kind, user []byte) {
		if k != joins || !strings.HasPrefix(string(user), `u12"`) {
			t.Errorf("an entry of kind %d: %.20q", k, user)
		}
	})
	if err != nil || got.own {
		t.Errorf("%+v, %v", got, err)
	}
	// The envelope's sequence is enough: a number in a string.
	if got, err := readFact([]byte(`{"sequence":"00000000000000000012"}`), nil, nil); err != nil || got.sequence != 12 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := readFact([]byte(`{}`), nil, nil); err == nil {
		t.Error("a fact without a sequence passes")
	}
}

// account is a listener in r-0 since fact 2, and a client, neither of them connected.
func account(feeds bool) (*listener, *client) {
	cfg, at := &Config{Feeds: feeds}, newNames("r", 1)
	peerOf := func(user string) *peer {
		return &peer{cfg: cfg, at: at, user: user, own: []byte(user + `"`), last: make([]uint64, 1)}
	}
	l := &listener{peer: peerOf("l0"), since: []uint64{2}, first: []uint64{0}, joined: make([]int, 1), left: make([]int, 1)}
	return l, &client{peer: peerOf("u0"), in: -1, sid: roomSID, inside: make([]bool, 1)}
}

// say is a script: facts by their sequence, and who joins (+) or leaves (-).
func say(t *testing.T, take func(*wire.Msg) error, script string) error {
	t.Helper()
	for _, word := range strings.Fields(script) {
		var sequence uint64
		var sign byte
		var user string
		if _, err := fmt.Sscanf(word, "%d%c%s", &sequence, &sign, &user); err != nil {
			t.Fatal(word, err)
		}
		typ := events.MemberJoined
		if sign == '-' {
			typ = events.MemberLeft
		}
		if err := take(&wire.Msg{SID: roomSID, Subject: []byte("x.r-0"), Data: encode(t, sequence, typ, user)}); err != nil {
			return err
		}
	}
	return nil
}

// TestListenersAccount has a listener hear what a client did: in at 3, out at 5, in at 6.
func TestListenersAccount(t *testing.T) {
	kept := "3+u0 4+l1 5-u0 6+u0"
	for _, c := range []struct {
		name, heard string
		feeds       bool
		history     int
		want        string // what is wrong; empty: nothing
	}{
		{"all", "2+l0 " + kept, false, 0, ""},
		{"all on a feed", "2+l0 " + kept, true, 0, ""},
		{"one lost", "2+l0 3+u0 5-u0 6+u0", false, 0, "1 were lost"},
		{"one left to history", "2+l0 3+u0 5-u0 6+u0", true, 1, ""},
		{"two left to history", "2+l0 4+l1 6+u0", true, 2, ""},
		{"the first left to history", "3+u0 4+l1 5-u0 6+u0", true, 1, ""},
		{"the last lost", "2+l0 3+u0 4+l1 5-u0", false, 0, "did not hear facts 6 to 6"},
		{"the last left to history", "2+l0 3+u0 4+l1 5-u0", true, 1, ""},
		{"all left to history", "", true, 5, ""},
		{"doubled", "2+l0 3+u0 3+u0", true, 0, "doubled"},
		{"out of order", "2+l0 4+l1 3+u0", true, 0, "out of order"},
		{"an entry twice", "2+l0 3+u0 4+u0 5-u0 6+u0", false, 0, "heard 3 and 1"},
		{"another's", "2+l0 3+u0 4+l1 5-u9 6+u0", false, 0, "heard 2 and 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, u := account(c.feeds)
			u.entered, u.leftAgain = 2, 1
			err := say(t, l.take, c.heard)
			history := 0
			if err == nil {
				history, err = l.complete([]uint64{6}, []*client{u}, Truth{Facts: func(_ string, after, until uint64) (facts [][]byte, err error) {
					for i, word := range strings.Fields("2+l0 " + kept) {
						if n := uint64(i + 2); n > after && n <= until {
							err = say(t, func(m *wire.Msg) error { facts = append(facts, m.Data); return nil }, word)
						}
					}
					return facts, err
				}})
			}
			if c.want == "" && (err != nil || history != c.history) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%d left to history, %v", history, err)
			}
		})
	}
}

// TestHistoryWithHoles has history not know what a feed left to it.
func TestHistoryWithHoles(t *testing.T) {
	for name, facts := range map[string][][]byte{
		"none": nil, "another": {encode(t, 5, events.MemberJoined, "u0")}, "too many": {encode(t, 3, events.MemberJoined, "u0"), encode(t, 4, events.MemberLeft, "u0")},
	} {
		l, u := account(true)
		u.entered = 1
		if err := say(t, l.take, "2+l0 4+l1"); err != nil {
			t.Fatal(err)
		}
		_, err := l.complete([]uint64{4}, []*client{u}, Truth{Facts: func(string, uint64, uint64) ([][]byte, error) { return facts, nil }})
		if err == nil || !strings.Contains(err.Error(), "history") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientsAccount has a client hear rooms that it is in.
func TestClientsAccount(t *testing.T) {
	for _, c := range []struct {
		name, heard string
		feeds       bool
		in          int
		stays       []stay
		history     int
		want        string
	}{
		{"in and out", "3+u0 4+l1 5-u0", true, -1, []stay{{0, 3, 5}}, 0, ""},
		{"and in again", "3+u0 4-u0 7+u0 8+l1", true, 0, []stay{{0, 3, 4}, {0, 7, 0}}, 0, ""},
		{"one left to history", "3+u0 5-u0", true, -1, []stay{{0, 3, 5}}, 1, ""},
		{"its own entry left to history", "4+l1 5-u0", true, -1, []stay{{0, 3, 5}}, 1, ""},
		{"after its leaving", "3+u0 4-u0 5+l1", true, -1, []stay{{0, 3, 4}}, 0, "1 facts more"},
		{"after its leaving, and one was left to history", "3+u0 5-u0 6+l1", true, -1, []stay{{0, 3, 5}}, 0, "in which it was not"},
		{"before its entry", "2+l1 4-u0", true, -1, []stay{{0, 3, 4}}, 0, "in which it was not"},
		{"doubled", "3+u0 3+u0", true, -1, []stay{{0, 3, 5}}, 0, "doubled"},
		{"trusted, in", "3+u0 4+l1 8+l2", false, 0, []stay{{0, 3, 0}}, 0, "3 were lost"},
		{"trusted, to the end", "3+u0 4+l1 5+l2 6+l3 7+l4 8+l5", false, 0, []stay{{0, 3, 0}}, 0, ""},
		{"trusted, not to the end", "3+u0 4+l1", false, 0, []stay{{0, 3, 0}}, 0, "heard only 3 to 4"},
		{"trusted, not its own entry", "7+l4 8+l5", false, 0, []stay{{0, 3, 0}}, 0, "heard only 7 to 8"},
		{"trusted, nothing", "", false, 0, []stay{{0, 3, 0}}, 0, "heard only 0 to 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, u := account(c.feeds)
			u.in, u.stays = c.in, c.stays
			err := say(t, u.take, c.heard)
			history := 0
			if err == nil {
				history, err = u.complete([]uint64{8})
			}
			if c.want == "" && (err != nil || history != c.history) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%d left to history, %v", history, err)
			}
		})
	}
}
