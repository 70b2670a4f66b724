package room

import (
	"github.com/go-json-experiment/json/jsontext"

	"natsrooms/events"
	"natsrooms/subjects"
)

// Bearer is who asks to be let in with a token, and with which.
type Bearer struct {
	User       subjects.User
	BackEnd    bool // it wants a back end's permissions
	Connection Connection
	TokenID    string      // its jti; empty: it has none
	IssuedAt   events.Time // its iat; 0: it has none
	Key        uint64      // stands for the key that it is signed with
}

// TokenMark is what is remembered of a token. The zero value is that of a token of which nothing is known.
type TokenMark struct {
	User     subjects.User `json:"userID,omitzero"`
	ID       uint64        `json:"id,omitzero"` // stands for its jti; 0: it has none
	IssuedAt events.Time   `json:"issuedAt,omitzero"`
	Key      uint64        `json:"key,omitzero"` // stands for the key that it is signed with
}

// Grant is what a token gives its user besides permissions, from the moment when the user
// connects with it.
type Grant struct {
	From  Bearer          // of the token; what its token is refused for, the grant is too
	Rooms []subjects.Room // that it may join if they are by token
	Hosts []subjects.Room // that it is a host of, and may join likewise
	Named bool            // Name and Info are what the user is called from now on
	Name  string
	Info  jsontext.Value // one JSON object, or nothing
	Until events.Time    // 0: it does not end
}

// Check checks how a grant calls its user.
func (g *Grant) Check(l *Limits) *Error {
	if err := Text("name", g.Name, l.UserName); err != nil {
		return err
	}
	info, err := userInfo("info", g.Info)
	g.Info = info
	return err
}

// userInfo checks what is said about a user for other members. The JSON it returns is compact.
func userInfo(field string, given jsontext.Value) (jsontext.Value, *Error) {
	if len(given) == 0 || string(given) == "null" {
		return nil, nil
	}
	info := given.Clone()
	if err := info.Format(); err != nil || info.Kind() != jsontext.KindBeginObject {
		return nil, Invalid(field, "must be one JSON object")
	}
	if len(info) > MaxUserInfo {
		return nil, over(ErrParamInvalid, field, MaxUserInfo, len(info), "has %d bytes; it may have %d", len(info), MaxUserInfo)
	}
	return info, nil
}
