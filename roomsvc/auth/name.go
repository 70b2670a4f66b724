package auth

// Prefixes of the user names of connections with a token. No user in a server's
// configuration has such a name by accident, so a connection called `backend` is never an
// end user who chose that name.
const (
	userName  = "user:"
	adminName = "admin:"
)

// Name is the user name that the server shows for a connection with these claims, in its
// events and its lists of connections.
func Name(c *Claims) string {
	if c.Admin {
		return adminName + c.User.Token()
	}
	return userName + c.User.Token()
}
