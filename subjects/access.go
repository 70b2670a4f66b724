package subjects

import (
	"strings"
	"time"
)

// Subjects that permissions name, besides those that commands and events use.
const (
	Everything     = "room.>"             // everything about rooms and to them
	Commands       = "room.cmd.*"         // [Command] of every verb
	AllCommands    = "room.cmd.>"         // those, and the ones bound to a user
	OpenPattern    = "room.open.*"        // [Open] of every room
	Inboxes        = "_INBOX.>"           // replies to callers that need not hide them from each other
	ServiceQuery   = "$SRV.>"             // queries to micro services, such as their status
	AuthRequests   = "$SYS.REQ.USER.AUTH" // the NATS server asks who somebody is
	ConnectionInfo = "$SYS.REQ.USER.INFO" // tells a connection what it is itself

	StreamUpdated = "$JS.EVENT.ADVISORY.STREAM.UPDATED.*" // the NATS server says that somebody changed a stream's settings
)

// RequestInfo is the header in which a NATS server says from which account it has passed a request
// on. The server writes it over whatever the sender put there.
const RequestInfo = "Nats-Request-Info"

const (
	userInbox = "_INBOX_"

	// Reply subjects that only NATS servers make, for requests from another account and from
	// another cluster. A client that names one is refused by its server.
	importReply  = "_R_."
	gatewayReply = "_GR_."

	api  = "$JS.API."
	acks = "$JS.ACK."
	flow = "$JS.FC."
)

// RespondWithin is how long a request may be answered. The NATS server keeps each request's
// reply subject for that long, and scans all of them again and again. Everything is answered
// within ten seconds.
const RespondWithin = 15 * time.Second

// InDomain is where to publish in order to reach the streams of a JetStream domain, instead of the
// subject that reaches those of the server one is connected to. The NATS server maps one to the
// other, for buckets too, since leaf nodes between domains pass neither on. An empty domain
// changes nothing, and neither does a subject that needs no domain.
func InDomain(domain, subject string) string {
	rest, isAPI := strings.CutPrefix(subject, api)
	switch {
	case domain == "":
	case isAPI:
		return "$JS." + domain + ".API." + rest
	case strings.HasPrefix(subject, kvPrefix):
		return "$JS." + domain + ".API." + subject
	}
	return subject
}

// UserCommands matches [UserCommand] of one user, every verb.
func UserCommands(u User) string { return UserCommand("*", u) }

// OneUsers reports whether a permission to publish is for one user's commands only, as
// [UserCommands] and [UserCommand] are.
func OneUsers(permission string) bool {
	verb, isCommand := strings.CutPrefix(permission, commandPrefix)
	_, token, _ := strings.Cut(verb, ".")
	_, err := UserOfToken(token)
	return isCommand && err == nil
}

// UserFeeds matches [Feed] of one user in every room.
func UserFeeds(u User) string { return feedPrefix + u.Token() + ".*" }

// UserInbox is the prefix of a user's own inboxes, which nobody else hears.
func UserInbox(u User) string { return userInbox + u.Token() }

// ReadStream is the subjects to publish on in order to read a stream: by sequence or subject, and
// through consumers, with everything that takes.
func ReadStream(stream string) []string {
	return []string{
		api + "STREAM.INFO." + stream,
		api + "STREAM.MSG.GET." + stream,
		api + "DIRECT.GET." + stream,
		api + "DIRECT.GET." + stream + ".>",
		api + "CONSUMER.*." + stream,
		api + "CONSUMER.*." + stream + ".>",
		api + "CONSUMER.MSG.NEXT." + stream + ".*",
		acks + stream + ".>",
		flow + stream + ".>",
	}
}

// OwnStream is the subjects to publish on in order to make a stream, change its settings and read it.
// Nobody may empty or delete one, not even the service, but for [ReplaceStream].
func OwnStream(stream string) []string {
	return append([]string{
		api + "STREAM.CREATE." + stream,
		api + "STREAM.UPDATE." + stream,
	}, ReadStream(stream)...)
}

