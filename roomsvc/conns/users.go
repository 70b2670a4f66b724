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

// othersWithin is how much later than the first one further servers may answer.
const othersWithin = 200 * time.Millisecond

// Of lists the open connections of an end user with a token, on all servers. An error says that
// no server answered.
func (s *Servers) Of(ctx context.Context, u subjects.User) ([]room.Connection, error) {
	return s.named(ctx, subjects.ConnectionName(u))
}

// OfBackEnd lists the open connections of a back end with a token, likewise.
func (s *Servers) OfBackEnd(ctx context.Context, u subjects.User) ([]room.Connection, error) {
	return s.named(ctx, subjects.BackEndName(u))
}

func (s *Servers) named(ctx context.Context, name string) ([]room.Connection, error) {
	list, _, err := s.all(ctx, &question{Auth: true, Limit: page, User: name}, func(*connection, string) bool { return true })
	return list, err
}

// WithTokens lists the open connections with a token that are wanted, on all servers.
func (s *Servers) WithTokens(ctx context.Context, want func(subjects.User, room.Connection) bool) (list []room.Connection, err error) {
	found := map[room.Connection]bool{} // one that moves from one page to another is listed once
	for q := (question{Auth: true, Limit: page}); ; q.Offset += page {
		part, most, err := s.all(ctx, &q, func(c *connection, server string) bool {
			u, ok := subjects.BearerOfConnection(c.User)
			return ok && want(u, room.Connection{ServerID: server, ClientID: c.ID})
		})
		for _, c := range part {
			if !found[c] {
				found[c] = true
				list = append(list, c)
			}
		}
		if err != nil || most < page {
			return list, err
		}
	}
}

// Crowded lists connections of end users with a token that have more subscriptions than most.
func (s *Servers) Crowded(ctx context.Context, most int) ([]room.Connection, error) {
	list, _, err := s.all(ctx, &question{Auth: true, Limit: crowds, Sort: "subs"}, func(c *connection, _ string) bool {
		_, ok := subjects.UserOfConnection(c.User)
		return ok && c.Subscriptions > most
	})
	return list, err
}

// crowds is how many connections of a server are looked at, those with the most subscriptions.
const crowds = 256

// all asks all servers, and lists the connections that are wanted; most is how many the server
// with the most listed. It asks for those of all accounts: for one account the server reads IDs of
// connections that are just being made.
func (s *Servers) all(ctx context.Context, ask *question, want func(c *connection, server string) bool) (open []room.Connection, most int, err error) {
	if err := s.knowAccount(ctx); err != nil {
		return nil, 0, err
	}
	q, err := json.Marshal(ask)
	if err != nil {
		return nil, 0, err
	}
	inbox := s.system.NewInbox()
	sub, err := s.system.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.system.PublishRequest(subjects.AllConnections, inbox, q); err != nil {
		return nil, 0, err
	}
	wait := answerTime
	for {
		m, err := next(ctx, sub, wait)
		if err != nil {
			if wait == othersWithin {
				err = nil
			}
			return open, most, err
		}
		wait = othersWithin
		listed := 0
		server, err := take(m.Data, func(c *connection, server string) {
			listed++
			if cmp.Or(c.Account, globalAccount) == s.account && want(c, server) {
				open = append(open, room.Connection{ServerID: server, ClientID: c.ID})
			}
		})
		most = max(most, listed)
		if err != nil || server == s.only {
			return open, most, err
		}
	}
}

// take passes on the connections in a server's answer, and returns the server's ID.
func take(data []byte, found func(c *connection, server string)) (server string, err error) {
	var answer struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
		Data struct {
			List []connection `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", err
	}
	for i := range answer.Data.List {
		found(&answer.Data.List[i], answer.Server.ID)
	}
	return answer.Server.ID, nil
}

func next(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// End ends a connection.
func (s *Servers) End(ctx context.Context, c room.Connection) error {
	data, err := json.Marshal(map[string]uint64{"cid": c.ClientID})
	if err != nil {
		return err
	}
	var answer struct{}
	return ask(ctx, s.system, subjects.EndConnection(c.ServerID), data, &answer)
}
