package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/room"
)

const (
	completionTime  = time.Second // that somebody who presses the tab key waits at most
	completionRooms = 100         // rooms that are offered at most
)

// completes answers a shell that asks how a command line goes on; false if none does.
func completes(ctx context.Context, stdout, stderr io.Writer) bool {
	if os.Getenv("COMP_LINE") == "" {
		return false
	}
	var c cli
	parser := newParser(&c, stdout, stderr, func(int) {})
	command, err := kongcompletion.Command(parser, kongcompletion.WithPredictors(map[string]complete.Predictor{
		"room":    complete.PredictFunc(func(a complete.Args) []string { return roomsFor(ctx, a) }),
		"context": complete.PredictFunc(func(complete.Args) []string { return contexts() }),
		"command": complete.PredictFunc(func(complete.Args) []string {
			names := []string{"flags"}
			for _, n := range parser.Model.Children {
				names = append(names, n.Name)
			}
			return names
		}),
	}))
	if err != nil {
		return true // there is nobody to tell
	}
	countCommonFlags(&command)
	shell := complete.New(parser.Model.Name, command)
	shell.Out = stdout
	return shell.Complete()
}

// countCommonFlags lets the flags of every command stand before arguments: the library takes
// them, and their values, for arguments.
func countCommonFlags(command *complete.Command) {
	common, ok := command.Args.(*kongcompletion.PositionalPredictor)
	if !ok {
		return
	}
	for _, sub := range command.Sub {
		if own, ok := sub.Args.(*kongcompletion.PositionalPredictor); ok {
			own.ArgFlags, own.BoolFlags = append(own.ArgFlags, common.ArgFlags...), append(own.BoolFlags, common.BoolFlags...)
		}
	}
}

// roomsFor is the rooms whose ID begins with what was typed: all of them or, for an end user,
// those that it is in. What cannot be asked in time is nothing.
func roomsFor(ctx context.Context, a complete.Args) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	s := &session{stdout: io.Discard, stderr: io.Discard, abort: func(error) { cancel() }}
	s.Server, s.Context = os.Getenv(envServer), os.Getenv(envContext)
	s.As, s.Token, s.Timeout = os.Getenv(envAs), os.Getenv(envToken), completionTime
	for name, to := range map[string]*string{"--server": &s.Server, "-s": &s.Server, "--context": &s.Context, "--creds": &s.Creds, "--token": &s.Token, "--as": &s.As} {
		if value := typedFlag(a.All, name); value != "" {
			*to = value
		}
	}
	s.EndUser = slices.Contains(a.All, "--end-user")
	if typedFlag(a.All, "--server") != "" || typedFlag(a.All, "-s") != "" {
		s.Context = ""
	}
	if s.Context == "" && s.Server == "" {
		s.Server = defaultServer
	}
	c, err := s.client()
	defer s.close()
	if err != nil {
		return nil
	}
	return s.roomIDs(ctx, c, a.Last)
}

func (s *session) roomIDs(ctx context.Context, c *client.Client, prefix string) (ids []string) {
	if s.userForm {
		if reply, err := c.Rooms(ctx, room.RoomsRequest{}); err == nil {
			for _, r := range reply.Rooms {
				ids = append(ids, r.RoomID)
			}
		}
	} else if reply, err := c.List(ctx, room.ListRequest{Prefix: prefix, Page: room.Page{Count: completionRooms}}); err == nil {
		for _, r := range reply.RoomList {
			ids = append(ids, r.RoomID)
		}
	}
	// A shell would take another one for several words, or run something.
	return slices.DeleteFunc(ids, func(id string) bool { return shellWord(id) != id || strings.HasPrefix(id, "-") })
}

// typedFlag is the value of a flag in an unfinished command line.
func typedFlag(args []string, name string) string {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, name+"="); ok {
			return value
		}
		if arg == name && i+1 < len(args)-1 {
			return args[i+1]
		}
	}
	return ""
}
