package subjects_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"natsrooms/subjects"
)

func TestToken(t *testing.T) {
	for id, token := range map[string]string{
		"lobby":                  "lobby",
		"A-Z_09":                 "A-Z_09",
		"a.b>c":                  "a=2Eb=3Ec",
		"* =/":                   "=2A=20=3D=2F",
		"=projected":             "=3Dprojected",
		"zimmer-ü":               "zimmer-=C3=BC",
		"日":                      "=E6=97=A5",
		"\U0001F389":             "=F0=9F=8E=89",
		"\uFFFD":                 "=EF=BF=BD",
		"\u00a0":                 "=C2=A0",
		strings.Repeat("x", 128): strings.Repeat("x", 128),
		strings.Repeat("é", 64):  strings.Repeat("=C3=A9", 64),
	} {
		r, err := subjects.ParseRoom(id)
		if err != nil || string(r) != id || r.Token() != token {
			t.Errorf("room %q: token %q, error %v; want token %q", id, r.Token(), err, token)
		}
		u, err := subjects.ParseUser(id)
		if err != nil || string(u) != id || u.Token() != token {
			t.Errorf("user %q: token %q, error %v; want token %q", id, u.Token(), err, token)
		}
		if r, err := subjects.RoomOfToken(token); err != nil || string(r) != id {
			t.Errorf("token %q: room %q, error %v; want %q", token, r, err, id)
		}
		if u, err := subjects.UserOfToken(token); err != nil || string(u) != id {
			t.Errorf("token %q: user %q, error %v; want %q", token, u, err, id)
		}
	}
}

func TestRefusedIDs(t *testing.T) {
	for id, want := range map[string]error{
		"":                             subjects.ErrEmpty,
		strings.Repeat("x", 129):       subjects.ErrTooLong,
		strings.Repeat("é", 64) + "x":  subjects.ErrTooLong,
		"a\xff":                        subjects.ErrNotUTF8,
		"\xed\xa0\x80":                 subjects.ErrNotUTF8, // a surrogate
		"\xc0\xae":                     subjects.ErrNotUTF8, // an overlong dot
		"a\nb":                         subjects.ErrControl,
		"\x00":                         subjects.ErrControl,
		"\x1f":                         subjects.ErrControl,
		"\x7f":                         subjects.ErrControl,
		"\u0080":                       subjects.ErrControl,
		"\u009f":                       subjects.ErrControl,
		"\uFDD0":                       subjects.ErrNoncharacter,
		"\uFDEF":                       subjects.ErrNoncharacter,
		"\uFFFE":                       subjects.ErrNoncharacter,
		"\uFFFF":                       subjects.ErrNoncharacter,
		"\U0001FFFE":                   subjects.ErrNoncharacter,
		"\U0010FFFF":                   subjects.ErrNoncharacter,
		strings.Repeat("\uFFFE", 1000): subjects.ErrTooLong,
	} {
		if _, err := subjects.ParseRoom(id); !errors.Is(err, want) {
			t.Errorf("room %q: error %v, want %v", id, err, want)
		}
		if _, err := subjects.ParseUser(id); !errors.Is(err, want) {
			t.Errorf("user %q: error %v, want %v", id, err, want)
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	for token, want := range map[string]error{
		"":                       subjects.ErrEmpty,
		subjects.KeyProjected:    subjects.ErrNotCanonical,
		subjects.KeyLeader:       subjects.ErrNotCanonical,
		"=":                      subjects.ErrNotCanonical,
		"a=":                     subjects.ErrNotCanonical,
		"a=2":                    subjects.ErrNotCanonical,
		"=2=2E":                  subjects.ErrNotCanonical,
		"==3D":                   subjects.ErrNotCanonical,
		"=41":                    subjects.ErrNotCanonical, // A
		"=2D":                    subjects.ErrNotCanonical, // -
		"=4a":                    subjects.ErrNotCanonical, // J, in lower-case hex
		"=2e":                    subjects.ErrNotCanonical,
		"=2G":                    subjects.ErrNotCanonical,
		"a.b":                    subjects.ErrNotCanonical,
		"*":                      subjects.ErrNotCanonical,
		">":                      subjects.ErrNotCanonical,
		"a b":                    subjects.ErrNotCanonical,
		"é":                      subjects.ErrNotCanonical,
		"=0A":                    subjects.ErrControl,
		"=FF":                    subjects.ErrNotUTF8,
		"=C3":                    subjects.ErrNotUTF8,
		"=EF=BF=BE":              subjects.ErrNoncharacter,
		"=EF=B7=90":              subjects.ErrNoncharacter,
		strings.Repeat("x", 129): subjects.ErrTooLong,
	} {
		if r, err := subjects.RoomOfToken(token); !errors.Is(err, want) || r != "" {
			t.Errorf("room of token %q: %q, error %v; want error %v", token, r, err, want)
		}
		if u, err := subjects.UserOfToken(token); !errors.Is(err, want) || u != "" {
			t.Errorf("user of token %q: %q, error %v; want error %v", token, u, err, want)
		}
	}
}

var tokenForm = regexp.MustCompile(`\A[A-Za-z0-9_=-]{1,384}\z`)

// FuzzID: an accepted ID has a token of its own that is legal everywhere; a refused ID
// has none, even if its encoding is built by hand.
func FuzzID(f *testing.F) {
	for _, id := range []string{"lobby", "a.b>c", "a=2Eb", "日", "a\nb", "\uFFFE", "\uFDD0", "=41", "", strings.Repeat(".", 129)} {
		f.Add(id, "A")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		r, err := subjects.ParseRoom(a)
		token := subjects.Room(a).Token()
		back, backErr := subjects.RoomOfToken(token)
		if (err == nil) != (backErr == nil) {
			t.Fatalf("%q: error %v, but its token: %v", a, err, backErr)
		}
		if err != nil {
			return
		}
		if back != r || string(r) != a {
			t.Fatalf("%q has the token %q, which is %q", a, token, back)
		}
		if !tokenForm.MatchString(token) {
			t.Fatalf("%q has the token %q", a, token)
		}
		if token == subjects.KeyProjected || token == subjects.KeyLeader {
			t.Fatalf("%q has one of the service's own keys, %q", a, token)
		}
		for _, subject := range []string{subjects.Facts(r), subjects.Journal(r), subjects.Messages(r), subjects.MessageJournal(r)} {
			facts, isFacts := subjects.RoomOfFacts(subject)
			messages, isMessages := subjects.RoomOfMessages(subject)
			if isFacts != (subject == subjects.Facts(r)) || isMessages != (subject == subjects.Messages(r)) || isFacts && facts != r || isMessages && messages != r {
				t.Fatalf("%q is of facts of %q, %v, and messages of %q, %v", subject, facts, isFacts, messages, isMessages)
			}
		}
		u, err := subjects.ParseUser(b)
		if err != nil {
			return
		}
		if a != b && u.Token() == token {
			t.Fatalf("%q and %q share the token %q", a, b, token)
		}
		kept, member := subjects.KeptKey(r, u), subjects.MemberKey(r, u)
		if kr, ku, ok := subjects.ParseKeptKey(kept); !ok || kr != r || ku != u {
			t.Fatalf("%q is of %q and %q, %v", kept, kr, ku, ok)
		}
		if _, _, _, ok := subjects.ParseKey(kept); ok {
			t.Fatalf("%q is taken for a room's or a member's key", kept)
		}
		if _, _, ok := subjects.ParseKeptKey(member); ok {
			t.Fatalf("%q is taken for the key of what somebody left behind", member)
		}
	})
}

// FuzzKeys: an accepted key of the bucket is the only key for what it stands for.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"lobby", "lobby.alice", "=kept.lobby.alice", "=kept.lobby", "=kept.", "=kept", "=kept.a=2Eb.c.d", subjects.KeyProjected, "."} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if r, u, ok := subjects.ParseKeptKey(key); ok && subjects.KeptKey(r, u) != key {
			t.Fatalf("%q is of %q and %q, whose key is %q", key, r, u, subjects.KeptKey(r, u))
		}
		switch r, u, member, ok := subjects.ParseKey(key); {
		case ok && member && subjects.MemberKey(r, u) != key:
			t.Fatalf("%q is of %q and %q, whose key is %q", key, r, u, subjects.MemberKey(r, u))
		case ok && !member && subjects.RoomKey(r) != key:
			t.Fatalf("%q is of %q, whose key is %q", key, r, subjects.RoomKey(r))
		}
	})
}

