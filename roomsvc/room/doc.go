// Package room is the pure core of natsrooms: what a room is, which commands it
// accepts, and what a fact does to it. It knows no NATS, clock, randomness, context
// or logger; times and IDs are passed in, so equal inputs give equal results.
//
// The nouns:
//   - [State] is one instance of a room: a [Head] and its members.
//   - A fact ([events.Fact]) is one change. [Apply] folds it into a State.
//   - A [Command] is a request whose form has been checked.
//   - A [Run] gathers commands of one room that one fact can carry, and answers each.
//
// Nothing in here is final: a Run's answers count only once its fact is stored right
// after the State it was decided on.
package room
