// Package room is the pure core of natsrooms: what a room is, which commands it
// accepts, and what a fact does to it. It knows no NATS, clock, randomness, context
// or logger; times and IDs come in from outside, so equal inputs give equal results.
//
// The nouns:
//   - [State] is one instance of a room: a [Head] and its members.
//   - A fact ([events.Fact]) is one change. [Apply] folds it into a State.
//   - A [Command] is a wish that has been checked for form.
//   - A [Run] gathers commands of one room that one fact can carry, and answers each.
//
// Nothing is decided for good in here: a Run's answers count only once its fact is
// stored on top of exactly the State it was decided on.
package room
