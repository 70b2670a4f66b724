package subjects

import (
	"errors"
	"testing"
)

func TestCheckHook(t *testing.T) {
	for subject, want := range map[string]error{
		"room.hook.send": nil, "room.hook.a.b": nil, "moderate": nil, "chat.moderate": nil, "rooms.ask": nil,
		"": ErrNoSubject, ".": ErrNoSubject, "a..b": ErrNoSubject, "a.*": ErrNoSubject, "a.>": ErrNoSubject, "a b": ErrNoSubject, "a.b\n": ErrNoSubject,
		"room": ErrReserved, "room.hook": ErrReserved, "room.hooks": ErrReserved, "room.cmd.send": ErrReserved, "room.journal.a": ErrReserved,
		"$SYS.REQ": ErrReserved, "$KV.rooms.a": ErrReserved, "_INBOX.a": ErrReserved,
	} {
		if err := CheckHook(subject); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", subject, err, want)
		}
	}
}
