// Package policy is the table of who may do what. A role is a kind of connection; the
// NATS server checks its permissions at each publish and each subscribe, so that nothing
// has to be signed or looked up for a command.
//
// The table is the only place where a permission is decided: the users in nats.conf, those
// that [natsrooms/roomsvc/auth] lets in with a token, the manual and the tests are all made
// from it or compared with it.
//
// The reply to a command is published by the service, wherever the command asks. So the
// permissions of the role that asks do not restrict where the reply goes: see
// [natsrooms/subjects.ReplyAllowed].
package policy

import (
	"slices"

	"natsrooms/subjects"
)

// Role is a kind of connection.
type Role string

// The roles.
const (
	EndUser  Role = "end user"
	BackEnd  Role = "back end"
	Pipeline Role = "pipeline"
	Monitor  Role = "monitor"
	Advisor  Role = "advisor"
	Service  Role = "service"
)

// Permissions is what a connection may do: everything named here, and nothing else.
type Permissions struct {
	Publish, Subscribe []string
	Respond            bool // it may answer requests, within [natsrooms/subjects.RespondWithin]
}

// RespondTimes is how many answers may go to the reply subject of a request; -1 is any number.
// A client may name the same reply subject in several requests. The NATS server counts requests
// and answers together, so with any number of its own it would refuse answers to such clients.
const RespondTimes = -1

// Rule is one row of the table.
type Rule struct {
	Role  Role
	Means string // one line for people
	Permissions
}

// Table has a row for each role. The row for end users is for [AnyUser]; [User] fills in
// the user.
var Table = []Rule{
	{EndUser, "one person's app or page, wherever it runs; it acts for this user only", User(AnyUser, nil)},
	{BackEnd, "your own servers, which may act for every user", Permissions{
		Publish: slices.Concat([]string{subjects.Commands, subjects.Webhooks},
			subjects.ReadStream(subjects.StreamRooms), subjects.ReadStream(subjects.StreamMessages), subjects.ReadStream(subjects.StreamState)),
		Subscribe: []string{subjects.Inboxes, subjects.Everything},
	}},
	{Pipeline, "reads facts and messages from their streams, for billing, search, archives", Permissions{
		Publish:   slices.Concat(subjects.ReadStream(subjects.StreamRooms), subjects.ReadStream(subjects.StreamMessages)),
		Subscribe: []string{subjects.Inboxes},
	}},
	{Monitor, "asks whether the service is well and which rooms there are", Permissions{
		Publish:   []string{subjects.ServiceQuery, subjects.Command("list"), subjects.Command("get")},
		Subscribe: []string{subjects.Inboxes},
	}},
	{Advisor, "answers the service's questions about commands, see [hooks](hooks.md)", Permissions{
		Publish:   []string{subjects.ConnectionInfo},
		Subscribe: []string{subjects.Inboxes, subjects.Hooks},
		Respond:   true,
	}},
	{Service, "roomd", Permissions{
		Publish: slices.Concat([]string{subjects.Everything, subjects.KVPattern(subjects.BucketState), subjects.KVPattern(subjects.BucketSessions), subjects.KVPattern(subjects.BucketBlocks), subjects.KVPattern(subjects.BucketWebhooks), subjects.ConnectionInfo},
			subjects.FindStreams(), subjects.OwnStream(subjects.StreamRooms), subjects.OwnStream(subjects.StreamMessages), []string{subjects.EraseFrom(subjects.StreamMessages)},
			subjects.OwnStream(subjects.StreamState), subjects.OwnStream(subjects.StreamSessions), subjects.OwnStream(subjects.StreamBlocks), subjects.OwnStream(subjects.StreamWebhooks)),
		Subscribe: []string{subjects.Inboxes, subjects.Everything, subjects.ServiceQuery, subjects.AuthRequests, subjects.StreamUpdated},
		Respond:   true,
	}},
}

// InDomain is what a connection may publish that uses the streams of a JetStream domain.
func (p Permissions) InDomain(domain string) Permissions {
	publish := make([]string, len(p.Publish))
	for i, subject := range p.Publish {
		publish[i] = subjects.InDomain(domain, subject)
	}
	p.Publish = publish
	return p
}

// AnyUser stands for the user in the table's row for end users.
const AnyUser = subjects.User("any-user")

// Of is what a role may do; for end users use [User].
func Of(r Role) Permissions {
	return Table[slices.IndexFunc(Table, func(rule Rule) bool { return rule.Role == r })].Permissions
}

// User is what an end user's connections may do. verbs are the commands that the user may give,
// nil for all.
func User(u subjects.User, verbs []string) Permissions {
	p := Permissions{
		Publish:   []string{subjects.UserCommands(u)},
		Subscribe: []string{subjects.UserInbox(u) + ".>", subjects.UserFeeds(u), subjects.UserStates(u), subjects.OpenPattern},
	}
	if verbs != nil {
		p.Publish = nil
		for _, verb := range verbs {
			p.Publish = append(p.Publish, subjects.UserCommand(verb, u))
		}
	}
	return p
}
