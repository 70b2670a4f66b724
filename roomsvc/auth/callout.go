package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	queueGroup   = "rooms-auth"            // each question goes to one of the instances
	maxInFlight  = 64                      // questions worked on at once; more have to wait
	grantTimeout = 1500 * time.Millisecond // the NATS server waits 2 s for its answer
	askTimeout   = 5 * time.Second
	serverKey    = "Nats-Server-Xkey" // header of an encrypted question: the key to encrypt the answer for
)

// Config is what [Serve] needs.
type Config struct {
	Keys     *Keys         // verify tokens; [Callout.SetKeys] changes them
	Audience string        // what the `aud` of a token must contain; empty: anything
	Issuer   nkeys.KeyPair // an account key, which the server's configuration names as the callout's issuer; in operator mode the key of the account of the rooms, or a signing key of it without a scope
	XKey     nkeys.KeyPair // a curve key, if the server's configuration or, in operator mode, the account names one; nil: questions are not encrypted
	Domain   string        // JetStream domain that back ends may read by its name too; empty: none
	Logger   *slog.Logger  // default: slog.Default()
	Grant    Grant         // may be nil

	// Admit says why somebody may not have a connection now; then the answer is held back for a
	// second. It may be nil.
	Admit func(ctx context.Context, b room.Bearer) error
}

// Grant is told, before a user is let in, what the token gives besides permissions, if it gives
// anything. An error keeps the user out.
type Grant = func(ctx context.Context, user subjects.User, g room.Grant) error

// Callout answers a NATS server that asks who may connect.
type Callout struct {
	cfg     Config
	account string // where users who are let in are placed
	issuer  string // the public key of cfg.Issuer
	sub     *nats.Subscription
	slots   chan struct{}
	life    context.Context
	die     context.CancelFunc
	ended   chan struct{} // no more questions arrive
	work    sync.WaitGroup
	refused *refusals
	keys    atomic.Pointer[Keys]
}

// Serve answers on nc, which must be in the account of the rooms, until Stop. Several
// instances share the questions.
func Serve(nc *nats.Conn, cfg Config) (*Callout, error) {
	if cfg.Keys == nil || cfg.Issuer == nil {
		return nil, errors.New("an auth callout needs keys for tokens, and an issuer for its answers")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	account, err := accountOf(nc)
	if err != nil {
		return nil, err
	}
	issuer, err := cfg.Issuer.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("the issuer of an auth callout: %w", err)
	}
	c := &Callout{cfg: cfg, account: account, issuer: issuer, slots: make(chan struct{}, maxInFlight), ended: make(chan struct{}), refused: newRefusals(cfg.Logger)}
	c.keys.Store(cfg.Keys)
	c.life, c.die = context.WithCancel(context.Background())
	if c.sub, err = nc.QueueSubscribe(subjects.AuthRequests, queueGroup, c.take); err != nil {
		return nil, fmt.Errorf("listening for the server's questions: %w", err)
	}
	c.sub.SetClosedHandler(func(string) { close(c.ended) })
	return c, nc.FlushTimeout(askTimeout)
}

// SetKeys makes others verify tokens from now on. A question that was asked before may still be
// answered by those from before.
func (c *Callout) SetKeys(keys *Keys) { c.keys.Store(keys) }

// OperatorMode reports whether accounts, and not the server's configuration, say who its users
// are. Then clients need credentials that lead here, besides their tokens.
func (c *Callout) OperatorMode() bool { return nkeys.IsValidPublicAccountKey(c.account) }

// Stop takes no more questions and returns when those in progress are answered.
func (c *Callout) Stop() {
	if c.sub.Drain() == nil { // otherwise the connection is gone
		select {
		case <-c.ended:
		case <-time.After(askTimeout): // the server is gone
		}
	}
	c.die()
	c.work.Wait()
}

