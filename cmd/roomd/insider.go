package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// insider is how roomd gets into the server that it embeds. Its users have key pairs
// made at every start, so that no secret of roomd's stands in a file or crosses a wire.
type insider struct {
	service nats.Option // for the account of the rooms; nil if the server takes no users of ours
	system  nats.Option // for the system account; nil if the server has none
}

// letIn adds roomd's users to a server's options. Who else gets in does not change: where
// the configuration has nobody, everybody still needs no credentials.
func letIn(opts *server.Options) (*insider, error) {
	if len(opts.TrustedOperators)+len(opts.TrustedKeys) > 0 {
		return &insider{}, nil // an operator's servers know users by his signature alone
	}
	account, err := serviceAccount(opts)
	if err != nil {
		return nil, err
	}
	open := isOpen(opts)
	in := &insider{}
	if in.service, err = addUser(opts, account); err != nil {
		return nil, err
	}
	if !opts.NoSystemAccount {
		if in.system, err = addUser(opts, systemAccount(opts)); err != nil {
			return nil, err
		}
	}
	if open {
		opts.NoAuthUser, err = anybody(opts)
	}
	return in, err
}

// isOpen tells whether the options name nobody, so that the server asks for no
// credentials.
func isOpen(opts *server.Options) bool {
	return len(opts.Users)+len(opts.Nkeys) == 0 && opts.Username == "" && opts.Authorization == ""
}

// anybody adds a user for everybody without credentials, which a server needs from the
// moment on that it has any user.
func anybody(opts *server.Options) (string, error) {
	_, public, err := newUserKey()
	if err != nil {
		return "", err
	}
	opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public})
	return public, nil
}

// addUser adds a user with a key of its own; nil is the global account.
func addUser(opts *server.Options, account *server.Account) (nats.Option, error) {
	key, public, err := newUserKey()
	if err != nil {
		return nil, err
	}
	opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public, Account: account})
	return nats.Nkey(public, key.Sign), nil
}

func newUserKey() (nkeys.KeyPair, string, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", fmt.Errorf("making a key for roomd's own use: %w", err)
	}
	public, err := key.PublicKey()
	return key, public, err
}

// systemAccount is the account for the server's own events; it is made where the
// configuration leaves it to the server.
func systemAccount(opts *server.Options) *server.Account {
	name := opts.SystemAccount
	if name == "" {
		name = server.DEFAULT_SYSTEM_ACCOUNT
	}
	for _, a := range opts.Accounts {
		if a.Name == name {
			return a
		}
	}
	a := server.NewAccount(name)
	if opts.SystemAccount == "" {
		opts.Accounts = append(opts.Accounts, a)
	}
	return a
}

// serviceAccount is the account that the rooms are in: that of the no_auth_user, or else
// the only one that the configuration has users for. Nil is the global account.
func serviceAccount(opts *server.Options) (*server.Account, error) {
	accounts := map[string]*server.Account{}
	for name, account := range configuredUsers(opts) {
		switch {
		case name == opts.NoAuthUser:
			return account, nil
		case account == nil:
			accounts[server.DEFAULT_GLOBAL_ACCOUNT] = nil
		case account.Name != opts.SystemAccount && account.Name != server.DEFAULT_SYSTEM_ACCOUNT:
			accounts[account.Name] = account
		}
	}
	names := slices.Sorted(maps.Keys(accounts))
	if len(names) > 1 {
		return nil, fmt.Errorf("the configuration has users in the accounts %s, and roomd cannot tell which one the rooms are in; name a no_auth_user of that account, or run nats-server with it and roomd with --nats URL --creds FILE", strings.Join(names, ", "))
	}
	for _, account := range accounts {
		return account, nil
	}
	return nil, nil
}

// configuredUsers is everybody whom the options name, with an account, nil if that is
// the global one.
func configuredUsers(opts *server.Options) iter.Seq2[string, *server.Account] {
	return func(yield func(string, *server.Account) bool) {
		for _, u := range opts.Users {
			if !yield(u.Username, u.Account) {
				return
			}
		}
		for _, u := range opts.Nkeys {
			if !yield(u.Nkey, u.Account) {
				return
			}
		}
	}
}
