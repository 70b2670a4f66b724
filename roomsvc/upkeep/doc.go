// Package upkeep is what the service does by itself in rooms, without a command: it ends
// rooms that stay empty, takes sessions out whose leases have ended, keeps a fact of each
// quiet room in the journal, and finishes what an instance that died left undone. These are
// duties of the instance that leads, see package lead; all that they change goes through
// the committer like any command.
//
// The end of a lease: the book says that it is due; a marker is put over it in its bucket,
// and from then on no renewal counts; a sync point makes sure that every join it let in is
// known; then the session is taken out of each of its rooms by a fact. The rooms are looked
// at once more when no command that the lease let in can still be on its way.
package upkeep
