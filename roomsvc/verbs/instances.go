package verbs

import (
	"context"
	"strconv"

	"natsrooms/roomsvc/api"
	"natsrooms/roomsvc/room"
)

// takeInstances takes a request for the rooms that there were under one ID.
func takeInstances(a *api.API, q *api.Request) {
	var body room.InstancesRequest
	r, ok := api.BeginRead(a, q, &body, &body.RoomID)
	if !ok {
		return
	}
	place := uint64(0)
	count, refused := room.PageCount(body.Count)
	if body.NextFlag != "" {
		var err error
		if place, err = strconv.ParseUint(body.NextFlag, 10, 64); err != nil || place == 0 {
			refused = room.Invalid("nextFlag", "is %q, which no page returned; start with an empty one", body.NextFlag)
		}
	}
	if refused != nil {
		a.SendError(q, refused)
		return
	}
	a.ReadAside(q, body.Freshness, r, func(ctx context.Context) (any, *room.Error) {
		reply, err := a.Past.Instances(ctx, r, place, count)
		switch {
		case err != nil:
			return nil, unread(a, r, err)
		case len(reply.Instances) == 0 && place == 0:
			return nil, room.Refuse(room.ErrRoomNotExist, "there is no room %q, and no fact of an earlier one is kept", r)
		}
		return reply, nil
	})
}
