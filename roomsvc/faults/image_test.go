package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

const (
	overImage    = "starting over an image"
	withoutImage = "starting without an image"
)

// imaged is the settings of an instance that leaves an image, which it does not have yet.
func (w *world) imaged() roomsvc.Config {
	return roomsvc.Config{Image: roomsvc.ReadImage(filepath.Join(w.T.TempDir(), "image"))}
}

// left waits until an instance with these settings has left its first image.
func (w *world) left(cfg roomsvc.Config) {
	w.T.Helper()
	w.Until(worlds.Patience, "an image", func() bool { _, err := os.Stat(cfg.Image.Path); return err == nil })
}

// A start over an image knows everything: what the image has, what has happened since, and
// what became of requests before and after it.
func TestImage(t *testing.T) {
	for what, end := range map[string]func(*worlds.Instance){"in order": (*worlds.Instance).End, "killed": (*worlds.Instance).Kill} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.imaged()
			i := w.Start(cfg, nats.NoReconnect())
			w.live(0)
			ask := func(user string) *room.JoinedReply {
				return worlds.OK[room.JoinedReply](w.World, "enter", fmt.Sprintf(`{"roomID":"busy","userID":%q,"requestID":"of %s"}`, user, user))
			}
			early := ask("early")
			w.left(cfg)
			w.live(1)
			late := ask("late")
			before := w.Check()
			end(i)
			i = w.Start(cfg, nats.NoReconnect())
			i.Said(overImage)
			for user, was := range map[string]*room.JoinedReply{"early": early, "late": late} {
				if again := ask(user); again.Position != was.Position {
					t.Errorf("%s entered at %+v, and again at %+v", user, was.Position, again.Position)
				}
			}
			after := w.Check()
			for id, r := range before {
				if after[id] == nil || r.Instance != after[id].Instance || !slices.Equal(r.List(), after[id].List()) {
					t.Errorf("%q was %+v, is %+v", id, r, after[id])
				}
			}
			w.live(2)
		})
	}
}

// What the bucket lost, or has too many, is found after a start over an image, which does not
// read it.
func TestBucketIsMendedAfterAnImage(t *testing.T) {
	type messages = []*jetstream.RawStreamMsg
	key := func(k string) string { return subjects.KV(subjects.BucketState, k) }
	is := func(k string) func(m *jetstream.RawStreamMsg) bool {
		return func(m *jetstream.RawStreamMsg) bool { return m.Subject == key(k) }
	}
	without := func(k string) func(messages) messages {
		return func(all messages) messages { return slices.DeleteFunc(all, is(k)) }
	}
	for what, damage := range map[string]func(messages) messages{
		"a member is missing":        without("quiet.alice"),
		"a room is missing":          without("quiet"),
		"a young member is missing":  without("busy.u1-3"),
		"everything but its mark is": func(all messages) messages { return all[len(all)-1:] },
		"a member too many": func(all messages) messages {
			ghost := *all[slices.IndexFunc(all, is("busy.u1-3"))]
			ghost.Subject, ghost.Data = key("busy.ghost"), []byte(strings.ReplaceAll(string(ghost.Data), "u1-3", "ghost"))
			return append(messages{&ghost}, all...)
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.imaged()
			i := w.Start(cfg)
			w.live(0)
			w.left(cfg)
			w.live(1)
			i.End()
			w.rebuild(subjects.StreamState, damage(w.messages(subjects.StreamState)), nil)
			i = w.Start(cfg)
			i.Said(overImage)
			w.Until(worlds.Patience, "a look at the bucket", func() bool {
				return strings.Contains(i.Log.String(), "the bucket lacked what the journal has")
			})
			w.Join("quiet", "late") // so that the bucket's mark shows when the bucket is in order
			w.Check()
		})
	}
}

// An image that is newer than the bucket brings into the bucket what it lacks: who came, who
// left and with what, and which rooms ended.
func TestImageNewerThanTheBucket(t *testing.T) {
	w := newWorld(t)
	cfg := w.imaged()
	attributes := func(user, attributes string) {
		worlds.OK[room.SetMemberAttributesReply](w.World, "setMemberAttributes", fmt.Sprintf(`{"roomID":"busy","userID":%[1]q,"userIDs":[%[1]q],"attributes":%[2]s,"isDeleteAfterOwnerLeft":false}`, user, attributes))
	}
	var yesterday []*jetstream.RawStreamMsg
	w.Start(roomsvc.Config{}).EndAfter(func() {
		w.live(0)
		w.Join("busy", "back")
		attributes("back", `{"seat":"1"}`)
		w.Leave("busy", "back")
		w.Check()
		yesterday = w.messages(subjects.StreamState)
		w.live(1)
		w.Join("busy", "back")
		w.Join("busy", "gone")
		attributes("gone", `{"seat":"2"}`)
		w.Leave("busy", "gone")
		w.Create("ends", 3600, "again")
	})
	w.Start(cfg).EndAfter(func() { w.left(cfg) })
	w.rebuild(subjects.StreamState, yesterday, nil)
	i := w.Start(cfg)
	i.Said(overImage)
	w.Join("quiet", "late")
	w.Check()
	w.Until(worlds.Patience, "a comparison", func() bool { return strings.Contains(i.Log.String(), "compared the bucket") })
	i.Said("lacks=false")
	if back := w.Join("busy", "gone"); back.Room.MemberCount == 0 {
		t.Errorf("%+v", back)
	}
	w.live(2)
}

// An image is not used if the journal or the bucket does not go on from it, whichever of them
// was replaced, nor if the file is damaged.
func TestImageThatDoesNotFit(t *testing.T) {
	for what, c := range map[string]struct {
		grow bool // the old journal has grown again
		harm func(t *testing.T, path string)
		next int // the time that passes in the rooms afterwards
	}{
		"newer than the journal":       {next: 1},
		"of a time that never was":     {grow: true, next: 1},
		"torn, of the same deployment": {harm: truncate, next: 2},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.imaged()
			w.Start(roomsvc.Config{}).EndAfter(func() { w.live(0) })
			w.Node.Stop()
			journal, bucket := w.copyOf(subjects.StreamRooms), w.copyOf(subjects.StreamState)
			w.Node.Start()
			w.Start(roomsvc.Config{}).EndAfter(func() { w.live(1) })
			w.Start(cfg).EndAfter(func() { w.left(cfg) })
			w.Node.Stop()
			if c.harm == nil {
				w.restore(subjects.StreamRooms, journal)
				w.restore(subjects.StreamState, bucket)
			} else {
				c.harm(t, cfg.Image.Path)
			}
			w.Node.Start()
			if c.grow {
				w.Start(roomsvc.Config{}).EndAfter(func() {
					for n := range 60 {
						w.Join("busy", fmt.Sprintf("refill%d", n))
					}
					w.Check()
				})
			}
			i := w.Start(cfg)
			i.Said(withoutImage)
			before := w.Check()
			if (before["new1"] != nil) != (c.harm != nil) {
				t.Errorf("the rooms are %v", before)
			}
			w.live(c.next)
		})
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-1)
	}
	if err != nil {
		t.Fatal(err)
	}
}
