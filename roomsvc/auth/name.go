package auth

import "natsrooms/subjects"

// adminName begins the user names of back ends with a token; see [subjects.ConnectionName].
const adminName = "admin:"

// Name is the user name that the server shows for a connection with these claims, in its
// events and its lists of connections.
func Name(c *Claims) string {
	if c.Admin {
		return adminName + c.User.Token()
	}
	return subjects.ConnectionName(c.User)
}
