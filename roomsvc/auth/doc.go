// Package auth lets end users in by a signed JSON Web Token (RFC 7519), the kind that any
// back end can make and most already do.
//
// The NATS server asks on a subject of its own, the auth callout, who a connection is that
// it does not know by its configuration. [Serve] reads the token that the connection brought
// ([Keys.Read]), and answers with the permissions that [natsrooms/roomsvc/policy] has for
// such a user. From then on the server alone checks each publish and subscribe, and ends the
// connection when the token expires.
//
// What a token may say is [Claims]. Which algorithm it is signed with is decided by the key
// and never by the token.
package auth
