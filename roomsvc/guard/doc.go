// Package guard keeps one end user, with any number of connections, from taking what belongs to
// everybody.
//
// [Guard.Take] decides about a command before a byte of it is parsed: from its subject, which
// names the user, and its size. It lets it in, refuses it with an answer, or drops it. What
// counts:
//
//   - Every command counts against the user's commands and bytes a second. A renew, a leave and
//     a leaveAll that find nothing left there have a small reserve of their own, so that a user
//     whose other programs are too busy keeps its place in its rooms, and can leave them.
//   - A command that was let in counts as waiting until it is answered ([Place.Done]).
//   - It waits in a line of its user ([Guard.Line]) until only a few of that user are worked on.
//     The users take turns, so nobody waits behind all that another one has sent at once.
//   - A command that may change a room counts against the user's changes of that room
//     ([Guard.Change]), when its room is known.
//   - A refusal counts against the user's patience. Whoever goes on as if there were no limit
//     uses that up, and is cut off: what it sends is dropped unread, and what is in its line too,
//     and its connections are ended. The time doubles with each cut.
//
// [Connections] counts connections.
package guard
