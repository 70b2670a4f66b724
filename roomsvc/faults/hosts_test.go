package faults_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// standing is what a room says about itself, its members, and whom it keeps out.
func (w *world) standing() string {
	w.T.Helper()
	get := worlds.OK[room.GetReply](w.World, "get", `{"roomID":"lobby","sync":true}`)
	out := fmt.Sprintf("%q hosts=%s delay=%d\nbans %v\nmutes %v\n", get.Room.RoomName, get.Room.Config.Hosts, get.Room.Config.RoomDestroyDelayTime, get.Bans, get.Mutes)
	for _, m := range worlds.OK[room.MembersReply](w.World, "members", `{"roomID":"lobby","sync":true}`).MemberList {
		out += fmt.Sprintf("%s %q %s %q %v\n", m.UserID, m.UserName, m.UserInfo, m.Role, m.Attributes)
	}
	return out
}

// populate makes a room with members of every standing.
func (w *world) populate() {
	w.T.Helper()
	for _, step := range []string{
		`create {"roomID":"lobby","userID":"alice","config":{"hosts":"creator","roomDestroyDelayTime":60}}`,
		`join {"roomID":"lobby","userID":"bob"}`, `join {"roomID":"lobby","userID":"carol"}`, `join {"roomID":"lobby","userID":"dave"}`, `join {"roomID":"lobby","userID":"eve"}`,
		`setMemberAttributes {"roomID":"lobby","userID":"carol","userIDs":["carol"],"attributes":{"seat":"1"},"isDeleteAfterOwnerLeft":false}`,
		`setRole {"roomID":"lobby","userIDs":["bob","dave"],"role":"host"}`,
		`setRole {"roomID":"lobby","userIDs":["alice"],"role":"member"}`,
		`update {"roomID":"lobby","roomName":"Hall","config":{"roomDestroyDelayTime":600}}`,
		`updateMember {"roomID":"lobby","userID":"eve","userName":"Eve","userInfo":{"a":1}}`,
		`mute {"roomID":"lobby","userIDs":["eve"],"reason":"loud"}`,
		`ban {"roomID":"lobby","userIDs":["carol","mallory"],"reason":"spam"}`,
		`ban {"roomID":"lobby","userIDs":["peggy"],"seconds":3600}`,
		`ban {"roomID":"lobby","userIDs":["trent"]}`, `unban {"roomID":"lobby","userIDs":["trent"]}`,
		`leave {"roomID":"lobby","userID":"dave"}`,
	} {
		verb, body, _ := strings.Cut(step, " ")
		worlds.OK[room.Position](w.World, verb, body)
	}
}

