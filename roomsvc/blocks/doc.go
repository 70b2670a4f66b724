// Package blocks keeps what back ends refuse to users: everything, or single tokens of theirs.
//
// Each user to whom something is refused has a key in a bucket of its own, `room_blocks`. It is
// not in the bucket of leases, which may be deleted at any time and must never be restored from
// a backup, nor in that of rooms, which is made again from the journal: a block that went with
// either would let somebody in whom nobody wants. Every instance follows the bucket ([Book]), so
// that the next command and the next connection are refused wherever they arrive.
//
// What is stored is the whole of a block. The rest follows from it, and every instance that
// learns of it does all of the rest ([Warden]): it puts the user out of its rooms, and ends the
// connections that are refused now. So it does not matter which instance dies meanwhile. An
// instance that starts does it for everybody.
package blocks
