// Package ids knows which IDs people could take for others.
package ids

import (
	"errors"
	"fmt"

	"golang.org/x/text/secure/precis"

	"natsrooms/roomsvc/room"
)

// Check refuses a command that brings its session into a room if it would make a room, or bring in
// a user, whose ID is not plain. IDs of rooms that exist and users who are in rooms are not new.
func Check(c *room.Command, roomKnown, userKnown bool) *room.Error {
	makes := c.Verb != room.Join && (c.Verb != room.Switch || c.CreateMissing)
	if makes && !roomKnown {
		field := "roomID"
		if c.Verb == room.Switch {
			field = "toRoomInfo.roomID"
		}
		if why := Plain(string(c.Room)); why != nil {
			return room.Invalid(field, "%v", why)
		}
	}
	if c.User != "" && !userKnown {
		if why := Plain(string(c.User)); why != nil {
			return room.Invalid("userID", "%v", why)
		}
	}
	return nil
}

// Plain says why an ID could be taken for another one that is written otherwise; nil if it could
// not. A plain ID is its own nickname in the sense of RFC 8266: it is in NFKC, has no characters
// that nobody sees or that turn the direction of others, and no spaces but single ones between
// others. That does not make all IDs look different: letters of two scripts may look the same.
func Plain(id string) error {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' {
			return plain(id)
		}
	}
	return nil
}

func plain(id string) error {
	as, err := precis.Nickname.String(id)
	switch {
	case err != nil:
		return errors.New("has characters that nobody sees, or that no ID needs; a new ID has none of them (RFC 8266): take them out")
	case as != id:
		return fmt.Errorf("could be taken for %q; a new ID is written as that (RFC 8266)", as)
	}
	return nil
}
