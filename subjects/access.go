package subjects

import "strings"

// Subjects that permissions are given for, beside those that commands and events use.
const (
	Everything     = "room.>"             // all that is said of rooms and to them
	Commands       = "room.cmd.*"         // [Command] of every verb
	AllCommands    = "room.cmd.>"         // those and the user-bound ones
	OpenPattern    = "room.open.*"        // [Open] of every room
	Inboxes        = "_INBOX.>"           // replies to those who need not keep them from each other
	ServiceQuery   = "$SRV.>"             // questions to micro services, such as how they are
	AuthRequests   = "$SYS.REQ.USER.AUTH" // the NATS server asks who somebody is
	ConnectionInfo = "$SYS.REQ.USER.INFO" // tells a connection what it is itself
)

const (
	userInbox = "_INBOX_"
	api       = "$JS.API."
	acks      = "$JS.ACK."
	flow      = "$JS.FC."
)

// UserCommands matches [UserCommand] of one user, every verb.
func UserCommands(u User) string { return UserCommand("*", u) }

// OneUsers tells whether a permission to publish is for commands of one user, as
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

// ReadStream is what to publish on to read a stream: by sequence or subject, and by
// consumers, with all that is done with those.
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

// OwnStream is what to publish on to make a stream, to change its settings and to read it.
// Nobody may empty or delete one, the service neither.
func OwnStream(stream string) []string {
	return append([]string{
		api + "STREAM.CREATE." + stream,
		api + "STREAM.UPDATE." + stream,
	}, ReadStream(stream)...)
}

// FindStreams is what to publish on to learn which streams there are.
func FindStreams() []string {
	return []string{api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST"}
}

// ReplyAllowed tells whether a command that came at subject may have its answer at reply.
// The NATS server asks nobody who sends a command whether he may publish at the reply
// subject that he names, and the service may publish where he may not: an answer at
// `room.journal.lobby` would be a forged fact, one at `$JS.API.STREAM.PURGE.KV_rooms` an
// emptied bucket. So answers stay out of what is the service's own, and those to a user's
// own clients go to inboxes only, and to nobody else's.
func ReplyAllowed(subject, reply string) bool {
	verb, isCommand := strings.CutPrefix(subject, commandPrefix)
	_, token, userForm := strings.Cut(verb, ".")
	switch {
	case reply == "":
		return true
	case isCommand && userForm:
		return strings.HasPrefix(reply, "_INBOX.") || strings.HasPrefix(reply, userInbox+token+".")
	}
	return !strings.HasPrefix(reply, "$") && !strings.HasPrefix(reply, "room.")
}
