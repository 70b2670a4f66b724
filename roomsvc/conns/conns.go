// Package conns asks NATS servers, in their system account, which of their clients'
// connections are open, and whose they are.
package conns

import (
	"cmp"
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	answerTime = time.Second
	single     = 8    // connections of one server that are asked about one by one; more are looked for in its whole list
	page       = 2048 // connections on a page of that list
	quietFor   = 10 * time.Second
)

// Named is a connection as a session named it. User is the user whose it must be; if it is
// empty, a trusted caller named the connection, and it may be anybody's.
type Named struct {
	room.Connection
	User subjects.User
}

// Servers are the servers that can be asked. They are for one goroutine.
type Servers struct {
	system, own *nats.Conn
	account     string               // of own; empty: not known yet
	quiet       map[string]time.Time // servers that did not answer, and when
}

// New asks through system. Connections count only in the account that own is in.
func New(system, own *nats.Conn) *Servers {
	return &Servers{system: system, own: own, quiet: map[string]time.Time{}}
}

// Open returns those of the connections of which their servers say that they are open. What
// cannot be found out is not open.
func (s *Servers) Open(ctx context.Context, named map[Named]bool) map[Named]bool {
	open := map[Named]bool{}
	if len(named) == 0 || !s.knowAccount(ctx) {
		return open
	}
	servers := map[string]map[uint64][]Named{}
	for n := range named {
		if servers[n.ServerID] == nil {
			servers[n.ServerID] = map[uint64][]Named{}
		}
		servers[n.ServerID][n.ClientID] = append(servers[n.ServerID][n.ClientID], n)
	}
	for id, wanted := range servers {
		if time.Since(s.quiet[id]) < quietFor {
			continue
		}
		delete(s.quiet, id)
		err := s.look(ctx, id, wanted, func(c *connection) {
			for _, n := range wanted[c.ID] {
				if cmp.Or(c.Account, globalAccount) == s.account && (n.User == "" || c.User == subjects.ConnectionName(n.User)) {
					open[n] = true
				}
			}
		})
		if err != nil {
			s.quiet[id] = time.Now()
		}
	}
	return open
}

// knowAccount learns which account the service is in.
func (s *Servers) knowAccount(ctx context.Context) bool {
	if s.account != "" {
		return true
	}
	var info struct {
		Data struct {
			Account string `json:"account"`
		} `json:"data"`
	}
	if ask(ctx, s.own, subjects.ConnectionInfo, nil, &info) == nil {
		s.account = info.Data.Account
	}
	return s.account != ""
}

// globalAccount is the account that servers leave out in their lists.
const globalAccount = "$G"

// connection is one of a server's, in its list.
type connection struct {
	ID      uint64 `json:"cid"`
	Account string `json:"account"`
	User    string `json:"authorized_user"`
}

// question is what a server is asked for.
type question struct {
	Auth   bool   `json:"auth"` // with accounts and users
	ID     uint64 `json:"cid,omitzero"`
	Offset int    `json:"offset,omitzero"`
	Limit  int    `json:"limit,omitzero"`
}

// look passes the wanted connections of a server to found, perhaps with others.
func (s *Servers) look(ctx context.Context, server string, wanted map[uint64][]Named, found func(*connection)) error {
	if len(wanted) <= single {
		for id := range wanted {
			if _, err := s.list(ctx, server, &question{Auth: true, ID: id}, found); err != nil {
				return err
			}
		}
		return nil
	}
	for q := (question{Auth: true, Limit: page}); ; q.Offset += page {
		if n, err := s.list(ctx, server, &q, found); err != nil || n < page {
			return err
		}
	}
}

// list passes one page of a server's connections to found and returns how many they are.
func (s *Servers) list(ctx context.Context, server string, q *question, found func(*connection)) (int, error) {
	data, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			List []connection `json:"connections"`
		} `json:"data"`
	}
	if err := ask(ctx, s.system, subjects.ServerConnections(server), data, &answer); err != nil {
		return 0, err
	}
	for i := range answer.Data.List {
		found(&answer.Data.List[i])
	}
	return len(answer.Data.List), nil
}

func ask(ctx context.Context, nc *nats.Conn, subject string, data []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	return json.Unmarshal(m.Data, answer)
}
