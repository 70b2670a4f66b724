package main

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
)

func TestTranscript(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	do := func(line string, more ...string) result {
		t.Helper()
		r := roomctl(t, append(append(strings.Fields(line), more...), "-s", url)...)
		r.want(t, exitOK)
		return r
	}
	roomctl(t, "transcript", "lobby", "-s", url).want(t, exitRefused, `"lobby"`, "try: roomctl ls")
	do("enter lobby --as alice --user-name Al --name Hall")
	do("join lobby --as bob")
	do("transcript lobby").want(t, exitOK, "What was said in lobby (Hall)\nnothing\n")
	do("send lobby --as alice", "first *words*\nin two lines")
	do("send lobby --as bob secret")
	do("update-member lobby --as alice --user-name Alice")
	do("send lobby --as alice", "<b>third</b>")
	do("send lobby closing --priority high")
	do("delete lobby --of bob --as bob")
	r := do("transcript lobby")
	r.want(t, exitOK, "  Al (alice): first *words*\n"+strings.Repeat(" ", 23)+"in two lines\n", "  [message 2 was deleted]\n", "  Alice (alice): <b>third</b>\n", "  the server: closing\n")
	if strings.Contains(r.stdout, "secret") {
		t.Error("what was deleted is there")
	}
	do("transcript lobby --format markdown").want(t, exitOK, "# lobby \\(Hall\\)\n", "\n## 2", " **Al \\(alice\\)**: first \\*words\\*  \n  in two lines\n- *message 2 was deleted*\n", "\\<b\\>third\\</b\\>")
	var doc transcript
	if err := json.Unmarshal([]byte(do("transcript lobby --json").stdout), &doc); err != nil || len(doc.Messages) != 4 || !doc.Messages[1].Deleted || doc.Messages[1].MessageSeq != 2 || doc.RoomName != "Hall" || !doc.Complete {
		t.Errorf("%v: %+v", err, doc)
	}
	if got := do("transcript lobby --json-lines").stdout; strings.Count(got, "\n") != 4 {
		t.Errorf("not a line for each message:\n%s", got)
	}
	// When the room has ended it is still there, also under its instance when there is another one.
	do("destroy lobby")
	if got := do("transcript lobby --json").stdout; !strings.Contains(got, doc.InstanceID) {
		t.Errorf("the last one is %s", got)
	}
	do("enter lobby --as carol --end-user")
	do("transcript lobby").want(t, exitOK, "nothing\n")
	do("transcript lobby --as carol --end-user").want(t, exitOK, "nothing\n")
	do("transcript lobby --instance "+doc.InstanceID).want(t, exitOK, "<b>third</b>")
}

func TestAttendance(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	do := func(line string) result {
		t.Helper()
		r := roomctl(t, append(strings.Fields(line), "-s", url)...)
		r.want(t, exitOK)
		return r
	}
	document := func(line string) (a attended) {
		t.Helper()
		if err := json.Unmarshal([]byte(do(line+" --json").stdout), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	roomctl(t, "attendance", "lobby", "-s", url).want(t, exitRefused, `"lobby"`, "try: roomctl ls")
	do("create lobby")
	do("attendance lobby").want(t, exitOK, "nobody was in lobby\n")
	do("enter lobby --as alice --user-name Alice")
	do("enter lobby --as bob")
	do("enter lobby --as bob --session phone")
	do("leave lobby --as bob")
	do("kick lobby bob")
	do("enter lobby --as bob")
	first := document("attendance lobby")
	if len(first.Stays) != 3 || first.Stays[0].UserName != "Alice" || first.Stays[1].Reason != events.ReasonKicked || first.Stays[2].LeftAt != 0 || first.Totals["bob"].Stays != 2 || !first.Complete {
		t.Errorf("%+v", first)
	}
	do("destroy lobby")
	do("enter lobby --as carol")
	if now := document("attendance lobby"); len(now.Stays) != 1 || now.Stays[0].UserID != "carol" {
		t.Errorf("now: %+v", now)
	}
	ended := document("attendance lobby --instance " + first.Stays[0].InstanceID)
	if len(ended.Stays) != 3 || ended.Stays[2].Reason != events.ReasonDestroyed {
		t.Errorf("the first instance: %+v", ended)
	}
	all := document("attendance lobby --from 2026-01-01T00:00:00Z")
	if len(all.Stays) != 4 || all.Totals["carol"].Stays != 1 {
		t.Errorf("all: %+v", all)
	}
	part := document("attendance lobby --from " + all.Stays[0].JoinedAt.String() + " --to " + (all.Stays[0].JoinedAt + 1).String())
	if len(part.Stays) == 0 || part.Stays[0].SpentMs != 1 || part.Stays[0].Reason != "" {
		t.Errorf("a millisecond: %+v", part)
	}
	if early := document("attendance lobby --to 2001-01-01T00:00:00Z"); len(early.Stays) != 0 {
		t.Errorf("long before: %+v", early)
	}
	do("attendance lobby --format csv --from 2026-01-01T00:00:00Z").want(t, exitOK, "user,name,instance,joined,left,seconds,reason\nalice,Alice,"+first.Stays[0].InstanceID+",", ",destroyed\n")
	do("attendance lobby --sum").want(t, exitOK, "USER ", "carol      1  ")
	if got := do("attendance lobby --from 2026-01-01T00:00:00Z --json-lines").stdout; strings.Count(got, "\n") != 4 {
		t.Errorf("not a line for each stay:\n%s", got)
	}
}

// A spreadsheet takes nothing that users have chosen for a formula.
func TestInert(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "alice": "alice", "=1+1": "'=1+1", "@x": "'@x", "+49 30 1234": "+49 30 1234", "-3": "-3", "+cmd|x": "'+cmd|x", "-a": "'-a", "\tx": "'\tx", "a=b": "a=b",
	} {
		if got := inert(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}