// accountOf asks the server which account a connection is in.
func accountOf(nc *nats.Conn) (string, error) {
	m, err := nc.Request(subjects.ConnectionInfo, nil, askTimeout)
	if err != nil {
		return "", fmt.Errorf("asking the server for the connection's account: %w", err)
	}
	var info struct {
		Data struct {
			Account string `json:"account"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil || info.Data.Account == "" {
		return "", fmt.Errorf("the server does not say which account the connection is in (%w)", err)
	}
	return info.Data.Account, nil
}

// take answers a question in a goroutine: grants of many users must not wait for each other.
func (c *Callout) take(m *nats.Msg) {
	c.slots <- struct{}{}
	c.work.Add(1)
	go func() {
		defer c.work.Done()
		answer, late, err := c.answer(m)
		<-c.slots
		if late {
			c.holdBack()
		}
		if err == nil {
			err = m.Respond(answer)
		}
		if err != nil {
			c.refused.add("a question of the NATS server cannot be answered", err)
		}
	}()
}

// holdBack waits a second, so that somebody who is refused again and again, and goes on, does so
// slowly.
func (c *Callout) holdBack() {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.life.Done():
	}
}

// answer is the answer to a question; late says that it should not be given at once.
func (c *Callout) answer(m *nats.Msg) (sealed []byte, late bool, err error) {
	asker := m.Header.Get(serverKey)
	data, err := c.open(m.Data, asker)
	if err != nil {
		return nil, false, err
	}
	question, err := jwt.DecodeAuthorizationRequestClaims(string(data))
	if err != nil {
		return nil, false, fmt.Errorf("it is not signed by a server: %w", err)
	}
	answer := jwt.NewAuthorizationResponseClaims(question.UserNkey)
	answer.Audience, answer.IssuerAccount = question.Server.ID, c.signsFor(question)
	if answer.Jwt, err = c.admit(question); err != nil {
		c.refused.add("somebody was not let in", err, "from", question.ClientInformation.Host, "name", cut(question.ConnectOptions.Name))
		answer.Error = "the token was refused" // the reason is only for our log
		late = errors.Is(err, errTooMany)
	}
	text, err := answer.Encode(c.cfg.Issuer)
	if err == nil {
		sealed, err = c.seal([]byte(text), asker)
	}
	return sealed, late, err
}

// errTooMany says that a user may have no further connection for now.
var errTooMany = errors.New("not now")

func (c *Callout) open(data []byte, asker string) ([]byte, error) {
	switch {
	case asker == "":
		return data, nil
	case c.cfg.XKey == nil:
		return nil, errors.New("it is encrypted for a key that roomd was not given")
	}
	return c.cfg.XKey.Open(data, asker)
}

func (c *Callout) seal(data []byte, asker string) ([]byte, error) {
	if asker == "" {
		return data, nil
	}
	return c.cfg.XKey.Seal(data, asker)
}

// admit is the user that a connection becomes, signed for the server.
func (c *Callout) admit(q *jwt.AuthorizationRequestClaims) (string, error) {
	token := q.ConnectOptions.Token
	if token == "" {
		token = q.ConnectOptions.Password
	}
	if token == "" {
		return "", errors.New("it brought no token")
	}
	claims, err := c.keys.Load().Read(token, c.cfg.Audience)
	if err != nil {
		return "", fmt.Errorf("its token is refused: %w", err)
	}
	ctx, cancel := context.WithTimeout(c.life, grantTimeout)
	defer cancel()
	if c.cfg.Admit != nil {
		if err := c.cfg.Admit(ctx, claims.bearer(room.Connection{ServerID: q.Server.ID, ClientID: q.ClientInformation.ID})); err != nil {
			return "", fmt.Errorf("%w: %w", errTooMany, err)
		}
	}
	if g := claims.Grant(); !claims.Admin && (len(g.Rooms)+len(g.Hosts) > 0 || g.Named) && c.cfg.Grant != nil {
		if err := c.cfg.Grant(ctx, claims.User, g); err != nil {
			return "", fmt.Errorf("granting %q what its token says: %w", claims.User, err)
		}
	}
	return c.user(q, claims)
}

// signsFor is the account that the issuer is a signing key of, in operator mode; otherwise it is
// empty, since the question is for the issuer itself.
func (c *Callout) signsFor(q *jwt.AuthorizationRequestClaims) string {
	if q.Subject == c.issuer {
		return ""
	}
	return q.Subject
}

func (c *Callout) user(q *jwt.AuthorizationRequestClaims, claims *Claims) (string, error) {
	u := jwt.NewUserClaims(q.UserNkey)
	u.Audience, u.IssuerAccount = c.account, c.signsFor(q)
	u.Name = Name(claims)
	u.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket) // but no leaf node
	if until := claims.Until(); !until.IsZero() {
		u.Expires = until.Unix()
	}
	p := claims.Permissions()
	p.Publish = slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.Publish, p.InDomain(c.cfg.Domain).Publish))))
	return encode(u, p, c.cfg.Issuer)
}

// encode puts permissions into a user. To a server an empty list means no limit at all.
func encode(u *jwt.UserClaims, p policy.Permissions, issuer nkeys.KeyPair) (string, error) {
	if len(p.Publish) == 0 || len(p.Subscribe) == 0 {
		return "", errors.New("its permissions would be empty, which a NATS server takes to mean everything")
	}
	u.Pub.Allow.Add(p.Publish...)
	u.Sub.Allow.Add(p.Subscribe...)
	return u.Encode(issuer)
}

func cut(s string) string { return fmt.Sprintf("%.64s", s) }
