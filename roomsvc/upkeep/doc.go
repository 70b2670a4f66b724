// Package upkeep is what the service does on its own in rooms, without a command: it ends
// rooms that stay empty, takes out sessions whose leases have ended, keeps a fact of each
// quiet room in the journal, and finishes what an instance that died left undone. These are
// duties of the leading instance, see package lead; everything that they change goes through
// the committer like any command.
//
// A lease ends like this: the book says that it is due, and that somebody could have renewed it
// until then; its server says that the connection that the session named is not open; a marker
// is put over it in its bucket, and from then on no renewal counts; a sync point makes sure that every join that the lease
// let in is known; then a fact takes the session out of each of its rooms. The rooms are
// looked at once more when no command that the lease let in can still be on its way.
package upkeep
