package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client"
)

// Class is a room with a teacher, and break-out rooms that its pupils work in for a while. The
// program that has it is a back end: it moves pupils, who need to do nothing themselves.
type Class struct {
	roomID  string
	teacher *client.Client // an end user, who is host of the class and of its break-out rooms
	school  *client.Client // the back end; its requests name the user that they are about
	groups  int            // break-out rooms that are open
}

// Open makes a class that the teacher is host of, or comes back to it.
func Open(ctx context.Context, nc *nats.Conn, roomID, teacher string) (*Class, error) {
	c := &Class{roomID: roomID, teacher: client.New(nc, client.Config{UserID: teacher, UserForm: true}), school: client.New(nc, client.Config{})}
	return c, c.enter(ctx, roomID)
}

// enter brings the teacher into a room, which stays for a minute when it is empty.
func (c *Class) enter(ctx context.Context, roomID string) error {
	_, err := c.teacher.Enter(ctx, client.CreateRequest{RoomID: roomID, Config: &client.RoomConfig{Hosts: "creator", RoomDestroyDelayTime: 60}})
	return err
}

// group is the ID of a break-out room.
func (c *Class) group(i int) string { return fmt.Sprintf("%s-%d", c.roomID, i+1) }

// Split moves the pupils into n break-out rooms, one after the other. The teacher is in all of
// them and stays in the class.
func (c *Class) Split(ctx context.Context, n int) error {
	for i := range n {
		if err := c.enter(ctx, c.group(i)); err != nil {
			return err
		}
	}
	c.groups = n
	next := 0
	return c.move(ctx, c.roomID, func() string {
		next++
		return c.group((next - 1) % n)
	})
}

// Gather brings the pupils back and ends the break-out rooms.
func (c *Class) Gather(ctx context.Context) error {
	for ; c.groups > 0; c.groups-- {
		from := c.group(c.groups - 1)
		if err := c.move(ctx, from, func() string { return c.roomID }); err != nil {
			return err
		}
		if _, err := c.teacher.Destroy(ctx, client.DestroyRequest{RoomID: from, Reason: "back to class"}); err != nil {
			return err
		}
	}
	return nil
}

// move switches everybody but hosts, with all their devices, from one room to others. A switch
// is atomic: at every moment a pupil is in exactly one of the two rooms.
func (c *Class) move(ctx context.Context, from string, to func() string) error {
	q := client.MembersRequest{RoomID: from}
	q.Sync = true // also those who have come just now
	var pupils []client.MemberInfo
	for {
		page, err := c.school.Members(ctx, q)
		if err != nil {
			return err
		}
		for _, m := range page.MemberList {
			if m.Role != client.RoleHost {
				pupils = append(pupils, m)
			}
		}
		if q.NextFlag = page.NextFlag; q.NextFlag == "" {
			break
		}
	}
	for _, m := range pupils {
		target := to()
		for _, s := range m.Sessions {
			_, err := c.school.Switch(ctx, client.SwitchRequest{
				Caller:     client.Caller{UserID: m.UserID, SessionID: s.SessionID},
				FromRoomID: from,
				ToRoomInfo: client.RoomInfo{RoomID: target},
			})
			if err != nil && !gone(err) {
				return fmt.Errorf("%s stays in %s: %w", m.UserID, from, err)
			}
		}
	}
	return nil
}
