package roomsvc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

// What becomes of every command, by who sends it and in which form. Each cell is tried in a room
// of its own, where hosts alone reach for what others own; its creator is the host.
//
//	outs  an outsider        memb  a member        host  its host
//	mute  a muted member     ban   one who was a member and is banned
//	blk   one who was a member and is blocked
//	none  in the trusted form, a back end that names no user
//
// A cell says done, or why not:
//
//	no   NOT_ALLOWED         out  USER_NOT_IN_ROOM      in   USER_ALREADY_IN_ROOM
//	ban  BANNED              mut  MUTED                 dup  ROOM_ALREADY_EXISTS
//	bad  PARAM_INVALID       blk  BLOCKED
const matrix = `
                     | user form, own connections      | user form, all trusted          | trusted form
                     | outs memb host mute ban  blk    | outs memb host mute ban  blk    | outs memb host mute ban  blk  none
create               | dup  dup  dup  dup  dup  blk    | dup  dup  dup  dup  dup  blk    | dup  dup  dup  dup  dup  blk  dup
create another       | done done done done done blk    | done done done done done blk    | done done done done done blk  done
join                 | done in   in   in   ban  blk    | done in   in   in   ban  blk    | done in   in   in   done blk  bad
join with a tab      | done done done done ban  blk    | done done done done ban  blk    | done done done done done blk  bad
enter                | done done done done ban  blk    | done done done done ban  blk    | done done done done done blk  bad
switch from it       | out  done done done out  blk    | out  done done done out  blk    | out  done done done out  blk  bad
switch to it         | done done done done ban  blk    | done done done done ban  blk    | done done done done done blk  bad
leave                | out  done done done out  blk    | out  done done done out  blk    | out  done done done out  out  bad
leaveAll             | done done done done done blk    | done done done done done blk    | done done done done done done bad
get                  | no   done done done no   blk    | done done done done ban  blk    | done done done done done done done
members              | no   done done done no   blk    | done done done done ban  blk    | done done done done done done done
count                | no   done done done no   blk    | done done done done ban  blk    | done done done done done done done
memberOf             | no   done done done no   blk    | done done done done ban  blk    | done done done done done done done
rooms                | done done done done done blk    | done done done done done blk    | done done done done done done bad
list                 | no   no   no   no   no   no     | no   no   no   no   no   no     | done done done done done done done
renew                | done done done done done blk    | done done done done done blk    | done done done done done done bad
history              | no   done done done no   blk    | done done done done ban  blk    | done done done done done done done
setAttributes        | out  done done done out  blk    | out  done done done out  blk    | out  done done done out  out  done
setAttributes force  | out  no   done no   out  blk    | out  no   done no   out  blk    | out  done done done out  out  done
setMemberAttributes  | out  done done done out  blk    | out  done done done out  blk    | out  done done done out  out  bad
setMemberAttributes of others
                     | out  no   done no   out  blk    | out  no   done no   out  blk    | out  done done done out  out  bad
updateMember         | out  done done done out  blk    | out  done done done out  blk    | out  done done done out  out  bad
send                 | out  done done mut  out  blk    | out  done done mut  out  blk    | out  done done done out  out  done
send where hosts speak
                     | out  no   done mut  out  blk    | out  no   done mut  out  blk    | out  done done done out  out  done
kick                 | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
setAccess            | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
destroy              | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
update               | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
setRole              | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
ban                  | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
ban itself           | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
unban                | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
unban itself         | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
mute                 | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
unmute itself        | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
deleteMessages       | no   done done done no   blk    | no   done done done no   blk    | done done done done done done done
deleteMessages of others
                     | no   no   done no   no   blk    | no   no   done no   no   blk    | done done done done done done done
eraseUser            | no   no   no   no   no   no     | no   no   no   no   no   no     | done done done done done done bad
instances            | no   no   no   no   no   no     | no   no   no   no   no   no     | done done done done done done done
block                | no   no   no   no   no   no     | no   no   no   no   no   no     | done done done done done done bad
unblock              | no   no   no   no   no   no     | no   no   no   no   no   no     | done done done done done done bad
blocked              | no   no   no   no   no   no     | no   no   no   no   no   no     | done done done done done done done
`

// deed is what a line of the matrix tries. In its texts ROOM is the cell's room, SIDE another
// room in which everybody is, ME who sends it, and EVE a member of ROOM.
type deed struct {
	fields string
	before string // the verb and body of a back end's command that comes first
}

