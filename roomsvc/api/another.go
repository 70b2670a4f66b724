package api

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// fromAnother refuses a command in the user form that the NATS server has passed on from another
// account. The server says so in a header, whether or not the import shares details. The header
// alone proves nothing, since the account's own users may write it themselves; so what has it counts as
// the user's, unless others is true. That is proven by the reply subject, which no client may choose.
func (a *API) fromAnother(m *nats.Msg, verb room.Verb) (refused *room.Error, others bool) {
	info := header(m.Header, subjects.RequestInfo)
	others = subjects.ReplyImported(m.Reply)
	if info == "" && !others {
		return nil, false
	}
	if others || m.Reply == "" {
		a.warnOfImports(m, info)
	}
	return room.Refuse(room.ErrNotAllowed, "this command comes from another account of the NATS server, where nobody proves who acts; back ends of other accounts send it to %s with the userID", subjects.Command(string(verb))), others
}

func (a *API) warnOfImports(m *nats.Msg, info string) {
	var from struct {
		Account string `json:"acc"`
	}
	_ = json.Unmarshal([]byte(info), &from) // or it is not said
	if unsaid, due := a.imports.Due(time.Now(), time.Minute); due {
		a.Log.Warn("commands in the user form come from another account and are refused: who acts is not proven there; export room.cmd.* only, to accounts whose programs may act for every user (docs/topologies.md)",
			"account", cut(from.Account), "subject", cut(m.Subject), "others before it", unsaid)
	}
}

// cut keeps what others choose from filling the log.
func cut(s string) string { return s[:min(len(s), 128)] }
