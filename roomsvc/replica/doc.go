// Package replica holds what is true, in memory: every room of the deployment as of the newest
// fact that this instance knows, who is in which rooms, what became of recent requests, and
// the newest facts themselves.
//
// Facts reach it in two ways. Those that this instance appended are applied when their append
// is acknowledged ([Replica.Stored]); all others are applied when the journal's follower
// passes them ([Replica.Pass]). The follower also passes every change on in the journal's
// order, to the bucket and to the feeds. [Sync] makes sure that everything stored before a
// moment has been applied.
//
// # Locks
//
// Whoever takes more than one lock takes them in this order, across the whole service:
//
//  1. rooms, in the order of their IDs ([Decide], [Replica.Stored], [Replica.Pass]);
//  2. the map of rooms;
//  3. one of: a shard of [Users], [Outcomes], [Recent], the queue of empty rooms, the
//     committer's mailboxes, the book of leases. None of these is held while another lock
//     is taken.
//
// A room's lock is held for moments, never while something is on its way to the server.
// Functions that are called with it held say so by their argument: a [View], or a
// [room.State], is valid until they return.
package replica
