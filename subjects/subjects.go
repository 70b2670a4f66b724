package subjects

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Streams and buckets.
const (
	StreamRooms    = "ROOMS"                  // the journal: every fact
	StreamMessages = "ROOM_MESSAGES"          // messages that are stored
	StreamAside    = "ROOM_MESSAGES_TAKEOVER" // copy of [StreamMessages] while that one is replaced
	StreamState    = "KV_rooms"               // the stream under [BucketState]
	StreamSessions = "KV_room_sessions"
	StreamBlocks   = "KV_room_blocks"
	StreamWebhooks = "KV_room_webhooks"
	BucketState    = "rooms"         // the state of every room, for other programs to read
	BucketSessions = "room_sessions" // who leads; leases
	BucketBlocks   = "room_blocks"   // users who are kept out, and tokens that are revoked
	BucketWebhooks = "room_webhooks" // webhooks: rooms that they are behind with, and dead letters; only where there are webhooks
	MicroService   = "rooms"         // name of the NATS micro service
	QueueGroup     = "rooms"         // queue group of its endpoints
	KeyProjected   = "=projected"    // key in [BucketState]: how far the bucket has been written
	keyGrant       = "=grant."       // prefix of keys in [BucketSessions]: rooms that a user's tokens name
	keyKept        = "=kept."        // prefix of keys in [BucketState]: what absent users left behind
	KeyLeader      = "=leader"       // key in [BucketSessions]: the instance with the leader's duties
	KeyAlive       = "=alive"        // key in [BucketSessions]: says that the bucket holds the lease of every session that has one
	KeyBeat        = "=beat"         // key in [BucketSessions]: that an instance takes commands, and since when without a break
	KeyClock       = "=clock"        // key in [BucketSessions]: what an instance stores to learn the server's time
	KeyRead        = "=read"         // key in [BucketBlocks] and [BucketWebhooks]: what an instance stores to learn how far it has read, or whether anything is stored
)

// Streams are all streams of the service that are always there.
var Streams = []string{StreamRooms, StreamMessages, StreamState, StreamSessions, StreamBlocks}

// AllStreams are those, and the one that is there if there are webhooks.
var AllStreams = append(slices.Clone(Streams), StreamWebhooks)

// Subjects that are the same for every room.
const (
	CutOff          = "room.cutoff"    // end users who are cut off, for all instances
	LetIn           = "room.letin"     // which tokens connections were let in with, for all instances
	Sync            = "room.sync"      // markers that prove how new a state is
	JournalPattern  = "room.journal.*" // where facts are appended
	FactsPattern    = "room.evt.*"     // where facts are stored and heard
	FactsTransform  = "room.evt.{{wildcard(1)}}"
	MessagesPattern = "room.msg.*"        // messages sent in rooms
	MessagesHeard   = "room.msg.>"        // messages, and markers between them
	MessagesTaken   = "room.msgjournal.>" // where both are stored
	MessagesMarker  = "room.msgjournal.order.point"
	MessagesPoint   = "room.msg.order.point" // where a marker is heard
	StatesPattern   = "room.state.*.*"       // roomStateChanged of every user in every room
	Hooks           = "room.hook.>"          // questions to the application, with the permissions of nats.conf

	// Messages that are to be deleted, and up to which of these everything has been done.
	DeletionsMarker = "room.msgjournal.order.deletion"
	Deletions       = "room.msg.order.deletion"
	DeletedMarker   = "room.msgjournal.order.deleted"
	Deleted         = "room.msg.order.deleted"

	// What streams take that are to take nothing, while one replaces the other.
	Closed      = "room.closed.old"
	ClosedAside = "room.closed.aside"

	// Disconnects is where NATS servers announce, in their system account, clients'
	// connections that have closed.
	Disconnects = "$SYS.ACCOUNT.*.DISCONNECT"

	// Connects is where they announce those that have been let in.
	Connects = "$SYS.ACCOUNT.*.CONNECT"

	// ServerPing is what NATS servers answer in their system account, and in no other.
	ServerPing = "$SYS.REQ.SERVER.PING"
)

const (
	commandPrefix = "room.cmd."
	factsPrefix   = "room.evt."
	journalPrefix = "room.journal."
	statePrefix   = "room.state."
	feedPrefix    = "room.feed."
	openPrefix    = "room.open."
	msgPrefix     = "room.msg."
	msgJournal    = "room.msgjournal."
	answersPrefix = "room.answers."
	kvPrefix      = "$KV."
)

// Answers is where an instance of the service sends messages to itself, see
// [natsrooms/roomsvc/answers]. token is the instance's own.
func Answers(token string) string { return answersPrefix + token }

// Command is where trusted callers send commands of one verb.
func Command(verb string) string { return commandPrefix + verb }

// UserCommand is where u's own clients send commands of one verb.
func UserCommand(verb string, u User) string { return commandPrefix + verb + "." + u.Token() }

// UserCommandPattern matches [UserCommand] of every user.
func UserCommandPattern(verb string) string { return commandPrefix + verb + ".*" }

// UserToken is the last token of a [UserCommand] subject.
func UserToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// Facts is where a room's facts are heard.
func Facts(r Room) string { return factsPrefix + r.Token() }

