// Package api is the service's side of the wire: it takes requests off room.cmd.*, passes
// commands to the committer, answers them when they are settled, and has reads answered from the
// replica and from the streams once those are as new as the caller asks for.
//
// What each verb takes and answers is not here: it is one row of the table that the API is made
// with, see [natsrooms/roomsvc/verbs]. A command that changes something goes from its row's Take
// to [API.Admit], through the committer, and comes back to [API.Settle]. A read goes through
// [API.Read] or its relatives, which refuse nothing from memory that may be out of date.
package api
