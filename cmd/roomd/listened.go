package main

import "github.com/nats-io/nats-server/v2/server"

// listened says whether anybody who is connected to an embedded server, or a stream there, subscribes to a
// subject of an account: leaf nodes and accounts that import it say so too. It returns nil, because that is not known, if
// the configuration maps subjects of the account to others.
func listened(s *server.Server, account string) func(subject string) bool {
	if account == "" {
		return nil
	}
	known, err := s.Accountz(&server.AccountzOptions{Account: account})
	if err != nil || len(known.Account.Mappings) > 0 {
		return nil
	}
	a, err := s.LookupAccount(account)
	if err != nil {
		return nil
	}
	return a.SubscriptionInterest
}