// FuzzToken: an accepted token is the only one for its ID.
func FuzzToken(f *testing.F) {
	for _, token := range []string{"lobby", "a=2Eb=3Ec", "=E6=97=A5", "=41", "=4a", "=2", "=", "a.b", "*", subjects.KeyProjected, subjects.KeyLeader} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		r, err := subjects.RoomOfToken(token)
		u, userErr := subjects.UserOfToken(token)
		if (err == nil) != (userErr == nil) || string(r) != string(u) {
			t.Fatalf("%q: room %q, %v; user %q, %v", token, r, err, u, userErr)
		}
		if err != nil {
			return
		}
		if _, err := subjects.ParseRoom(string(r)); err != nil {
			t.Fatalf("%q decodes to %q, which %v", token, r, err)
		}
		if r.Token() != token {
			t.Fatalf("%q decodes to %q, whose token is %q", token, r, r.Token())
		}
	})
}

// FuzzSessionKey: a session has a key of its own, which has two tokens and is none of the
// service's keys; an accepted key is the only one for its session.
func FuzzSessionKey(f *testing.F) {
	for _, s := range []string{"default", "tab.1", "a=2Eb", "é\x00", "=leader", "\xff", ""} {
		f.Add("alice", s, "alice."+s)
	}
	f.Fuzz(func(t *testing.T, user, session, key string) {
		if u, s, ok := subjects.ParseSessionKey(key); ok && subjects.SessionKey(u, s) != key {
			t.Errorf("%q is accepted, but the key of %q and %q is %q", key, u, s, subjects.SessionKey(u, s))
		}
		u, err := subjects.ParseUser(user)
		if err != nil {
			return
		}
		key = subjects.SessionKey(u, session)
		gotUser, gotSession, ok := subjects.ParseSessionKey(key)
		if want := session != "" && utf8.ValidString(session); ok != want || ok && (gotUser != u || gotSession != session) {
			t.Errorf("%q of %q and %q: %q, %q, %v", key, user, session, gotUser, gotSession, ok)
		}
		if strings.Count(key, ".") != 1 || strings.ContainsAny(key, " *>\x00") || key == subjects.KeyLeader || key == subjects.KeyAlive || key == subjects.KeyClock {
			t.Errorf("%q is the key of %q and %q", key, user, session)
		}
	})
}
