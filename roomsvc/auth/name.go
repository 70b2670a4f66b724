package auth

import "natsrooms/subjects"

// Name is the user name that the server shows for a connection with these claims, in its
// events and its lists of connections.
func Name(c *Claims) string {
	if c.Admin {
		return subjects.BackEndName(c.User)
	}
	return subjects.ConnectionName(c.User)
}
