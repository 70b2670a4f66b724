package main

import (
	"reflect"
	"time"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"natsrooms/roomsvc/room"
)

const description = "Rooms over NATS, from the command line."

// options are the flags that every command has.
type options struct {
	Server   string        `short:"s" env:"${envServer}" placeholder:"URL" help:"NATS server, or several separated by commas (${defaultServer})."`
	Context  string        `env:"${envContext}" placeholder:"NAME" predictor:"context" help:"Server and credentials are those of this context of the nats command line."`
	Creds    string        `type:"existingfile" placeholder:"FILE" help:"Credentials for the NATS server: a .creds file, the seed of an nkey, or one line user:password. A server in operator mode needs sentinel credentials besides a token."`
	Token    string        `env:"${envToken}" placeholder:"FILE|TOKEN" help:"Token of the user who acts, if the service uses tokens; roomctl token makes one."`
	EndUser  bool          `help:"Connect as the end user named by --as, with only that user's commands and inboxes, as the NATS server may require; a token implies it."`
	As       string        `env:"${envAs}" placeholder:"USER" help:"The user who acts."`
	UserName string        `placeholder:"NAME" help:"The user's name as others see it, from joining on."`
	Session  string        `placeholder:"ID" help:"The user's device or connection that acts (default)."`
	Timeout  time.Duration `default:"15s" placeholder:"15s" help:"How long to wait for an answer."`
	JSON     bool          `name:"json" xor:"json" help:"For programs: print one JSON document, lists whole, and an error as one on standard error."`
	Lines    bool          `name:"json-lines" xor:"json" help:"The same, with each entry of a list on a line of its own."`
}

