package room

import (
	"natsrooms/events"
	"natsrooms/subjects"
)

// Limits of what can be refused to a user.
const (
	MaxBlock   = 10 * 365 * 24 * 3600 // seconds
	MaxTokenID = 256                  // bytes
	MaxTokens  = 100                  // revoked one by one, of one user

	aheadMs = 30_000 // a back end's clock may be ahead of the service's by this much
)

// BlockRequest is the body of block. Its userID is the user whom it is about.
type BlockRequest struct {
	Caller       `json:",embed"`
	Seconds      int64       `json:"seconds,omitzero"`      // 0: until unblock; at most ten years
	Reason       string      `json:"reason,omitzero"`       // at most 256 bytes
	TokenID      string      `json:"tokenID,omitzero"`      // the jti of a token: that one is refused, and not the user
	IssuedBefore events.Time `json:"issuedBefore,omitzero"` // tokens with an earlier iat, or none, are refused, and not the user
}

// UnblockRequest is the body of unblock. Its userID is the user whom it is about.
type UnblockRequest struct {
	Caller `json:",embed"`
	Tokens bool `json:"tokens,omitzero"` // tokens that were revoked are good again too
}

// BlockedRequest is the body of blocked. With a userID it asks about that user alone.
type BlockedRequest struct {
	Caller `json:",embed"`
	Page   `json:",embed"`
}

// Barred is what is refused to a user.
type Barred struct {
	UserID       string         `json:"userID"`
	Blocked      bool           `json:"blocked"`               // everything
	Until        events.Time    `json:"until,omitzero"`        // when the block ends; absent: it does not
	Reason       string         `json:"reason,omitzero"`       // of the block
	BlockedAt    events.Time    `json:"blockedAt,omitzero"`    // since when
	Tokens       []RevokedToken `json:"tokens,omitzero"`       // tokens that are refused
	IssuedBefore events.Time    `json:"issuedBefore,omitzero"` // tokens with an earlier iat, or none, are refused
}

// RevokedToken is a token that is refused.
type RevokedToken struct {
	TokenID string      `json:"tokenID"`        // its jti
	Until   events.Time `json:"until,omitzero"` // absent: for good
}

// BlockReply answers block.
type BlockReply struct {
	Barred `json:",embed"`
	Lease  `json:",embed"`
}

// UnblockReply answers unblock.
type UnblockReply struct {
	Barred `json:",embed"`
	Lease  `json:",embed"`
}

// BlockedReply answers blocked.
type BlockedReply struct {
	UserList []Barred `json:"userList"`
	NextFlag string   `json:"nextFlag"`
	Lease    `json:",embed"`
}

// Check checks a block that arrives now.
func (q *BlockRequest) Check(now events.Time) *Error {
	switch {
	case q.Seconds < 0 || q.Seconds > MaxBlock:
		return over(ErrParamInvalid, "seconds", MaxBlock, int(q.Seconds), "is %d; it must be 1 to %d, or 0 for as long as nobody unblocks the user", q.Seconds, MaxBlock)
	case q.TokenID != "" && q.IssuedBefore != 0:
		return Invalid("issuedBefore", "and tokenID are both given; send two requests")
	case q.IssuedBefore != 0 && q.Seconds != 0:
		return Invalid("seconds", "is %d, and tokens that are refused by when they were issued are refused for good; leave it out", q.Seconds)
	case q.IssuedBefore > now+aheadMs:
		return Invalid("issuedBefore", "is in the future, so tokens that will be made would be refused too; block the user instead, without it")
	}
	if err := Text("tokenID", q.TokenID, MaxTokenID); err != nil {
		return err
	}
	return Text("reason", q.Reason, MaxReason)
}

// Apply adds what a block refuses, from now on.
func (b *Barred) Apply(q *BlockRequest, now events.Time) *Error {
	until := events.Time(0)
	if q.Seconds > 0 {
		until = now + events.Time(q.Seconds)*1000
	}
	switch {
	case q.IssuedBefore != 0:
		b.IssuedBefore = max(b.IssuedBefore, q.IssuedBefore)
	case q.TokenID != "":
		for i := range b.Tokens {
			if b.Tokens[i].TokenID == q.TokenID {
				b.Tokens[i].Until = until
				return nil
			}
		}
		if n := len(b.Tokens); n >= MaxTokens {
			return over(ErrParamInvalid, "tokenID", MaxTokens, n+1, "would be revoked token %d of %q; that many can be one by one, %d; use issuedBefore", n+1, q.UserID, MaxTokens)
		}
		b.Tokens = append(b.Tokens, RevokedToken{q.TokenID, until})
	default:
		if !b.Blocked {
			b.BlockedAt = now
		}
		b.Blocked, b.Until, b.Reason = true, until, q.Reason
	}
	return nil
}

// Lift takes back a block, and with tokens everything else.
func (b *Barred) Lift(tokens bool) {
	b.Blocked, b.Until, b.Reason, b.BlockedAt = false, 0, "", 0
	if tokens {
		b.Tokens, b.IssuedBefore = nil, 0
	}
}

// Outlived takes away what has ended.
func (b *Barred) Outlived(now events.Time) {
	if b.Blocked && b.Until != 0 && b.Until <= now {
		b.Lift(false)
	}
	var left []RevokedToken
	for _, t := range b.Tokens {
		if t.Until == 0 || t.Until > now {
			left = append(left, t)
		}
	}
	b.Tokens = left
}

// Anything says whether anything is refused.
func (b *Barred) Anything() bool { return b.Blocked || len(b.Tokens) > 0 || b.IssuedBefore != 0 }

// Ends is when nothing of it is refused any more; 0: that never comes.
func (b *Barred) Ends() (last events.Time) {
	if b.IssuedBefore != 0 || b.Blocked && b.Until == 0 {
		return 0
	}
	last = b.Until
	for _, t := range b.Tokens {
		if t.Until == 0 {
			return 0
		}
		last = max(last, t.Until)
	}
	return last
}

// Refusal refuses what a blocked user asks for; nil if it is not blocked.
func (b *Barred) Refusal() *Error {
	if !b.Blocked {
		return nil
	}
	why, end := "", "nothing happened; a back end can unblock it"
	if b.Reason != "" {
		why = " (" + b.Reason + ")"
	}
	if b.Until != 0 {
		end = "nothing happened; try again after " + b.Until.String()
	}
	e := Refuse(ErrBlocked, "%q is blocked%s; %s", b.UserID, why, end)
	e.Until = b.Until
	return e
}

// Banish is the next fact that puts a blocked user out of a room, with all its sessions; nil if it
// is not there.
func Banish(s *State, u subjects.User, reason string, in Input) *events.Fact {
	if s == nil || s.Ending() || s.Member(u) == nil {
		return nil
	}
	r := NewRun(s.Room, s, in)
	r.kick(&Command{Verb: Kick, Users: []subjects.User{u}, ReasonText: reason})
	return r.Fact()
}