// Roles, bans, mutes and what was changed of rooms and members outlive whatever happens to
// instances, the bucket and the image.
func TestHostsOutliveEverything(t *testing.T) {
	for what, turn := range map[string]func(w *world, cfg roomsvc.Config){
		"another instance": func(w *world, cfg roomsvc.Config) {
			first := w.Start(roomsvc.Config{})
			w.Start(roomsvc.Config{})
			w.populate()
			was := w.standing()
			first.End()
			if is := w.standing(); is != was {
				w.T.Errorf("%s\nbecame\n%s", was, is)
			}
		},
		"a death": func(w *world, cfg roomsvc.Config) {
			w.turn(roomsvc.Config{}, (*worlds.Instance).Kill, func() {})
		},
		"a lost bucket": func(w *world, cfg roomsvc.Config) {
			w.turn(roomsvc.Config{}, (*worlds.Instance).End, func() {
				if err := w.JS.DeleteStream(w.Ctx, subjects.StreamState); err != nil {
					w.T.Fatal(err)
				}
			})
		},
		"a start from the bucket": func(w *world, cfg roomsvc.Config) {
			w.turn(brief, (*worlds.Instance).End, func() {})
		},
		"an image from before": func(w *world, cfg roomsvc.Config) {
			w.Start(cfg).EndAfter(func() { w.live(0); w.left(cfg) })
			w.turn(cfg, (*worlds.Instance).Kill, func() {}).Said(overImage)
		},
		"an image newer than the bucket": func(w *world, cfg roomsvc.Config) {
			w.Start(roomsvc.Config{}).EndAfter(func() { w.live(0) })
			yesterday := w.messages(subjects.StreamState)
			end := func(i *worlds.Instance) { w.left(cfg); i.End() }
			w.turn(cfg, end, func() { w.rebuild(subjects.StreamState, yesterday, nil) }).Said(overImage)
			was := w.standing()
			w.Projected(w.Facts()[len(w.Facts())-1])
			w.Start(roomsvc.Config{}) // it reads the bucket
			if is := w.standing(); is != was {
				w.T.Errorf("%s\nbecame\n%s", was, is)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			turn(w, w.imaged())
			for _, user := range []string{"carol", "mallory", "peggy"} {
				w.Refused(room.ErrBanned, "enter."+user, `{"roomID":"lobby"}`)
			}
			w.Refused(room.ErrMuted, "send.eve", `{"roomID":"lobby","type":"text","data":"hello"}`)
			w.Refused(room.ErrNotAllowed, "kick.alice", `{"roomID":"lobby","userIDs":["eve"]}`)
			worlds.OK[room.Position](w.World, "enter.trent", `{"roomID":"lobby"}`)
			worlds.OK[room.Position](w.World, "enter.dave", `{"roomID":"lobby"}`)
			worlds.OK[room.RestrictedReply](w.World, "unban.dave", `{"roomID":"lobby","userIDs":["carol"]}`)
			worlds.OK[room.Position](w.World, "enter.carol", `{"roomID":"lobby"}`)
			if s := w.standing(); !strings.Contains(s, `carol "" null "" map[seat:1]`) {
				t.Errorf("%s", s)
			}
			w.Check()
		})
	}
}

// turn populates a room, ends the instance, lets something happen and starts another, which must
// find the room as it was.
func (w *world) turn(cfg roomsvc.Config, end func(*worlds.Instance), happens func()) *worlds.Instance {
	w.T.Helper()
	i := w.Start(cfg, nats.NoReconnect())
	w.populate()
	was := w.standing()
	end(i)
	happens()
	i = w.Start(cfg, nats.NoReconnect())
	if is := w.standing(); is != was {
		w.T.Errorf("%s\nbecame\n%s", was, is)
	}
	return i
}

// An instance that dies when those whom it bans are out, but the ban is not stored, leaves a
// request that can be repeated and is carried through then.
func TestDeathInTheMiddleOfABan(t *testing.T) {
	w := newWorld(t)
	bad := newProxy(t, w.Node.ClientURL())
	i := w.StartAt(bad.url, roomsvc.Config{Instance: "far"}, nats.NoReconnect())
	w.Create("lobby", 3600, "alice")
	w.Join("lobby", "carol")
	bad.on(nil, func(f *frame) fate {
		return fate{lose: bytes.Contains(f.body, []byte(events.RoomAccessChanged))}
	})
	const ban = `{"roomID":"lobby","userID":"ops","userIDs":["carol","mallory"],"seconds":600,"requestID":"r"}`
	if err := w.NC.PublishRequest("room.cmd.ban", w.NC.NewInbox(), []byte(ban)); err != nil {
		t.Fatal(err)
	}
	w.Until(patience, "the second fact to be lost", func() bool { return bad.lost.Load() > 0 })
	i.Kill()
	w.Start(roomsvc.Config{Instance: "near"})
	if get := w.Get("lobby"); get.Room.MemberCount != 1 || len(get.Bans) != 0 {
		t.Fatalf("%+v", get)
	}
	worlds.OK[room.Position](w.World, "enter.carol", `{"roomID":"lobby"}`) // she is quick
	first := worlds.OK[room.RestrictedReply](w.World, "ban", ban)
	again := worlds.OK[room.RestrictedReply](w.World, "ban", ban)
	if first.Position != again.Position || first.Until != again.Until || !slices.Equal(first.UserIDs, []string{"carol", "mallory"}) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	w.Refused(room.ErrBanned, "enter.carol", `{"roomID":"lobby"}`)
	w.Check()
}
