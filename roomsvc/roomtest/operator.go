package roomtest

import (
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/policy"
	"natsrooms/subjects"
)

// Operator is a server in operator mode: JSON Web Tokens signed by accounts, and not its
// configuration, say who its users are. The account of the rooms lets users in by an auth callout.
type Operator struct {
	*Node
	Account string // public key of the account of the rooms
	Issuer  string // seed of the key that signs the account's users, as a line of a file

	// Files of credentials.
	Service  string // a user whom the callout is not asked about, with the permissions of roomd
	Stranger string // another user of the account, who may do everything but for the callout
	Sentinel string // a user who may do nothing
	System   string // a user of the system account
}

// OperatorSettings is what an operator may do in one way or another.
type OperatorSettings struct {
	SigningKey      bool   // users are signed with a key besides the account's own
	XKey            string // public curve key that questions are encrypted for; empty: they are not
	DefaultSentinel bool   // the server uses the sentinel's credentials for clients without any
}

// StartOperator starts such a server, which runs until the test ends.
func StartOperator(t testing.TB, s OperatorSettings, opts ...Option) *Operator {
	t.Helper()
	operatorKey, operator, _ := KeyPair(t, nkeys.CreateOperator)
	systemKey, system, _ := KeyPair(t, nkeys.CreateAccount)
	o := &Operator{}
	signer, account, seed := KeyPair(t, nkeys.CreateAccount)
	o.Account, o.Issuer = account, seed
	resolver := &server.MemAccResolver{}
	chat := jwt.NewAccountClaims(account)
	chat.Limits.JetStreamLimits = unlimited
	if s.SigningKey {
		var public string
		signer, public, o.Issuer = KeyPair(t, nkeys.CreateAccount)
		chat.SigningKeys.Add(public)
	}
	var service, sentinel *jwt.UserClaims
	o.Service, service = asService(t, chat)
	o.Stranger, _ = user(t, signer, account, func(*jwt.UserClaims) {})
	o.Sentinel, sentinel = user(t, signer, account, func(c *jwt.UserClaims) {
		c.BearerToken = true
		c.Pub.Deny.Add(">")
		c.Sub.Deny.Add(">")
	})
	chat.Authorization = jwt.ExternalAuthorization{AuthUsers: jwt.StringList{service.Subject}, XKey: s.XKey}
	store(t, resolver, chat, operatorKey)
	store(t, resolver, jwt.NewAccountClaims(system), operatorKey)
	o.System, _ = user(t, systemKey, system, func(*jwt.UserClaims) {})
	claims := jwt.NewOperatorClaims(operator)
	claims.SystemAccount = system
	o.Node = Start(t, append([]Option{func(so *server.Options) {
		so.TrustedOperators, so.SystemAccount, so.AccountResolver = []*jwt.OperatorClaims{claims}, system, resolver
		if s.DefaultSentinel {
			so.DefaultSentinel = encoded(t, sentinel, signer)
		}
	}}, opts...)...)
	return o
}

// asService makes a user with the permissions of roomd, which a signing key of the account gives.
func asService(t testing.TB, account *jwt.AccountClaims) (creds string, c *jwt.UserClaims) {
	t.Helper()
	key, public, _ := KeyPair(t, nkeys.CreateAccount)
	may, role := policy.Of(policy.Service), jwt.NewUserScope()
	role.Key, role.Role, role.Template.Permissions = public, string(policy.Service), jwt.Permissions{
		Pub: jwt.Permission{Allow: may.Publish}, Sub: jwt.Permission{Allow: may.Subscribe},
		Resp: &jwt.ResponsePermission{MaxMsgs: policy.RespondTimes, Expires: subjects.RespondWithin},
	}
	account.SigningKeys.AddScopedSigner(role)
	return user(t, key, account.Subject, func(c *jwt.UserClaims) { c.SetScoped(true) })
}

var unlimited = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit, MaxAckPending: jwt.NoLimit}

// store makes an account known to the server.
func store(t testing.TB, to server.AccountResolver, c *jwt.AccountClaims, operator nkeys.KeyPair) {
	t.Helper()
	text, err := c.Encode(operator)
	if err == nil {
		err = to.Store(c.Subject, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// user makes a user of an account, and its file of credentials.
func user(t testing.TB, signer nkeys.KeyPair, account string, edit func(*jwt.UserClaims)) (creds string, c *jwt.UserClaims) {
	t.Helper()
	key, public, _ := KeyPair(t, nkeys.CreateUser)
	c = jwt.NewUserClaims(public)
	if by, err := signer.PublicKey(); err != nil {
		t.Fatal(err)
	} else if by != account {
		c.IssuerAccount = account
	}
	edit(c)
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file, err := jwt.FormatUserConfig(encoded(t, c, signer), seed)
	if err != nil {
		t.Fatal(err)
	}
	return string(file), c
}

func encoded(t testing.TB, c *jwt.UserClaims, signer nkeys.KeyPair) string {
	t.Helper()
	text, err := c.Encode(signer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
