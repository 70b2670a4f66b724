package room_test

import (
	"testing"

	"pgregory.net/rapid"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

func TestPace(t *testing.T) {
	const start, second = 1_767_225_600_000_000, 1_000_000
	for _, limit := range []int{1, 2, 3, 7, 100, 999} {
		var p room.Pace
		if !p.Idle(start) {
			t.Error("nothing was sent, but something is counted")
		}
		for n := range limit {
			if wait := p.Take(start, limit, events.Low); wait != 0 {
				t.Errorf("%d a second: message %d waits %d", limit, n+1, wait)
			}
		}
		wait := p.Take(start, limit, events.Medium)
		if wait <= 0 || wait > second/int64(limit) {
			t.Errorf("%d a second: message %d waits %d", limit, limit+1, wait)
		}
		if again := p.Take(start, limit, events.Low); again != wait {
			t.Errorf("%d a second: a refused message is counted: %d, then %d", limit, wait, again)
		}
		if wait := p.Take(start, limit, events.High); wait != 0 {
			t.Errorf("%d a second: one of high priority waits %d", limit, wait)
		}
		if early := p.Take(start+wait-1, limit, events.Low); early != 1 {
			t.Errorf("%d a second: a microsecond early, it waits %d", limit, early)
		}
		if late := p.Take(start+wait, limit, events.Low); late != 0 {
			t.Errorf("%d a second: on time, it waits %d", limit, late)
		}
		if p.Idle(start+second-second/int64(limit)) && limit > 1 || !p.Idle(start+2*second) {
			t.Errorf("%d a second: idle too early or never", limit)
		}
	}
}

// No more than twice the limit passes in any second, and over a long time no more than
// the limit per second plus one second's worth; a sender that waits as told is not
// refused again.
func TestPaceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 999).Draw(t, "limit")
		var p room.Pace
		now, passed := int64(0), 0
		for range rapid.IntRange(1, 300).Draw(t, "messages") {
			now += rapid.Int64Range(0, 3_000_000/int64(limit)).Draw(t, "pause")
			wait := p.Take(now, limit, events.Low)
			if wait > 0 && rapid.Bool().Draw(t, "patient") {
				now += wait
				if wait = p.Take(now, limit, events.Low); wait != 0 {
					t.Fatalf("having waited, it must wait %d more", wait)
				}
			}
			if wait == 0 {
				passed++
			}
			if most := int64(limit) + now*int64(limit)/1_000_000 + 1 + now/1_000_000; int64(passed) > most {
				t.Fatalf("%d passed in %d us at %d a second", passed, now, limit)
			}
		}
	})
}

// Commands is complete: each verb once, with the types of its body and its reply.
func TestCommandTable(t *testing.T) {
	seen, trusted, hosts := map[room.Verb]bool{}, 0, 0
	for _, c := range room.Commands {
		if seen[c.Verb] || c.Verb == "" || c.Request == nil || c.Reply == nil || c.Means == "" {
			t.Errorf("%+v is there twice, or incomplete", c)
		}
		seen[c.Verb] = true
		if c.Trusted {
			trusted++
		}
		if c.Hosts {
			hosts++
		}
		if _, ok := c.Request.(interface{ For() *room.Caller }); !ok {
			t.Errorf("%s: its body has no caller", c.Verb)
		}
	}
	for _, v := range []room.Verb{room.Update, room.SetRole, room.Kick, room.Ban, room.Unban, room.Mute, room.Unmute, room.SetAccess, room.DestroyRoom} {
		if c := v.Info(); !c.Hosts || c.Trusted {
			t.Errorf("%s is not for hosts", v)
		}
		hosts--
	}
	for _, v := range []room.Verb{room.List, room.EraseUser, room.Instances, room.Block, room.Unblock, room.Blocked} {
		if c := v.Info(); !c.Trusted || c.Hosts {
			t.Errorf("%s is for everybody", v)
		}
		trusted--
	}
	if trusted != 0 || hosts != 0 {
		t.Errorf("%d commands more are for trusted callers only, and %d more for hosts, than should be", trusted, hosts)
	}
}
