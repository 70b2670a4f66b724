package roomsvc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
)

// A host runs its room with a client that may do no more than an end user's.
func TestAHostsClient(t *testing.T) {
	w, _ := newWorld(t, 1, roomsvc.Config{Feeds: true})
	of := func(user string) *client.Client {
		c := client.New(w.NC, client.Config{UserID: user, UserForm: true})
		t.Cleanup(c.Close)
		return c
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	alice, bob, carol := of("alice"), of("bob"), of("carol")
	_, err := alice.Create(w.Ctx, client.CreateRequest{RoomID: "lobby", Config: &client.RoomConfig{Hosts: "creator"}})
	must(err)
	notices, err := carol.States(w.Ctx)
	must(err)
	states := stepping(t, notices)
	for _, c := range []*client.Client{bob, carol} {
		_, err := c.Join(w.Ctx, client.RoomRequest{RoomID: "lobby"})
		must(err)
	}
	watching := stepping(t, alice.Watch(w.Ctx, client.WatchRequest{RoomID: "lobby"}))
	roster := watching.step().Roster
	sees := func(typ, want string) *client.Fact {
		t.Helper()
		u := watching.step()
		var got []string
		for m := range u.Roster.All() {
			got = append(got, fmt.Sprintf("%s %s %s", m.UserID, m.UserName, m.Role))
		}
		if u.Fact == nil || u.Fact.Type != typ || strings.Join(got, ", ") != want {
			t.Fatalf("%+v: %q, want %s: %q", u.Fact, got, typ, want)
		}
		if typ != client.MemberLeft { // a ban follows
			w.shows(alice, u.Roster)
		}
		return u.Fact
	}
	if m, _ := roster.Member("alice"); m.Role != client.RoleHost {
		t.Errorf("the creator is %+v", m)
	}

	if _, err := bob.Kick(w.Ctx, client.KickRequest{RoomID: "lobby", UserIDs: []string{"carol"}}); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("a member who is no host kicks: %v", err)
	}
	role, err := alice.SetRole(w.Ctx, client.SetRoleRequest{RoomID: "lobby", UserIDs: []string{"bob", "dora"}, Role: "host"})
	if err != nil || !slices.Equal(role.UserIDs, []string{"bob"}) || len(role.ErrorUserList) != 1 {
		t.Errorf("%+v, %v", role, err)
	}
	sees(client.MemberUpdated, "alice  host, bob  host, carol  ")

	muted, err := bob.Mute(w.Ctx, client.RestrictRequest{RoomID: "lobby", UserIDs: []string{"carol"}, Seconds: 600, Reason: "too loud"})
	must(err)
	if f := sees(client.RoomAccessChanged, "alice  host, bob  host, carol  "); len(f.Mutes) != 1 || f.Mutes[0] != (client.Restriction{UserID: "carol", Until: muted.Until, Reason: "too loud"}) {
		t.Errorf("the fact of a mute is %+v", f)
	}
	var refused *client.Error
	say := client.SendRequest{RoomID: "lobby", Type: "text", Data: "hello"}
	if _, err := carol.Send(w.Ctx, say); !errors.Is(err, client.ErrMuted) || !errors.As(err, &refused) || refused.Until != muted.Until || time.Until(muted.Until.Time()) > 10*time.Minute {
		t.Errorf("somebody who is muted says something: %v", err)
	}
	_, err = bob.Unmute(w.Ctx, client.LiftRequest{RoomID: "lobby", UserIDs: []string{"carol"}})
	must(err)
	sees(client.RoomAccessChanged, "alice  host, bob  host, carol  ")
	_, err = carol.Send(w.Ctx, say)
	must(err)

	update, err := alice.Update(w.Ctx, client.UpdateRequest{RoomID: "lobby", RoomName: new("The lobby"), Config: &client.ConfigUpdate{Speakers: new("hosts")}})
	if err != nil || update.RoomName != "The lobby" || update.Config.Speakers != "hosts" || update.Config.Hosts != "creator" {
		t.Errorf("%+v, %v", update, err)
	}
	sees(client.RoomUpdated, "alice  host, bob  host, carol  ")
	if _, err := carol.Send(w.Ctx, say); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("where only hosts speak, a member does: %v", err)
	}
	updated, err := carol.UpdateMember(w.Ctx, client.RoomRequest{Caller: client.Caller{UserName: "Carol"}, RoomID: "lobby"})
	if err != nil || updated.Member.UserName != "Carol" {
		t.Errorf("%+v, %v", updated, err)
	}
	sees(client.MemberUpdated, "alice  host, bob  host, carol Carol ")
	_, err = alice.Update(w.Ctx, client.UpdateRequest{RoomID: "lobby", Config: &client.ConfigUpdate{Hosts: new("none")}})
	must(err)
	sees(client.RoomUpdated, "alice  , bob  host, carol Carol ")

	banned, err := bob.Ban(w.Ctx, client.RestrictRequest{RoomID: "lobby", UserIDs: []string{"carol"}, Seconds: 600, Reason: "spam"})
	must(err)
	if f := sees(client.MemberLeft, "alice  , bob  host"); f.Left[0].Reason != client.ReasonKicked || f.Left[0].ReasonText != "spam" {
		t.Errorf("who is banned leaves by %+v", f)
	}
	sees(client.RoomAccessChanged, "alice  , bob  host")
	n := states.step()
	for n.State != client.Disconnected {
		n = states.step()
	}
	if n.Event != client.KickedOut || n.Error == nil || n.Error.Code != client.ErrBanned.Name || n.Error.Until != banned.Until || n.ReasonText != "spam" {
		t.Errorf("who is banned is told %+v, %+v", n, n.Error)
	}
	if _, err := carol.Enter(w.Ctx, client.CreateRequest{RoomID: "lobby"}); !errors.Is(err, client.ErrBanned) || !errors.As(err, &refused) || refused.Until != banned.Until {
		t.Errorf("who is banned comes back: %v", err)
	}
	for c, want := range map[*client.Client]int{alice: 0, bob: 1} {
		got, err := c.Get(w.Ctx, client.ReadRequest{RoomID: "lobby"})
		if err != nil || len(got.Bans) != want || got.More {
			t.Errorf("bans are %+v, want %d of them; %v", got.Bans, want, err)
		}
	}
	_, err = bob.Unban(w.Ctx, client.LiftRequest{RoomID: "lobby", UserIDs: []string{"carol"}})
	must(err)
	sees(client.RoomAccessChanged, "alice  , bob  host")
	_, err = carol.Enter(w.Ctx, client.CreateRequest{RoomID: "lobby"})
	must(err)
	sees(client.MemberJoined, "alice  , bob  host, carol  ")
}
