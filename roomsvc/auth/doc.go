// Package auth lets end users connect with a signed JSON Web Token (RFC 7519), the kind
// that any back end can make and most already do.
//
// If a NATS server does not know a connection from its configuration, it asks who it is on
// a subject of its own, the auth callout. [Serve] reads the token that the connection
// presents ([Keys.Read]), and answers with the permissions that [natsrooms/roomsvc/policy]
// has for such a user. From then on the server alone checks each publish and subscribe, and
// closes the connection when the token expires.
//
// [Claims] is what a token may say. The key decides which algorithm a token is signed with,
// never the token.
package auth