// cli is the command line.
type cli struct {
	options

	Version kong.VersionFlag `help:"Print the version and exit."`

	Enter    enterCmd    `cmd:"" help:"Join a room, and make it if there is none." group:"Being in rooms"`
	Join     joinCmd     `cmd:"" help:"Join a room that exists." group:"Being in rooms"`
	Create   createCmd   `cmd:"" help:"Make a room, with the user as its first member or, without --as, empty." group:"Being in rooms"`
	Switch   switchCmd   `cmd:"" help:"Move from one room to another in one step." group:"Being in rooms"`
	Leave    leaveCmd    `cmd:"" help:"Leave a room." group:"Being in rooms"`
	LeaveAll leaveAllCmd `cmd:"" help:"Leave every room that this session is in." group:"Being in rooms"`

	Ls         lsCmd         `cmd:"" help:"List all rooms." group:"Looking"`
	Get        getCmd        `cmd:"" help:"Describe a room." group:"Looking"`
	Members    membersCmd    `cmd:"" help:"List who is in a room." group:"Looking"`
	Rooms      roomsCmd      `cmd:"" help:"List the rooms that the user is in." group:"Looking"`
	Watch      watchCmd      `cmd:"" help:"Print what happens and is said in a room, one line each, until a signal ends it. The room need not exist yet." group:"Looking"`
	History    historyCmd    `cmd:"" help:"Print what happened, or was said, in a room." group:"Looking"`
	Transcript transcriptCmd `cmd:"" help:"Print what was said in a room, to read or to keep." group:"Looking"`
	Attendance attendanceCmd `cmd:"" help:"List who was in a room, when, and for how long." group:"Looking"`
	Instances  instancesCmd  `cmd:"" help:"List the rooms that there were under one ID, one after the other, the newest first." group:"Looking"`
	Attributes attributesCmd `cmd:"" help:"List the attributes of a room." group:"Looking"`

	Send         sendCmd         `cmd:"" help:"Send a message in a room; without --as, as the server." group:"Saying and setting"`
	Delete       deleteCmd       `cmd:"" help:"Delete messages of a room, so that nobody can read them any more: your own for a while, or as a back end any." group:"Saying and setting"`
	Set          setCmd          `cmd:"" help:"Set and delete attributes of a room, all in one change; without --as, as the server, which owns none." group:"Saying and setting"`
	SetMember    setMemberCmd    `cmd:"" help:"Set attributes of members of a room." group:"Saying and setting"`
	UpdateMember updateMemberCmd `cmd:"" help:"Change the user's own name (--user-name) or info in a room." group:"Saying and setting"`

	Update  updateCmd  `cmd:"" help:"Change a room's name and rules." group:"Running a room"`
	Access  accessCmd  `cmd:"" help:"Set who may join a room as an end user; without flags, show who may, and who runs it." group:"Running a room"`
	SetRole setRoleCmd `cmd:"" help:"Make members of a room hosts, who may run it, or members like others." group:"Running a room"`
	Kick    kickCmd    `cmd:"" help:"Put users out of a room, with all their sessions." group:"Running a room"`
	Ban     banCmd     `cmd:"" help:"Put users out of a room, and keep them out as end users." group:"Running a room"`
	Unban   unbanCmd   `cmd:"" help:"Let users come into a room again." group:"Running a room"`
	Mute    muteCmd    `cmd:"" help:"Keep users from sending in a room as end users." group:"Running a room"`
	Unmute  unmuteCmd  `cmd:"" help:"Let users send in a room again." group:"Running a room"`
	Destroy destroyCmd `cmd:"" help:"End a room and put everybody out." group:"Running a room"`

	Block     blockCmd   `cmd:"" help:"Keep a user out of everything, or refuse some of its tokens." group:"Users"`
	Unblock   unblockCmd `cmd:"" help:"Let a user in again." group:"Users"`
	Blocked   blockedCmd `cmd:"" help:"List the users who are blocked, and the tokens that are refused." group:"Users"`
	Erase     eraseCmd   `cmd:"" help:"Erase all messages of a user in all rooms." group:"Users"`
	MakeToken tokenCmd   `name:"token" cmd:"" help:"Make a token for a user, to try a service that uses tokens." group:"Users"`

	Top      topCmd      `cmd:"" help:"Watch the service: the busiest rooms, the instances and who leads, how long commands take. q ends it." group:"The service"`
	Webhooks webhooksCmd `cmd:"" help:"Look after webhooks (roomd --webhook), and what they could not deliver." group:"The service"`
	Doctor   doctorCmd   `cmd:"" help:"Check the connection, the service and its streams, and say what to do about what is not well." group:"The service"`

	Demo       demoCmd                   `cmd:"" help:"A tour to read, with two users. Starts its own roomd if there is no server." group:"This program"`
	Completion kongcompletion.Completion `cmd:"" help:"Print how to complete commands, flags and rooms with the tab key in bash, zsh or fish." group:"This program"`
	Help       helpCmd                   `cmd:"" help:"List the commands, or explain one; help flags explains the flags that every command has." group:"This program"`
}

type roomArg struct {
	Room string `arg:"" placeholder:"ROOM" predictor:"room" help:"ID of the room."`
}

type requestFlag struct {
	RequestID string `placeholder:"ID" help:"Random if not given; repeating a request with the same ID within two minutes has no second effect and returns the first outcome."`
}

// rulesFlags are the rules of a room that can be changed later.
type rulesFlags struct {
	HistoryForJoiners *bool  `negatable:"" help:"Whether who joins may read what was said before (yes)."`
	Attributes        string `enum:"open,owned," default:"" placeholder:"HOW" help:"Who may change attributes of others: open, every member with --force (the default); owned, hosts only."`
	Speakers          string `enum:"all,hosts," default:"" placeholder:"WHO" help:"Who may send as an end user: all (the default) or hosts."`
	Hosts             string `enum:"none,creator," default:"" placeholder:"WHO" help:"Who is a host without set-role: none (the default) or its creator."`
}

