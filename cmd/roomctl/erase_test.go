package main

import (
	"strings"
	"testing"

	"natsrooms/roomsvc/client"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	checkLines(t, url, []line{
		{[]string{"delete", "lobby"}, exitUsage, []string{"give the numbers of messages, or --of USER"}},
		{[]string{"delete", "lobby", "1", "--of", "alice"}, exitUsage, nil},
		{[]string{"delete", "lobby", "1"}, exitRefused, []string{`there is no room "lobby"`, "try: roomctl ls"}},
		{[]string{"enter", "lobby", "--as", "alice"}, exitOK, nil},
		{[]string{"send", "lobby", "one", "--as", "alice"}, exitOK, nil},
		{[]string{"send", "lobby", "two", "--as", "alice"}, exitOK, nil},
		{[]string{"send", "lobby", "three"}, exitOK, nil},
		{[]string{"send", "lobby", "four", "--as", "alice"}, exitOK, nil},
		{[]string{"delete", "lobby", "99"}, exitOK, []string{"none of them is kept in lobby; nothing was deleted\n"}},
		{[]string{"delete", "lobby", "1", "99"}, exitOK, []string{"deleted message 1 of lobby\n"}},
		{[]string{"delete", "lobby", "--of", "alice"}, exitOK, []string{"deleted messages 2, 4 of lobby\n"}},
		{[]string{"send", "lobby", "five", "--as", "alice"}, exitOK, nil},
		{[]string{"erase", "alice"}, exitOK, []string{"erased 1 message of alice, in all rooms\n"}},
		{[]string{"erase", "alice"}, exitOK, []string{"erased 0 messages of alice, in all rooms\n"}},
	})
	r := roomctl(t, "history", "lobby", "--messages", "-s", url)
	if r.want(t, exitOK, "three"); strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("what is left is\n%s", r.stdout)
	}
}

// What was deleted while nobody listened is shown without who did it.
func TestDeletedLine(t *testing.T) {
	t.Parallel()
	if got := strings.TrimSpace(plain.deleted(&client.Note{Deleted: []uint64{3, 5}})); got != "messages 3, 5 deleted" {
		t.Errorf("it is %q", got)
	}
}
