package verbs

import (
	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/room"
)

// Table has a row for each of [room.Commands]. Reads, what erases and what bars have no answer
// and no repeat of their own: they are answered where they are taken. A send is answered when
// its message is stored.
var Table = map[room.Verb]api.Verb{
	room.Create:              {Take: takeCreate, Answer: answerJoined, Repeat: repeatJoined},
	room.Join:                {Take: takeRoom, Answer: answerJoined, Repeat: repeatJoined},
	room.Enter:               {Take: takeCreate, Answer: answerJoined, Repeat: repeatJoined},
	room.Switch:              {Take: takeSwitch, Answer: answerSwitched, Repeat: repeatJoined},
	room.Leave:               {Take: takeRoom, Answer: answerLeft, Repeat: repeatLeft},
	room.LeaveAll:            {Take: takeLeaveAll, Answer: answerLeftAll, Repeat: repeatLeftAll},
	room.SetAttributes:       {Take: takeAttributes, Answer: answerAttributes, Repeat: repeatAttributes},
	room.SetMemberAttributes: {Take: takeMemberAttributes, Answer: answerMemberAttributes, Repeat: repeatMemberAttributes},
	room.Kick:                {Take: takeKick, Answer: answerKicked, Repeat: repeatKicked},
	room.SetAccess:           {Take: takeAccess, Answer: answerAccess, Repeat: repeatAccess},
	room.DestroyRoom:         {Take: takeDestroy, Answer: answerDestroyed, Repeat: repeatDestroyed},
	room.Update:              {Take: takeUpdate, Answer: answerUpdated, Repeat: repeatUpdated},
	room.UpdateMember:        {Take: takeUpdateMember, Answer: answerMember, Repeat: repeatMember},
	room.SetRole:             {Take: takeRole, Answer: answerRole, Repeat: repeatRole},
	room.Ban:                 {Take: takeRestrict, Answer: answerRestricted, Repeat: repeatRestricted},
	room.Unban:               {Take: takeLift, Answer: answerRestricted, Repeat: repeatRestricted},
	room.Mute:                {Take: takeRestrict, Answer: answerRestricted, Repeat: repeatRestricted},
	room.Unmute:              {Take: takeLift, Answer: answerRestricted, Repeat: repeatRestricted},
	room.Send:                {Take: takeSend, Repeat: repeatSend},
	room.DeleteMessages:      {Take: takeDelete},
	room.EraseUser:           {Take: takeErase},
	room.Get:                 {Take: takeGet},
	room.Members:             {Take: takeMembers},
	room.Count:               {Take: takeCount},
	room.MemberOf:            {Take: takeMemberOf},
	room.Rooms:               {Take: takeRooms},
	room.List:                {Take: takeList},
	room.Renew:               {Take: takeRenew},
	room.History:             {Take: takeHistory},
	room.Instances:           {Take: takeInstances},
	room.Block:               {Take: takeBlock},
	room.Unblock:             {Take: takeUnblock},
	room.Blocked:             {Take: takeBlocked},
}
