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

	"natsrooms/roomsvc/policy"
	"natsrooms/subjects"
)

// insider is how roomd connects to the server that it embeds. Its users have key pairs
// made at every start, so that no secret of roomd's is in a file or crosses a wire.
type insider struct {
	service nats.Option // for the account of the rooms; nil if the server accepts no users of ours
	backEnd nats.Option // the same, for the inspector, with the permissions of a back end
	system  nats.Option // for the system account; nil if the server has none
	names   []string    // of all
	account string      // of the rooms; empty: of operators' servers, it is not known
	open    bool        // nobody else needs credentials

	issuer, xkey nkeys.KeyPair // of the answers to the server's auth callout; nil without one
}

// letIn adds roomd's users to a server's options, and the auth callout if it is wanted. Who
// else gets in does not change: if the configuration has no users, and there is no callout,
// still nobody needs credentials. hooks are the subjects where the service asks the application.
func letIn(opts *server.Options, callout bool, hooks []string) (*insider, error) {
	if callout {
		if err := checkCallout(opts); err != nil {
			return nil, err
		}
	}
	if len(opts.TrustedOperators)+len(opts.TrustedKeys) > 0 {
		return &insider{}, nil // servers with an operator know users only by the operator's signature
	}
	account, err := serviceAccount(opts)
	if err != nil {
		return nil, err
	}
	open := isOpen(opts) && !callout
	in := &insider{open: open, account: accountName(account)}
	service := policy.Of(policy.Service)
	service.Publish = slices.Concat(service.Publish, hooks, subjects.ReplaceStream(subjects.StreamMessages, subjects.StreamAside)) // at a start
	role := permissions(service)
	if open {
		role = nil
	}
	if in.service, err = in.addUser(opts, account, role); err != nil {
		return nil, err
	}
	if in.backEnd, err = in.addUser(opts, account, permissions(policy.Of(policy.BackEnd))); err != nil {
		return nil, err
	}
	if !opts.NoSystemAccount {
		if in.system, err = in.addUser(opts, systemAccount(opts), nil); err != nil {
			return nil, err
		}
	}
	switch {
	case open:
		opts.NoAuthUser, err = anybody(opts)
	case callout:
		err = in.addCallout(opts, accountName(account))
	case opts.AuthCallout != nil: // somebody else's, which need not be asked about roomd
		opts.AuthCallout.AuthUsers = append(opts.AuthCallout.AuthUsers, in.names...)
	}
	return in, err
}

// isOpen reports whether the options name nobody, so that the server asks for no
// credentials.
func isOpen(opts *server.Options) bool {
	return len(opts.Users)+len(opts.Nkeys) == 0 && opts.Username == "" && opts.Authorization == ""
}

// anybody adds a user for everybody without credentials, which a server needs as soon as
// it has any user.
func anybody(opts *server.Options) (string, error) {
	_, public, err := newUserKey()
	if err != nil {
		return "", err
	}
	opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public})
	return public, nil
}

// addUser adds a user with a key of its own. A nil account means the global one, and nil
// permissions mean all there are.
func (in *insider) addUser(opts *server.Options, account *server.Account, role *server.Permissions) (nats.Option, error) {
	key, public, err := newUserKey()
	if err != nil {
		return nil, err
	}
	opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public, Account: account, Permissions: role})
	in.names = append(in.names, public)
	return nats.Nkey(public, key.Sign), nil
}

// permissions is a role's permissions in the form of the server's options.
func permissions(p policy.Permissions) *server.Permissions {
	role := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
	}
	if p.Respond {
		role.Response = &server.ResponsePermission{MaxMsgs: policy.RespondTimes, Expires: subjects.RespondWithin}
	}
	return role
}

func newUserKey() (nkeys.KeyPair, string, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", fmt.Errorf("making a key for roomd's own use: %w", err)
	}
	public, err := key.PublicKey()
	return key, public, err
}

// systemAccount is the account for the server's own events; it is made if the
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
		case accountName(account) != opts.SystemAccount && accountName(account) != server.DEFAULT_SYSTEM_ACCOUNT:
			accounts[accountName(account)] = account
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

// configuredUsers is everybody that the options name, each with its account; nil is the
// global account.
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

func accountName(a *server.Account) string {
	if a == nil {
		return server.DEFAULT_GLOBAL_ACCOUNT
	}
	return a.Name
}