// EraseFrom is the subject to publish on in order to erase single messages of a stream.
func EraseFrom(stream string) string { return api + "STREAM.MSG.DELETE." + stream }

// ReplaceStream is the subjects to publish on in order to replace a stream by way of a copy,
// besides those of [OwnStream].
func ReplaceStream(stream, aside string) []string {
	return append([]string{api + "STREAM.DELETE." + stream, api + "STREAM.DELETE." + aside}, OwnStream(aside)...)
}

// FindStreams is the subjects to publish on in order to find out which streams exist.
func FindStreams() []string {
	return []string{api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST"}
}

// ReplyAllowed reports whether a command received on subject may be answered on reply.
// The NATS server does not check whether the sender of a command may publish on the reply
// subject it names, and the service may publish where the sender may not: an answer on
// `room.journal.lobby` would be a forged fact, one on `$JS.API.STREAM.PURGE.KV_rooms` would
// empty the bucket. So no answer goes to a subject of the service's own, and answers to a
// user's own clients go only to inboxes, never to another user's. What a server has put in place
// of the subject for a request from another account may be used; for one from another cluster,
// the subject that the sender named still counts.
func ReplyAllowed(subject, reply string) bool {
	reply = named(reply)
	verb, isCommand := strings.CutPrefix(subject, commandPrefix)
	_, token, userForm := strings.Cut(verb, ".")
	switch {
	case reply == "":
		return true
	case isCommand && userForm:
		return strings.HasPrefix(reply, "_INBOX.") || strings.HasPrefix(reply, userInbox+token+".") || ReplyImported(reply)
	}
	return !strings.HasPrefix(reply, "$") && !strings.HasPrefix(reply, "room.")
}

// ReplyImported reports whether a NATS server has made a reply subject, because the request came
// from another account.
func ReplyImported(reply string) bool { return strings.HasPrefix(named(reply), importReply) }

// named is the reply subject that a sender named. Between clusters, servers put two tokens of
// their own before it.
func named(reply string) string {
	if rest, ok := strings.CutPrefix(reply, gatewayReply); ok {
		if parts := strings.SplitN(rest, ".", 3); len(parts) == 3 {
			return parts[2]
		}
	}
	return reply
}

// userName begins the user names of end users' connections. No user in a server's
// configuration has such a name by accident, so a connection called `backend` is never an end
// user who chose that name.
const userName = "user:"

// backEndName begins the user names of back ends with a token.
const backEndName = "admin:"

// ConnectionName is the user name that a server shows for the connection of an end user with a
// token.
func ConnectionName(u User) string { return userName + u.Token() }

// BackEndName is the user name that a server shows for the connection of a back end with a token.
func BackEndName(u User) string { return backEndName + u.Token() }

// BearerOfConnection is whose token a connection with that user name was let in with.
func BearerOfConnection(name string) (u User, ok bool) {
	if token, isBackEnd := strings.CutPrefix(name, backEndName); isBackEnd {
		u, err := UserOfToken(token)
		return u, err == nil
	}
	return UserOfConnection(name)
}

// UserOfConnection is the end user whose connection has that user name.
func UserOfConnection(name string) (u User, ok bool) {
	token, ok := strings.CutPrefix(name, userName)
	if !ok {
		return "", false
	}
	u, err := UserOfToken(token)
	return u, err == nil
}

// AllConnections is where all NATS servers are asked, in the system account, for their clients'
// connections.
const AllConnections = "$SYS.REQ.SERVER.PING.CONNZ"

// EndConnection is where the NATS server with an ID is told, in its system account, to end a
// connection.
func EndConnection(serverID string) string { return "$SYS.REQ.SERVER." + encode(serverID) + ".KICK" }

// ServerConnections is where the NATS server with an ID is asked, in its system account, for
// its clients' connections.
func ServerConnections(serverID string) string {
	return "$SYS.REQ.SERVER." + encode(serverID) + ".CONNZ"
}
