package main

import (
	"fmt"
	"time"

	"natsrooms/roomsvc/room"
)

// smallRoom is how many members the room has that the large one is compared with, and a page.
const smallRoom = 10

// bigRooms are a large room and a small one. They are filled once, since that takes long;
// whoever changes them changes them back.
type bigRooms struct {
	ids     [2]string
	members [2]int
	middle  string // where a page in the middle of the large one begins
}

// bigAndSmall fills them when they are first needed.
func (b *bench) bigAndSmall() (*bigRooms, error) {
	if b.big != nil {
		return b.big, nil
	}
	run := b.run + "big"
	if err := b.make(run, 2); err != nil {
		return nil, err
	}
	big := &bigRooms{ids: [2]string{roomName(run, 0), roomName(run, 1)}, members: [2]int{b.Members, smallRoom}}
	for i, id := range big.ids {
		_, err := b.each(big.members[i], min(big.members[i], b.InFlight), func(w, u int) error { return b.join(w, id, userName(u), nil) })
		if err != nil {
			return nil, err
		}
	}
	if err := b.settled(); err != nil {
		return nil, err
	}
	q := &room.MembersRequest{RoomID: big.ids[0], Page: room.Page{Count: min(room.MaxPage, max(1, b.Members/2))}}
	for seen := 0; seen < b.Members/2; {
		var page room.MembersReply
		if err := b.ask(0, room.Members, q, &page); err != nil {
			return nil, err
		}
		seen, q.NextFlag = seen+len(page.MemberList), page.NextFlag
	}
	big.middle, b.big = q.NextFlag, big
	return big, nil
}

// joinLarge compares joins into a large room with joins into a small one.
func (b *bench) joinLarge(string) (Result, error) { return b.visits("join into a room of 10", 0) }

// leaveLarge does so with leaves.
func (b *bench) leaveLarge(string) (Result, error) { return b.visits("leave of a room of 10", 1) }

// visits are joins that are each followed by the leave, in the large room and in the small one by
// turns. Only one of the two commands is timed.
func (b *bench) visits(baseline string, timed int) (Result, error) {
	big, err := b.bigAndSmall()
	if err != nil {
		return Result{}, err
	}
	r, err := b.byTurns(b.Count/30, baseline, func(i int) (took time.Duration, err error) {
		q := &room.RoomRequest{RoomID: big.ids[i%2], Caller: room.Caller{UserID: "visitor"}}
		for k, verb := range []room.Verb{room.Join, room.Leave} {
			at := time.Now()
			if err := b.ask(0, verb, q, nil); err != nil {
				return 0, err
			}
			if k == timed {
				took = time.Since(at)
			}
		}
		return took, nil
	})
	if err != nil {
		return Result{}, err
	}
	return r, b.verifyBig(big)
}

// membersLarge compares a page of members in the middle of a large room with all of a small one.
func (b *bench) membersLarge(string) (Result, error) {
	big, err := b.bigAndSmall()
	if err != nil {
		return Result{}, err
	}
	flags := [2]string{big.middle, ""}
	return b.inTurn(b.Count/30, "page of a room of 10", func(i int) error {
		q := &room.MembersRequest{RoomID: big.ids[i%2], Page: room.Page{Count: smallRoom, NextFlag: flags[i%2]}}
		var page room.MembersReply
		if err := b.ask(0, room.Members, q, &page); err != nil {
			return err
		}
		if len(page.MemberList) != smallRoom || page.MemberCount != big.members[i%2] {
			return fmt.Errorf("a page of %s has %d of %d members", q.RoomID, len(page.MemberList), page.MemberCount)
		}
		return nil
	})
}

// verifyBig checks that exactly those are in both rooms who were let in at first.
func (b *bench) verifyBig(big *bigRooms) error {
	for i, id := range big.ids {
		roster, err := b.roster(id)
		if err != nil {
			return err
		}
		want := map[string]bool{}
		for u := range big.members[i] {
			want[userName(u)] = true
		}
		for _, u := range roster.Users {
			if !want[u] {
				return fmt.Errorf("%s is in %s, but has left or never joined, or is listed twice", u, id)
			}
			delete(want, u)
		}
		for u := range want {
			return fmt.Errorf("%d users have joined %s and are not in it; one is %s", len(want), id, u)
		}
	}
	return nil
}