// RoomOfFacts is the room whose facts are heard at subject; ok is false for other subjects.
func RoomOfFacts(subject string) (r Room, ok bool) { return roomOf(factsPrefix, subject) }

func roomOf(prefix, subject string) (r Room, ok bool) {
	token, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return "", false
	}
	r, err := RoomOfToken(token)
	return r, err == nil
}

// Journal is where a room's facts are appended; only the service may.
func Journal(r Room) string { return journalPrefix + r.Token() }

// Messages is where messages sent in a room are heard.
func Messages(r Room) string { return msgPrefix + r.Token() }

// MessageJournal is where messages to be stored are appended; only the service may.
func MessageJournal(r Room) string { return msgJournal + r.Token() }

// RoomOfMessages is the room whose messages are heard at subject; ok is false for other subjects.
func RoomOfMessages(subject string) (r Room, ok bool) { return roomOf(msgPrefix, subject) }

// UserState is where roomStateChanged of one user in one room is heard.
func UserState(u User, r Room) string { return statePrefix + u.Token() + "." + r.Token() }

// UserStates matches [UserState] of one user in every room.
func UserStates(u User) string { return statePrefix + u.Token() + ".*" }

// Feed is where an end user hears a members-only room.
func Feed(u User, r Room) string { return feedPrefix + u.Token() + "." + r.Token() }

// Open is where an end user hears an open room.
func Open(r Room) string { return openPrefix + r.Token() }

// RoomKey is the room's key in [BucketState].
func RoomKey(r Room) string { return r.Token() }

// MemberKey is a member's key in [BucketState].
func MemberKey(r Room, u User) string { return r.Token() + "." + u.Token() }

// KeptKey is the key in [BucketState] of what a user who is gone left behind in a room.
func KeptKey(r Room, u User) string { return keyKept + MemberKey(r, u) }

// ParseKeptKey splits a key of [KeptKey]; ok is false for all other keys.
func ParseKeptKey(key string) (r Room, u User, ok bool) {
	key, ok = strings.CutPrefix(key, keyKept)
	r, u, member, known := ParseKey(key)
	return r, u, ok && member && known
}

// ParseKey splits a key of [BucketState]. member is false for a room's own key;
// ok is false for the service's own keys and for anything that is not one of our keys.
func ParseKey(key string) (r Room, u User, member, ok bool) {
	room, user, member := strings.Cut(key, ".")
	r, err := RoomOfToken(room)
	if err == nil && member {
		u, err = UserOfToken(user)
	}
	return r, u, member, err == nil
}

// GrantKey is the key in [BucketSessions] of the rooms that a user's tokens name.
func GrantKey(u User) string { return keyGrant + u.Token() }

// UserOfGrant is the user of a [GrantKey]; ok is false for all other keys.
func UserOfGrant(key string) (u User, ok bool) {
	token, ok := strings.CutPrefix(key, keyGrant)
	if !ok {
		return "", false
	}
	u, err := UserOfToken(token)
	return u, err == nil
}

// BlockKey is the key in [BucketBlocks] of what is refused to a user.
func BlockKey(u User) string { return u.Token() }

// UserOfBlock is the user of a [BlockKey]; ok is false for all other keys.
func UserOfBlock(key string) (u User, ok bool) {
	u, err := UserOfToken(key)
	return u, err == nil
}

// SessionKey is the key in [BucketSessions] of the lease of a user's session. The session ID
// may be any UTF-8.
func SessionKey(u User, session string) string { return u.Token() + "." + encode(session) }

// SessionToken is a session ID as a token, such as the header of copies on feeds has it.
func SessionToken(session string) string { return encode(session) }

// ParseSessionKey splits a key of [SessionKey]; ok is false for all other keys.
func ParseSessionKey(key string) (u User, session string, ok bool) {
	user, token, ok := strings.Cut(key, ".")
	if !ok {
		return "", "", false
	}
	u, err := UserOfToken(user)
	if err != nil {
		return "", "", false
	}
	session, err = unescape(token)
	return u, session, err == nil && utf8.ValidString(session)
}

// StreamOf is the stream of ours that stores what is published on a subject, "" if none does.
func StreamOf(subject string) string {
	switch {
	case subject == Sync || strings.HasPrefix(subject, journalPrefix):
		return StreamRooms
	case strings.HasPrefix(subject, msgJournal):
		return StreamMessages
	case strings.HasPrefix(subject, kvPrefix+BucketState+"."):
		return StreamState
	case strings.HasPrefix(subject, kvPrefix+BucketSessions+"."):
		return StreamSessions
	case strings.HasPrefix(subject, kvPrefix+BucketBlocks+"."):
		return StreamBlocks
	case strings.HasPrefix(subject, kvPrefix+BucketWebhooks+"."):
		return StreamWebhooks
	}
	return ""
}

// KV is the subject of a key in a bucket.
func KV(bucket, key string) string { return kvPrefix + bucket + "." + key }

// KVPattern matches every key of a bucket.
func KVPattern(bucket string) string { return kvPrefix + bucket + ".>" }

// KeyOfKV is the key that a subject of the bucket stands for.
func KeyOfKV(bucket, subject string) string {
	return strings.TrimPrefix(subject, kvPrefix+bucket+".")
}
