package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/auth"
	"natsrooms/subjects"
)

// asker is a client that subscribes to one inbox once, and names it in all its requests.
type asker struct {
	*person
	answers *nats.Subscription
}

func newAsker(t *testing.T, r *started, user subjects.User) *asker {
	t.Helper()
	p := connected(t, r.url, bearing(t, auth.Claims{User: user})...)
	answers, err := p.SubscribeSync(subjects.UserInbox(user) + ".answers")
	if err != nil {
		t.Fatal(err)
	}
	return &asker{p, answers}
}

// asks sends a command and does not wait.
func (a *asker) asks(verb, user, body string) {
	a.t.Helper()
	if err := a.PublishRequest("room.cmd."+verb+"."+user, a.answers.Subject, []byte(body)); err != nil {
		a.t.Fatal(err)
	}
}

// answered waits for that many answers.
func (a *asker) answered(n int) {
	a.t.Helper()
	for i := range n {
		m, err := a.answers.NextMsg(within)
		if err != nil || m.Header.Get("Nats-Service-Error") != "" {
			a.t.Fatalf("answer %d of %d: %v, %+v", i+1, n, err, m)
		}
	}
}

// Commands in flight that name the same reply subject are answered, each of them, however
// many there are and however they overlap.
func TestOneInboxForAll(t *testing.T) {
	t.Parallel()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret), "--limit", "user-commands=1000000")
	a := newAsker(t, r, "alice")
	for _, n := range []int{2, 1, 3, 1, 200} {
		for i := range n {
			a.asks("enter", "alice", fmt.Sprintf(`{"roomID":"r%d"}`, i))
		}
		a.answered(n)
	}
	const flying, rounds = 5, 1000
	for range flying {
		a.asks("get", "alice", `{"roomID":"r0"}`)
	}
	for range rounds {
		a.asks("get", "alice", `{"roomID":"r0"}`)
		a.answered(1)
	}
	a.answered(flying)
	if log := r.stderr.String(); strings.Contains(log, "Violation") {
		t.Errorf("the log says\n%s", log)
	}
	r.end(t)
}

// The NATS server lets the service answer at a subject for a time that begins when the
// subject is first named, and that further requests do not prolong. Answers arrive beyond it.
func TestOneInboxForLong(t *testing.T) {
	t.Parallel()
	r := start(t, "--port", "-1", "--store-dir", t.TempDir(), "--sync", "2m", "--auth", "jwt", "--auth-key", write(t, secret))
	const askers = 20
	var all [askers]*asker
	for i := range all {
		all[i] = newAsker(t, r, subjects.User(fmt.Sprint("u", i)))
	}
	ended := time.After(subjects.RespondWithin * 3 / 2)
	for running := true; running; {
		for i, a := range all {
			a.asks("memberOf", fmt.Sprint("u", i), `{"roomID":"lobby","userIDs":[]}`)
		}
		for _, a := range all {
			if _, err := a.answers.NextMsg(within); err != nil {
				t.Fatalf("an answer: %v\n%s", err, r.stderr)
			}
		}
		select {
		case <-ended:
			running = false
		default:
		}
	}
	r.end(t)
}