var deeds = map[string]deed{
	"create":                        {fields: `"roomID":"ROOM"`},
	"create another":                {fields: `"roomID":"ROOM-new"`},
	"join":                          {fields: `"roomID":"ROOM"`},
	"join with a tab":               {fields: `"roomID":"ROOM","sessionID":"tab"`},
	"enter":                         {fields: `"roomID":"ROOM"`},
	"switch from it":                {fields: `"fromRoomID":"ROOM","toRoomInfo":{"roomID":"SIDE"}`},
	"switch to it":                  {fields: `"fromRoomID":"SIDE","toRoomInfo":{"roomID":"ROOM"}`},
	"leave":                         {fields: `"roomID":"ROOM"`},
	"leaveAll":                      {},
	"get":                           {fields: `"roomID":"ROOM","sync":true`},
	"members":                       {fields: `"roomID":"ROOM","sync":true`},
	"count":                         {fields: `"roomID":"ROOM","sync":true`},
	"memberOf":                      {fields: `"roomID":"ROOM","sync":true,"userIDs":["EVE"]`},
	"rooms":                         {},
	"list":                          {},
	"renew":                         {},
	"history":                       {fields: `"roomID":"ROOM","sync":true,"instanceID":"INSTANCE","afterSequence":0`},
	"setAttributes":                 {fields: `"roomID":"ROOM","set":{"mine":"1"}`},
	"setAttributes force":           {fields: `"roomID":"ROOM","set":{"eves":"1"},"isForce":true`},
	"setMemberAttributes":           {fields: `"roomID":"ROOM","userIDs":["ME"],"attributes":{"hand":"up"}`},
	"setMemberAttributes of others": {fields: `"roomID":"ROOM","userIDs":["EVE"],"attributes":{"hand":"up"}`},
	"updateMember":                  {fields: `"roomID":"ROOM","userName":"Another"`},
	"send":                          {fields: `"roomID":"ROOM","type":"text","data":"hello"`},
	"send where hosts speak":        {fields: `"roomID":"ROOM","type":"text","data":"hello"`, before: `update {"roomID":"ROOM","config":{"speakers":"hosts"}}`},
	"kick":                          {fields: `"roomID":"ROOM","userIDs":["EVE"]`},
	"setAccess":                     {fields: `"roomID":"ROOM","access":"listed","allow":["EVE"]`},
	"destroy":                       {fields: `"roomID":"ROOM"`},
	"update":                        {fields: `"roomID":"ROOM","roomName":"Another"`},
	"setRole":                       {fields: `"roomID":"ROOM","userIDs":["EVE","ME"],"role":"host"`},
	"ban":                           {fields: `"roomID":"ROOM","userIDs":["EVE"]`},
	"ban itself":                    {fields: `"roomID":"ROOM","userIDs":["ME"],"seconds":60`},
	"unban":                         {fields: `"roomID":"ROOM","userIDs":["EVE"]`},
	"unban itself":                  {fields: `"roomID":"ROOM","userIDs":["ME"]`},
	"mute":                          {fields: `"roomID":"ROOM","userIDs":["EVE"],"seconds":60`},
	"deleteMessages":                {fields: `"roomID":"ROOM","ofUserID":"ME"`},
	"deleteMessages of others":      {fields: `"roomID":"ROOM","ofUserID":"EVE"`, before: `send {"roomID":"ROOM","userID":"EVE","type":"text","data":"hello"}`},
	"eraseUser":                     {},
	"instances":                     {fields: `"roomID":"ROOM","sync":true`},
	"block":                         {fields: `"tokenID":"T"`},
	"unblock":                       {},
	"blocked":                       {},
	"unmute itself":                 {fields: `"roomID":"ROOM","userIDs":["ME"]`},
}

var cellCodes = map[*room.Code]string{
	room.ErrNotAllowed: "no", room.ErrUserNotInRoom: "out", room.ErrUserAlreadyInRoom: "in", room.ErrBanned: "ban", room.ErrMuted: "mut",
	room.ErrRoomAlreadyExists: "dup", room.ErrParamInvalid: "bad",
	room.ErrBlocked: "blk",
}

// row is a line of the matrix: what each of its groups wants of each of its columns.
type row struct {
	deed string
	want [3][]string
}

// readMatrix reads the matrix; a name that is too long stands on a line of its own.
func readMatrix(t *testing.T) (columns [3][]string, rows []row) {
	t.Helper()
	name := ""
	for i, line := range strings.Split(strings.Trim(matrix, "\n"), "\n") {
		cells := strings.Split(line, "|")
		name = strings.TrimSpace(name + cells[0])
		if len(cells) == 1 || i == 0 {
			continue
		}
		r := row{deed: name}
		for n := range r.want {
			r.want[n] = strings.Fields(cells[n+1])
		}
		if i == 1 {
			columns = r.want
		} else {
			rows = append(rows, r)
		}
		name = ""
	}
	return columns, rows
}

