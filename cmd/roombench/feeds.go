package main

import (
	"fmt"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// feeds measures messages of rooms whose members each hear them on a feed of their own,
// compared with the room's shared subject with as many subscribers. The service publishes
// every copy for a feed; on the shared subject the NATS server makes the copies itself.
func (b *bench) feeds(run string) (Result, error) {
	if err := b.make(run, 2*fanoutRooms); err != nil {
		return Result{}, err
	}
	_, err := b.each(fanoutRooms*b.Subscribers, b.InFlight, func(w, i int) error {
		return b.join(w, roomName(run, i/b.Subscribers), userName(i%b.Subscribers), nil)
	})
	if err != nil {
		return Result{}, err
	}
	feed := func(i int) string {
		return subjects.Feed(subjects.User(userName(i%b.Subscribers)), subjects.Room(roomName(run, i/b.Subscribers)))
	}
	return b.besideShared(run, feed, func(w, _ int) error { return b.send(w, roomName(run, w), userName(w), nil) })
}

// open measures messages of open rooms, on their shared subject for end users, likewise.
func (b *bench) open(run string) (Result, error) {
	if err := b.make(run, 2*fanoutRooms); err != nil {
		return Result{}, err
	}
	_, err := b.each(fanoutRooms, fanoutRooms, func(w, i int) error {
		return b.ask(w, room.Create, &room.CreateRequest{
			RoomID: roomName(run+"-open", i), Caller: room.Caller{UserID: userName(i)},
			Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay, Delivery: room.DeliveryOpen},
		}, nil)
	})
	if err != nil {
		return Result{}, err
	}
	subject := func(i int) string { return subjects.Open(subjects.Room(roomName(run+"-open", i/b.Subscribers))) }
	return b.besideShared(run, subject, func(w, _ int) error { return b.send(w, roomName(run+"-open", w), userName(w), nil) })
}

// besideShared measures what end users hear, compared with the shared subjects of other
// rooms, in which only one user talks.
func (b *bench) besideShared(run string, subject func(subscriber int) string, cause func(worker, i int) error) (Result, error) {
	n := b.Count / 60
	const ahead = 4 * fanoutRooms // more would not be copied in time, and would be left out
	ends, err := b.hear(n, ahead, subject, nil, cause)
	if err != nil {
		return Result{}, fmt.Errorf("%w; was the service started with --feeds?", err)
	}
	quiet := func(i int) string { return roomName(run, fanoutRooms+i) }
	if _, err := b.each(fanoutRooms, fanoutRooms, func(w, i int) error { return b.join(w, quiet(i), userName(i), nil) }); err != nil {
		return Result{}, err
	}
	shared, err := b.hear(n, ahead, func(i int) string { return subjects.Messages(subjects.Room(quiet(i / b.Subscribers))) }, nil,
		func(w, _ int) error { return b.send(w, quiet(w), userName(w), nil) })
	return compared(ends, shared, "shared subject"), err
}

// identity is one join at a time, with the user in the subject and in the body by turns;
// both have a lease to store.
func (b *bench) identity(run string) (Result, error) {
	n := b.Count / 6
	lease := 60
	err := b.ask(0, room.Create, &room.CreateRequest{RoomID: roomName(run, 0), Config: &room.RoomConfig{RoomDestroyDelayTime: room.MaxDestroyDelay, Delivery: room.DeliveryOpen}}, nil)
	if err != nil {
		return Result{}, err
	}
	return b.inTurn(n, "user in the body", func(i int) error {
		user := fmt.Sprintf("%s-leased-%d", run, i) // a lease ends in every room that a user is in
		q := &room.RoomRequest{RoomID: roomName(run, 0), Caller: room.Caller{LeaseSeconds: &lease}}
		if i%2 == 0 {
			return b.askAs(0, room.Join, user, q, nil)
		}
		q.UserID = user
		return b.ask(0, room.Join, q, nil)
	})
}
