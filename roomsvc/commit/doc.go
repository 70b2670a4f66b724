// Package commit turns commands into facts: one change becomes one fact, and that fact,
// once the journal has acknowledged it, is the answer.
//
// A [Call] waits in its room's mailbox. Whoever holds the mailbox's baton decides what waits
// there as one run (see package room), appends the one fact that the run makes, has
// it applied to the replica, and settles the calls. What arrives meanwhile becomes the next
// run, so a busy room needs few appends and an idle one never waits. A fact says one kind of thing;
// users who come and users who go pass each other in line, so that it is said of many. Commands that change
// several rooms share batches: the committer takes the batons of all their rooms, in the order
// of IDs, and appends one fact for each room atomically.
//
//	acquire -> decide -> append -> settle
//
// An acceptance is proved by the append, which is stored only if the room's newest fact is
// still the one that the decision was made on; otherwise everything is decided again.
// Refusals, and calls that find everything as they want it, wait for a sync point.
//
// When no acknowledgement comes, the same bytes are sent again on the same condition until it
// is known what became of them. Meanwhile the mailbox waits; a call whose time runs out is
// told that nobody knows.
package commit