func TestMatrix(t *testing.T) {
	columns, rows := readMatrix(t)
	tried := map[string]bool{}
	for _, r := range rows {
		verb, _, _ := strings.Cut(r.deed, " ")
		tried[verb] = true
		if _, known := deeds[r.deed]; !known {
			t.Errorf("nobody knows how to try %q", r.deed)
		}
		for n := range columns {
			if len(r.want[n]) != len(columns[n]) {
				t.Errorf("%q says %v of %v", r.deed, r.want[n], columns[n])
			}
		}
	}
	for _, info := range room.Commands {
		if !tried[string(info.Verb)] {
			t.Errorf("%s is not in the matrix", info.Verb)
		}
	}
	if t.Failed() {
		return
	}
	for what, groups := range map[string][]int{"own connections": {0, 2}, "all trusted": {1, 2}} {
		t.Run(what, func(t *testing.T) {
			w, instances := newWorld(t, 2, roomsvc.Config{Feeds: groups[0] == 0})
			type cell struct {
				row
				group, column int
			}
			var cells []cell
			for _, r := range rows {
				for _, g := range groups {
					for c := range columns[g] {
						cells = append(cells, cell{r, g, c})
					}
				}
			}
			together(len(cells), func(n int) {
				c := cells[n]
				who := columns[c.group][c.column]
				got, err := tryDeed(w, instances, fmt.Sprintf("r%d", n), c.deed, who, c.group < 2)
				if want := c.want[c.group][c.column]; got != want {
					t.Errorf("%s by %s, trusted form %v: %s (%v); want %s", c.deed, who, c.group == 2, got, err, want)
				}
			})
		})
	}
}

// tryDeed makes a room and tries one cell in it.
func tryDeed(w *world, instances []*instance, id, name, who string, userForm bool) (got string, err error) {
	me := who + "-" + id
	host := "host-" + id
	names := strings.NewReplacer("ROOM", id, "SIDE", id+"-side", "ME", me, "EVE", "eve-"+id, "HOST", host)
	steps := []string{
		`create {"roomID":"ROOM","userID":"HOST","config":{"hosts":"creator","attributes":"owned","roomDestroyDelayTime":60}}`,
		`join {"roomID":"ROOM","userID":"EVE"}`,
		`setAttributes {"roomID":"ROOM","userID":"EVE","set":{"eves":"0"}}`,
		`create {"roomID":"SIDE","userID":"ME","config":{"roomDestroyDelayTime":60}}`,
	}
	if who == "none" {
		me = "eve-" + id // whom it is about, if anybody
	}
	switch who {
	case "memb", "mute", "ban", "blk":
		steps = append(steps, `join {"roomID":"ROOM","userID":"ME"}`)
	}
	switch who {
	case "mute":
		steps = append(steps, `mute {"roomID":"ROOM","userIDs":["ME"]}`)
	case "ban":
		steps = append(steps, `ban {"roomID":"ROOM","userIDs":["ME"],"reason":"spam"}`)
	}
	d := deeds[name]
	if d.before != "" {
		steps = append(steps, d.before)
	}
	if who == "blk" {
		steps = append(steps, `block {"userID":"ME"}`)
	}
	instance := ""
	for i, step := range steps {
		verb, body, _ := strings.Cut(names.Replace(step), " ")
		at, err := request[position](w, room.Verb(verb), raw(fmt.Sprintf(`{"requestID":"step %d of %s",`, i, id)+body[1:]), patience)
		if err != nil {
			return "not begun: " + step, err
		}
		if i == 0 {
			instance = at.InstanceID
		}
	}
	if who == "blk" {
		for _, i := range instances { // each knows, a moment after the one that took the command
			w.Until(patience, me+" to be refused everywhere", func() bool { return i.Admit(w.Ctx, bearerOf(me)) != nil })
		}
	}
	subject, _, _ := strings.Cut(name, " ")
	fields := strings.NewReplacer("ROOM", id, "SIDE", id+"-side", "ME", me, "EVE", "eve-"+id, "INSTANCE", instance).Replace(d.fields)
	switch {
	case userForm:
		subject += "." + me
	case who != "none":
		fields = fmt.Sprintf(`"userID":%q,`, me) + fields
	}
	_, err = request[map[string]any](w, room.Verb(subject), raw(strings.Replace(`{"requestID":"`+id+`",`+fields+"}", ",}", "}", 1)), patience)
	var refused *room.Error
	switch {
	case err == nil:
		return "done", nil
	case errors.As(err, &refused):
		for code, short := range cellCodes {
			if errors.Is(err, code) {
				return short, err
			}
		}
	}
	return "?", err
}

// raw is a body that is written out already.
func raw(body string) jsontext.Value { return jsontext.Value(body) }