type makeFlags struct {
	Name         string   `placeholder:"NAME" help:"What people see as the room's name."`
	DestroyDelay int64    `placeholder:"SECONDS" help:"How long the room outlives its last member, at most 10800 (0)."`
	MaxMembers   int      `placeholder:"N" help:"How many members it may have (any number)."`
	Delivery     string   `enum:"members,open," default:"" placeholder:"HOW" help:"How end users hear it: members, each member while it is one (the default); open, everybody who is connected."`
	Access       string   `enum:"open,listed,token," default:"" placeholder:"WHO" help:"Who may join as an end user: open, everybody (the default); listed, see --allow; token, users with a token that names the room."`
	Allow        []string `placeholder:"USER" help:"Who may join, with --access listed."`
	rulesFlags
	Attribute map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"An attribute of the room; may be given more than once."`
}

// config is nil if nothing was chosen.
func (f *makeFlags) config() *room.RoomConfig {
	config := room.RoomConfig{
		RoomAttributes: f.Attribute, RoomDestroyDelayTime: f.DestroyDelay, MaxMembers: f.MaxMembers,
		Delivery: f.Delivery, Access: f.Access, AllowedUsers: f.Allow,
		HistoryForJoiners: f.HistoryForJoiners, Attributes: f.Attributes, Speakers: f.Speakers, Hosts: f.Hosts,
	}
	if reflect.ValueOf(config).IsZero() {
		return nil
	}
	return &config
}

// rules are those of the chosen settings that hold for end users only.
func (f *makeFlags) rules() []string { return chosen(f.Speakers, f.Attributes, f.Access, f.Hosts) }

type createCmd struct {
	roomArg
	makeFlags
	requestFlag
}

type joinCmd struct {
	roomArg
	requestFlag
}

type enterCmd struct {
	roomArg
	makeFlags
	requestFlag
}

type switchCmd struct {
	From   string `arg:"" placeholder:"FROM" predictor:"room" help:"ID of the room to leave."`
	To     string `arg:"" placeholder:"TO" predictor:"room" help:"ID of the room to join."`
	Create bool   `help:"Make the room to join if there is none."`
	requestFlag
}

type leaveCmd struct {
	roomArg
	requestFlag
}

type leaveAllCmd struct{ requestFlag }

type getCmd struct{ roomArg }

type membersCmd struct {
	roomArg
	Count bool   `xor:"what" help:"Say only how many there are."`
	At    string `xor:"what" placeholder:"TIME" help:"List who was in at that moment: 2026-01-02T15:04:05Z, or 2026-01-02 15:04:05 in local time."`
}

type roomsCmd struct{}

type lsCmd struct {
	Prefix string `placeholder:"TEXT" help:"Only rooms whose ID starts with this."`
}

type watchCmd struct{ roomArg }

type leaveFlag struct {
	DeleteAfterLeft *bool `negatable:"" help:"Whether the attributes are deleted when their owner leaves."`
}

type setCmd struct {
	roomArg
	Set        map[string]string `arg:"" optional:"" name:"key=value" mapsep:"none" help:"Attributes to set."`
	Delete     []string          `sep:"none" placeholder:"KEY" help:"An attribute to delete; may be given more than once."`
	Force      bool              `help:"Also change attributes that belong to others."`
	Own        bool              `help:"Make the user the owner of the attributes that are set, whoever owned them."`
	IfRevision uint64            `placeholder:"N" help:"Only if no attribute was changed after this revision."`
	leaveFlag
	requestFlag
}

type setMemberCmd struct {
	roomArg
	Set  map[string]string `arg:"" name:"key=value" mapsep:"none" help:"Attributes to set."`
	User []string          `required:"" sep:"none" placeholder:"USER" help:"A member to set them for; may be given more than once."`
	leaveFlag
	requestFlag
}

type attributesCmd struct{ roomArg }

type sendCmd struct {
	roomArg
	Text     []string `arg:"" optional:"" help:"What to say, in one or several words; without any, what comes on standard input."`
	EachLine bool     `name:"lines" help:"Send each line of standard input as a message, as soon as it is there."`
	Type     string   `enum:"text,custom,command,barrage" default:"text" placeholder:"TYPE" help:"${enum}; the last two are live only (${default})."`
	SubType  int      `placeholder:"N" help:"Kind of a custom message."`
	Priority string   `placeholder:"low" help:"low, medium or high; matters if there is a limit on messages per second."`
	Extended string   `placeholder:"TEXT" help:"More text that is sent along, for programs."`
	requestFlag
}

type historyCmd struct {
	roomArg
	Messages bool    `help:"Print what was said instead of what happened."`
	After    *uint64 `xor:"from" placeholder:"N" help:"Begin after this sequence, or with --messages after this message (show the newest)."`
	Before   *uint64 `xor:"from" placeholder:"N" help:"End before this message."`
	Count    int     `default:"100" placeholder:"N" help:"How many to show at most, 0 for all (${default})."`
}

type instancesCmd struct{ roomArg }

type reasonFlag struct {
	Reason string `placeholder:"TEXT" help:"Why; everybody in the room hears it."`
}

type kickCmd struct {
	roomArg
	Users []string `arg:"" name:"user" help:"Users to put out."`
	reasonFlag
	requestFlag
}

type userArg struct {
	User string `arg:"" placeholder:"USER" help:"ID of the user."`
}

type blockCmd struct {
	userArg
	For          time.Duration `placeholder:"24h" help:"How long (until unblock)."`
	Reason       string        `placeholder:"TEXT" help:"Why; the user's devices and the rooms that it is in are told."`
	TokenID      string        `name:"token-id" xor:"what" placeholder:"JTI" help:"Refuse this token, and not the user."`
	IssuedBefore string        `xor:"what" placeholder:"TIME" help:"Refuse tokens from before this time (2026-01-31T12:00:00Z, or now), and not the user."`
	requestFlag
}

type unblockCmd struct {
	userArg
	Tokens bool `help:"Tokens that were refused are good again too."`
	requestFlag
}

type blockedCmd struct {
	User string `arg:"" optional:"" placeholder:"USER" help:"Only this user."`
}

type restrictFlags struct {
	roomArg
	Users []string      `arg:"" name:"user" help:"Users, who need not be in the room."`
	For   time.Duration `placeholder:"DURATION" help:"How long, like 10m or 24h (as long as the room exists)."`
	reasonFlag
	requestFlag
}

type (
	banCmd  struct{ restrictFlags }
	muteCmd struct{ restrictFlags }
)

type liftFlags struct {
	roomArg
	Users []string `arg:"" name:"user" help:"Users, who need not be in the room."`
	requestFlag
}

type (
	unbanCmd  struct{ liftFlags }
	unmuteCmd struct{ liftFlags }
)

type setRoleCmd struct {
	roomArg
	Role  string   `arg:"" enum:"host,member" help:"host or member."`
	Users []string `arg:"" name:"user" help:"Members who get it; they keep it when they leave and come back."`
	requestFlag
}

type updateCmd struct {
	roomArg
	Name         *string `placeholder:"NAME" help:"What people see as the room's name; empty takes it away."`
	DestroyDelay *int64  `placeholder:"SECONDS" help:"How long the room outlives its last member, at most 10800."`
	MaxMembers   *int    `placeholder:"N" help:"How many members it may have, 0 for any number; who is in stays."`
	rulesFlags
	requestFlag
}

// config is nil if nothing of it is to change.
func (c *updateCmd) config() *room.ConfigUpdate {
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	u := room.ConfigUpdate{
		RoomDestroyDelayTime: c.DestroyDelay, MaxMembers: c.MaxMembers, HistoryForJoiners: c.HistoryForJoiners,
		Attributes: given(c.Attributes), Speakers: given(c.Speakers), Hosts: given(c.Hosts),
	}
	if u == (room.ConfigUpdate{}) {
		return nil
	}
	return &u
}

type updateMemberCmd struct {
	roomArg
	Info string `placeholder:"JSON" help:"What programs show of the user: one JSON object."`
	requestFlag
}

type accessCmd struct {
	roomArg
	Access   string   `enum:"open,listed,token," default:"" placeholder:"WHO" help:"open: everybody; listed: the users on the room's list; token: users with a token that names the room."`
	Allow    []string `placeholder:"USER" help:"User to add to the list."`
	Disallow []string `placeholder:"USER" help:"User to take off the list; members stay in the room."`
	requestFlag
}

type destroyCmd struct {
	roomArg
	reasonFlag
	requestFlag
}

type demoCmd struct {
	Embed bool `help:"Start a roomd of its own even if there is a server."`
}
