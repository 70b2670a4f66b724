package api

import "natsrooms/roomsvc/room"

// Cache keeps the encoded replies of one run, which differ little.
type Cache struct{ replies []cached }

type cached struct {
	kind     string
	position room.Position
	data     []byte
}

// Get is the reply of a kind at a position; it is made if it is not there.
func (c *Cache) Get(kind string, p room.Position, encode func() []byte) []byte {
	for i := range c.replies {
		if c.replies[i].kind == kind && c.replies[i].position == p {
			return c.replies[i].data
		}
	}
	data := encode()
	c.replies = append(c.replies, cached{kind, p, data})
	return data
}
