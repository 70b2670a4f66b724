// Package api is the service's side of the wire: it takes requests off room.cmd.*, passes
// commands to the committer, answers them when they are settled, and answers reads from the
// replica and from the streams.
//
// A verb is one row of [room.Commands], which says what it is, and one row of the table here,
// which says how it is taken in, how it is answered and how a repeat of it is answered. A
// command that changes something goes from its row's take to [API.admit], through the
// committer, and comes back to [API.Settle]. A read goes through [API.read], which refuses
// nothing from memory that may be out of date.
package api
