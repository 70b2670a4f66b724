// Package verbs is what each command takes and what it answers. A verb is one row of
// [room.Commands], which says what it is, and one row of [Table], which says how it is taken in,
// how it is answered and how a repeat of it is answered. Everything between its arrival and its
// answer is in [natsrooms/roomsvc/api].
package verbs
