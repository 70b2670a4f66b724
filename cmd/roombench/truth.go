package main

import (
	"fmt"

	"natsrooms/cmd/roombench/shape"
	"natsrooms/roomsvc/room"
)

// truth is how clients' accounts are checked.
func (b *bench) truth() shape.Truth { return shape.Truth{Roster: b.roster, Facts: b.kept} }

// roster reads who is in a room, page by page. Nothing may happen there meanwhile.
func (b *bench) roster(id string) (shape.Roster, error) {
	var all shape.Roster
	q := &room.MembersRequest{RoomID: id, Freshness: room.Freshness{Sync: true}}
	for {
		var page room.MembersReply
		if err := b.ask(0, room.Members, q, &page); err != nil {
			return all, fmt.Errorf("members of %s: %w", id, err)
		}
		if all.Sequence != 0 && all.Sequence != page.Sequence {
			return all, fmt.Errorf("%s is still changing: its pages of members are as of fact %d and %d", id, all.Sequence, page.Sequence)
		}
		all.Sequence = page.Sequence
		for i := range page.MemberList {
			all.Users = append(all.Users, page.MemberList[i].UserID)
		}
		if page.NextFlag == "" {
			if len(all.Users) != page.MemberCount {
				return all, fmt.Errorf("members lists %d users in %s, and counts %d", len(all.Users), id, page.MemberCount)
			}
			return all, nil
		}
		q.NextFlag = page.NextFlag
	}
}

// kept reads a room's facts after one, up to another, from history.
func (b *bench) kept(id string, after, until uint64) (facts [][]byte, err error) {
	var now room.GetReply
	if err := b.ask(0, room.Get, &room.ReadRequest{RoomID: id}, &now); err != nil {
		return nil, err
	}
	for after < until {
		q := &room.HistoryRequest{RoomID: id, InstanceID: now.InstanceID, AfterSequence: &after, Count: int(min(until-after, room.MaxPage))}
		var page room.HistoryReply
		if err := b.ask(0, room.History, q, &page); err != nil {
			return nil, fmt.Errorf("history of %s: %w", id, err)
		}
		if len(page.Events) == 0 {
			break
		}
		for _, e := range page.Events {
			facts = append(facts, e)
		}
		after += uint64(len(page.Events))
	}
	return facts, nil
}
