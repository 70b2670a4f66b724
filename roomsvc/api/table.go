package api

import (
	"natsrooms/roomsvc/commit"
	"natsrooms/roomsvc/room"
)

// verb is one row of the table of verbs: how a command is taken in and, if it changes or says
// something, how it is answered.
type verb struct {
	take   func(*API, *request)                         // checks a request's form and hands it on
	answer func(*API, *request, *commit.Result, *cache) // of a change that was carried out
	repeat func(*API, *request, *commit.Result)         // of a request that was carried out before
}

// table has a row for each of [room.Commands]. Reads, and what erases, have no answer and
// no repeat of their own: they are answered where they are taken. A send is answered when its message is stored.
var table = map[room.Verb]verb{
	room.Create:              {takeCreate, answerJoined, repeatJoined},
	room.Join:                {takeRoom, answerJoined, repeatJoined},
	room.Enter:               {takeCreate, answerJoined, repeatJoined},
	room.Switch:              {takeSwitch, answerSwitched, repeatJoined},
	room.Leave:               {takeRoom, answerLeft, repeatLeft},
	room.LeaveAll:            {takeLeaveAll, answerLeftAll, repeatLeftAll},
	room.SetAttributes:       {takeAttributes, answerAttributes, repeatAttributes},
	room.SetMemberAttributes: {takeMemberAttributes, answerMemberAttributes, repeatMemberAttributes},
	room.Kick:                {takeKick, answerKicked, repeatKicked},
	room.SetAccess:           {takeAccess, answerAccess, repeatAccess},
	room.DestroyRoom:         {takeDestroy, answerDestroyed, repeatDestroyed},
	room.Update:              {takeUpdate, answerUpdated, repeatUpdated},
	room.UpdateMember:        {takeUpdateMember, answerMember, repeatMember},
	room.SetRole:             {takeRole, answerRole, repeatRole},
	room.Ban:                 {takeRestrict, answerRestricted, repeatRestricted},
	room.Unban:               {takeLift, answerRestricted, repeatRestricted},
	room.Mute:                {takeRestrict, answerRestricted, repeatRestricted},
	room.Unmute:              {takeLift, answerRestricted, repeatRestricted},
	room.Send:                {takeSend, nil, repeatSend},
	room.DeleteMessages:      {take: takeDelete},
	room.EraseUser:           {take: takeErase},
	room.Get:                 {take: takeGet},
	room.Members:             {take: takeMembers},
	room.Count:               {take: takeCount},
	room.MemberOf:            {take: takeMemberOf},
	room.Rooms:               {take: takeRooms},
	room.List:                {take: takeList},
	room.Renew:               {take: takeRenew},
	room.History:             {take: takeHistory},
	room.Instances:           {take: takeInstances},
	room.Block:               {take: takeBlock},
	room.Unblock:             {take: takeUnblock},
	room.Blocked:             {take: takeBlocked},
}
