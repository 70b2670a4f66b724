package room

import "strconv"

// MaxMessageSeqs is how many messages one deleteMessages deletes.
const MaxMessageSeqs = 100

// DeleteMessagesRequest is the body of deleteMessages. It names messages, or a user whose
// messages are meant.
type DeleteMessagesRequest struct {
	Caller      `json:",embed"`
	RoomID      string   `json:"roomID"`
	InstanceID  string   `json:"instanceID,omitzero"`  // of the messages; empty: the room as it is now
	MessageSeqs []uint64 `json:"messageSeqs,omitzero"` // at most 100
	OfUserID    string   `json:"ofUserID,omitzero"`    // all messages of this user, a page at a time
	NextFlag    string   `json:"nextFlag,omitzero"`    // with ofUserID: of the reply before
}

// DeleteMessagesReply answers deleteMessages.
type DeleteMessagesReply struct {
	RoomID      string   `json:"roomID"`
	InstanceID  string   `json:"instanceID"`
	MessageSeqs []uint64 `json:"messageSeqs"` // that were deleted; those that are not kept any more are left out
	NextFlag    string   `json:"nextFlag"`    // with ofUserID: not empty: there may be more
	Lease       `json:",embed"`
}

// EraseUserRequest is the body of eraseUser; its userID is the user whose messages are erased.
type EraseUserRequest struct {
	Caller   `json:",embed"`
	NextFlag string `json:"nextFlag,omitzero"` // of the reply before
}

// EraseUserReply answers eraseUser.
type EraseUserReply struct {
	UserID   string `json:"userID"`
	Erased   int    `json:"erased"`   // messages so far, over all pages
	NextFlag string `json:"nextFlag"` // not empty: there may be more
	Lease    `json:",embed"`
}

// Check checks which messages are to be deleted.
func (q *DeleteMessagesRequest) Check() *Error {
	n := len(q.MessageSeqs)
	switch {
	case n > 0 && q.OfUserID != "":
		return Invalid("ofUserID", "names a user, and messageSeqs names messages; give one of the two")
	case q.OfUserID == "" && (n == 0 || n > MaxMessageSeqs):
		return over(ErrParamInvalid, "messageSeqs", MaxMessageSeqs, n, "has %d messages; it must have 1 to %d, or ofUserID must name a user", n, MaxMessageSeqs)
	case q.OfUserID == "" && q.NextFlag != "":
		return Invalid("nextFlag", "is only for ofUserID")
	case q.OfUserID != "":
		if _, err := q.From(); err != nil {
			return err
		}
		return ParseID("ofUserID", q.OfUserID)
	}
	for _, seq := range q.MessageSeqs {
		if seq == 0 {
			return Invalid("messageSeqs", "has 0, which is no message")
		}
	}
	return nil
}

// From is the position that the request goes on from.
func (q *DeleteMessagesRequest) From() (uint64, *Error) {
	if q.NextFlag == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(q.NextFlag, 10, 64)
	if err != nil {
		return 0, Invalid("nextFlag", "is %q, which no reply had; start without one", q.NextFlag)
	}
	return seq, nil
}
