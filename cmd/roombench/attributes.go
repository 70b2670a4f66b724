package main

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

// attributeKeys is how many attributes the members of attributes-hot share.
const attributeKeys = 64

// attributes measures members of one room who set its attributes, each time to a value
// that contains the user and a running number.
func (b *bench) attributes(run string) (Result, error) {
	if err := b.make(run, 1); err != nil {
		return Result{}, err
	}
	id := roomName(run, 0)
	if _, err := b.each(b.InFlight, b.InFlight, func(w, i int) error { return b.join(w, id, userName(i), nil) }); err != nil {
		return Result{}, err
	}
	base, err := b.appendRaw(b.Count, b.InFlight, true)
	if err != nil {
		return Result{}, err
	}
	from, times := b.head(), make([]int, b.InFlight)
	t, err := b.each(b.Count, b.InFlight, func(w, _ int) error {
		times[w]++
		return b.ask(w, room.SetAttributes, &room.SetAttributesRequest{
			Caller: room.Caller{UserID: userName(w)}, RoomID: id, Set: map[string]string{attributeKey(w): attributeValue(w, times[w])}, IsForce: true,
		}, nil)
	})
	if err != nil {
		return Result{}, err
	}
	r := compared(t, base, "append")
	r.Facts, err = b.verifyAttributes(from, id, times)
	return r, err
}

// verifyAttributes checks that each user's acknowledged changes are in the room's facts,
// once each and in order, and that the facts add up to what get shows.
func (b *bench) verifyAttributes(from uint64, id string, times []int) (facts int, err error) {
	noted, fold := map[string]int{}, map[string]string{}
	facts, err = b.facts(from, id, func(f *events.Fact) error {
		here := map[string]bool{}
		for i := range f.Changes {
			noted[f.Changes[i].UserID]++
			here[f.Changes[i].UserID] = true
		}
		for key, value := range f.Set {
			user, n, _ := cutLast(value)
			if !here[user] || strconv.Itoa(noted[user]) != n {
				return fmt.Errorf("fact %d sets %s to %s, but is change %d of %s", f.Sequence, key, value, noted[user], user)
			}
			fold[key] = value
		}
		return nil
	})
	if err != nil {
		return facts, err
	}
	for w, n := range times {
		if noted[userName(w)] != n {
			return facts, fmt.Errorf("%d changes of %s were acknowledged, %d are in the facts", n, userName(w), noted[userName(w)])
		}
	}
	var now room.GetReply
	if err := b.ask(0, room.Get, &room.ReadRequest{RoomID: id, Freshness: room.Freshness{Sync: true}}, &now); err != nil {
		return facts, err
	}
	if !maps.Equal(now.Room.Attributes, fold) {
		return facts, fmt.Errorf("get shows %v, but the facts add up to %v", now.Room.Attributes, fold)
	}
	return facts, nil
}

// cutLast cuts s at its last dash.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func attributeKey(w int) string { return fmt.Sprintf("key-%d", w%attributeKeys) }

func attributeValue(w, times int) string { return fmt.Sprintf("%s-%d", userName(w), times) }
