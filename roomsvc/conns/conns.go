// Package conns asks NATS servers, in their system account, which of their clients'
// connections are open, and whose they are.
package conns

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	answerTime = time.Second
	single     = 8                // connections of one server that are asked about one by one; more are looked for in its whole list
	page       = 2048             // connections on a page of that list
	quietFor   = 10 * time.Second // how long a server that is there may owe an answer; after that its connections count as closed
	againAfter = 3 * time.Second  // when a server that owes an answer is asked again
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
	account     string             // of own; empty: not known yet
	only        string             // ID of the server, if there is no other; empty: there may be
	quiet       map[string]silence // servers that owe an answer; that of own is ""
}

// silence is since when a server owes an answer, and when it was asked last.
type silence struct{ since, asked time.Time }

// New asks through system. Connections count only in the account that own is in. only is the
// ID of the server, if there is no other.
func New(system, own *nats.Conn, only string) *Servers {
	return &Servers{system: system, own: own, only: only, quiet: map[string]silence{}}
}

// Open returns those of the connections of which their servers say that they are open, and those
// of which that is not known because a server that is there does not answer in time. It takes that
// for an answer only after a while. A server that is not there has no open connections.
func (s *Servers) Open(ctx context.Context, named map[Named]bool) (open, unknown map[Named]bool) {
	if len(named) == 0 {
		return nil, nil
	}
	open, unknown = map[Named]bool{}, map[Named]bool{}
	if s.owes(ctx, "", func() error { return s.knowAccount(ctx) }) {
		return open, named
	}
	if s.account == "" {
		return open, unknown
	}
	servers := map[string]map[uint64][]Named{}
	for n := range named {
		if servers[n.ServerID] == nil {
			servers[n.ServerID] = map[uint64][]Named{}
		}
		servers[n.ServerID][n.ClientID] = append(servers[n.ServerID][n.ClientID], n)
	}
	for id, wanted := range servers {
		owes := s.owes(ctx, id, func() error {
			return s.look(ctx, id, wanted, func(c *connection) {
				for _, n := range wanted[c.ID] {
					if cmp.Or(c.Account, globalAccount) == s.account && (n.User == "" || c.User == subjects.ConnectionName(n.User)) {
						open[n] = true
					}
				}
			})
		})
		if !owes {
			continue
		}
		for _, list := range wanted {
			for _, n := range list {
				unknown[n] = true
			}
		}
	}
	return open, unknown
}

// owes asks a server, unless it was asked a moment ago, and says whether it still owes the answer.
func (s *Servers) owes(ctx context.Context, id string, ask func() error) bool {
	q, quiet := s.quiet[id]
	if !quiet || time.Since(q.asked) >= againAfter {
		err := ask()
		if ctx.Err() != nil {
			return true
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			delete(s.quiet, id)
			return false
		}
		now := time.Now()
		if !quiet {
			q.since = now
		}
		q.asked = now
		s.quiet[id] = q
	}
	return time.Since(q.since) < quietFor
}

// knowAccount learns which account the service is in.
func (s *Servers) knowAccount(ctx context.Context) error {
	if s.account != "" {
		return nil
	}
	var info struct {
		Data struct {
			Account string `json:"account"`
		} `json:"data"`
	}
	err := ask(ctx, s.own, subjects.ConnectionInfo, nil, &info)
	s.account = info.Data.Account
	return err
}

// globalAccount is the account that servers leave out in their lists.
const globalAccount = "$G"

// connection is one of a server's, in its list.
type connection struct {
	ID      uint64 `json:"cid"`
	Account string `json:"account"`
	User    string `json:"authorized_user"`

	Subscriptions int `json:"subscriptions"`
}

// question is what a server is asked for.
type question struct {
	Auth   bool   `json:"auth"` // with accounts and users
	ID     uint64 `json:"cid,omitzero"`
	User   string `json:"user,omitzero"`
	Sort   string `json:"sort,omitzero"`
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
	if pages, err := s.listAll(ctx, server, found); err != nil || pages == 1 {
		return err
	}
	// A connection that closed between two pages may have moved another from one to the other.
	_, err := s.listAll(ctx, server, found)
	return err
}

// listAll passes all connections of a server to found, and returns how many pages they are.
func (s *Servers) listAll(ctx context.Context, server string, found func(*connection)) (pages int, err error) {
	for q := (question{Auth: true, Limit: page}); ; q.Offset += page {
		n, err := s.list(ctx, server, &q, found)
		pages++
		if err != nil || n < page {
			return pages, err
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
