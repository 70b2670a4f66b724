// Package api is the service's side of the wire: it takes requests off room.cmd.*, hands
// commands to the committer, answers them when they are settled, and answers reads from the
// replica and from the streams.
//
// A verb is one row of [room.Commands], which says what it is, and one of the table here,
// which says how it is taken in, answered and answered again. A command that changes
// something goes from its row's take to [API.admit], through the committer, and comes back
// to [API.Settle]. A read goes through [API.read], which refuses nothing from memory that
// may be behind.
package api
