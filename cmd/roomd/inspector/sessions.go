package inspector

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
)

const (
	cookie       = "roomd_inspector"
	idleFor      = 30 * time.Minute // without a request, until a session ends
	lastsFor     = 12 * time.Hour   // a session, whatever happens
	mostSessions = 64               // the oldest makes place for a new one
	leastSecret  = 12               // bytes of a password
	lookEvery    = 2 * time.Second  // whether the password has changed

	// Wrong passwords from one address: so many at once, then one after a pause that doubles.
	freeTries  = 5
	firstPause = time.Second
	mostPause  = time.Minute
	mostKnown  = 1000 // addresses; all others count as one
)

// session is somebody who knew the password.
type session struct {
	csrf  string
	ends  time.Time
	life  context.Context // ends with the session
	end   context.CancelFunc
	timer *time.Timer

	used    time.Time // when it last asked; guarded by sessions.mu
	streams int       // guarded by sessions.mu
}

// sessions are all of them. The zero value has to be opened.
type sessions struct {
	file string // of the password; empty: there is none
	csrf string // where there are no sessions

	mu    sync.Mutex
	known map[[32]byte]*session // by the digest of the cookie
	tries map[netip.Addr]*tries
	all   int // streams

	secret [32]byte  // digest of the password
	looked time.Time // when the file was last read
}

// tries are wrong passwords from one address.
type tries struct {
	wrong int
	last  time.Time
}

func (s *sessions) open(file string) error {
	s.file, s.csrf, s.known, s.tries = file, rand.Text(), map[[32]byte]*session{}, map[netip.Addr]*tries{}
	if file == "" {
		return nil
	}
	var err error
	s.secret, err = CheckPassword(file)
	return err
}

// look reads the file again, now and then. When the password has changed, nobody is logged in any more. The lock
// is held by the caller.
func (s *sessions) look(now time.Time) {
	if now.Sub(s.looked) < lookEvery {
		return
	}
	s.looked = now
	if secret, err := CheckPassword(s.file); err == nil && secret != s.secret {
		s.secret = secret
		for id := range s.known {
			s.drop(id)
		}
	}
}

// CheckPassword reads the file of a password and returns the password's digest. An error says what is wrong with
// the file.
func CheckPassword(file string) (digest [32]byte, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return digest, fmt.Errorf("--http-password cannot be read: %w", err)
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if len(secret) < leastSecret {
		return digest, fmt.Errorf("--http-password %s holds %d bytes; a password has at least %d", file, len(secret), leastSecret)
	}
	if strings.ContainsAny(secret, "\r\n") {
		return digest, fmt.Errorf("--http-password %s holds several lines; a password is one", file)
	}
	return sha256.Sum256([]byte(secret)), nil
}

func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.known {
		s.drop(id)
	}
}

// drop ends a session. The lock is held by the caller.
func (s *sessions) drop(id [32]byte) {
	if old := s.known[id]; old != nil {
		old.end()
		old.timer.Stop()
		delete(s.known, id)
	}
}

// of is the session of a request, nil if there is none or it has ended. It has been used then.
func (s *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookie)
	if s.file == "" || err != nil {
		return nil
	}
	id := sha256.Sum256([]byte(c.Value))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.look(now)
	known := s.known[id]
	if known == nil {
		return nil
	}
	if now.After(known.ends) || known.streams == 0 && now.Sub(known.used) > idleFor {
		s.drop(id)
		return nil
	}
	known.used = now
	return known
}

// genuine says whether a token for the header X-CSRF-Token is that of the session.
func (s *sessions) genuine(known *session, token string) bool {
	want := s.csrf
	if s.file != "" {
		if known == nil {
			return false
		}
		want = known.csrf
	}
	return hmac.Equal([]byte(token), []byte(want))
}

// begin makes a session, unless the password is wrong, and returns the value of its cookie.
func (s *sessions) begin(password, from string) (id string, made *session, err error) {
	address := addressOf(from)
	if wait := s.pause(address); wait > 0 {
		e := room.Refuse(room.ErrRateLimited, "too many wrong passwords from here; try again later")
		e.RetryAfterMs = wait.Milliseconds() + 1
		return "", nil, refused(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = time.Time{}
	s.look(time.Now())
	given := sha256.Sum256([]byte(password))
	if !hmac.Equal(s.secret[:], given[:]) {
		return "", nil, &refusal{http.StatusUnauthorized, room.Refuse(room.ErrNotAllowed, "the password is wrong")}
	}
	id = rand.Text() + rand.Text()
	made = &session{csrf: rand.Text(), used: time.Now(), ends: time.Now().Add(lastsFor)}
	made.life, made.end = context.WithCancel(context.Background())
	key := sha256.Sum256([]byte(id))
	made.timer = time.AfterFunc(lastsFor, made.end)
	delete(s.tries, s.triesOf(address))
	var oldest [32]byte
	var since time.Time
	for other, known := range s.known {
		switch {
		case time.Now().After(known.ends):
			s.drop(other)
		case since.IsZero() || known.used.Before(since):
			oldest, since = other, known.used
		}
	}
	if len(s.known) >= mostSessions {
		s.drop(oldest)
	}
	s.known[key] = made
	return id, made, nil
}

// addressOf is where a request comes from; all of a network that one customer has count as one.
func addressOf(from string) netip.Addr {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	if address = address.Unmap().WithZone(""); address.Is6() {
		if net, err := address.Prefix(64); err == nil {
			return net.Addr()
		}
	}
	return address
}

// triesOf is the address that counts. The lock is held by the caller.
func (s *sessions) triesOf(address netip.Addr) netip.Addr {
	if s.tries[address] == nil && len(s.tries) >= mostKnown {
		return netip.Addr{}
	}
	return address
}

// pause counts a try from an address beforehand, so that many at once are many. It returns how long the address has to
// wait instead.
func (s *sessions) pause(address netip.Addr) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.tries) >= mostKnown {
		for known, t := range s.tries {
			if now.Sub(t.last) > mostPause {
				delete(s.tries, known)
			}
		}
	}
	address = s.triesOf(address)
	t := s.tries[address]
	if t == nil || now.Sub(t.last) > 10*mostPause {
		t = &tries{}
		s.tries[address] = t
	}
	if over := t.wrong - freeTries; over >= 0 {
		pause := min(firstPause<<min(over, 10), mostPause)
		if left := pause - now.Sub(t.last); left > 0 {
			return left
		}
	}
	t.wrong, t.last = t.wrong+1, now
	return 0
}

// finish ends the session of a request.
func (s *sessions) finish(r *http.Request) {
	c, err := r.Cookie(cookie)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(sha256.Sum256([]byte(c.Value)))
}

// errMany says that there are too many streams.
var errMany = errors.New("too many streams")

// stream counts a stream until what it returns is called.
func (s *sessions) stream(known *session) (over func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= mostStreams || known != nil && known.streams >= mostOfOne {
		return nil, errMany
	}
	s.all++
	if known != nil {
		known.streams++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if known != nil {
			known.streams--
			known.used = time.Now()
		}
	}, nil
}

// getSession answers GET session.
func (i *Inspector) getSession(w http.ResponseWriter, q *request) error {
	return send(w, http.StatusOK, i.about(q))
}

// about is what the caller may know of its session.
func (i *Inspector) about(q *request) Session {
	a := Session{LoginNeeded: i.cfg.Password != "", LoggedIn: i.cfg.Password == "" || q.session != nil}
	if !a.LoggedIn {
		return a
	}
	a.CSRF, a.Version = i.sessions.csrf, i.cfg.Version
	if q.session != nil {
		a.CSRF, a.EndsAt, a.IdleSeconds = q.session.csrf, events.TimeOf(q.session.ends), int(idleFor/time.Second)
	}
	if q.Backing != nil {
		a.Instance, a.Roomctl, a.EndUsers, a.WithToken = q.Service.Glance().Instance, q.Roomctl, q.EndUsers, q.Token != nil
	}
	return a
}

// login answers POST login.
func (i *Inspector) login(w http.ResponseWriter, q *request) error {
	var given Login
	if err := read(q, &given); err != nil {
		return err
	}
	if i.cfg.Password == "" {
		return i.getSession(w, q)
	}
	i.sessions.finish(q.Request)
	id, made, err := i.sessions.begin(given.Password, q.RemoteAddr)
	if err != nil {
		if known, ok := errors.AsType[*refusal](err); ok && known.status == http.StatusUnauthorized {
			i.cfg.Log.Warn("somebody gave the inspector a wrong password", "from", q.RemoteAddr)
		}
		return err
	}
	i.cfg.Log.Info("somebody logged in to the inspector", "from", q.RemoteAddr)
	q.session = made
	http.SetCookie(w, i.cookie(q, id, int(math.Ceil(lastsFor.Seconds()))))
	return i.getSession(w, q)
}

// cookie is that of a session. What is in front of roomd says whether it is reached by TLS.
func (i *Inspector) cookie(q *request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookie, Value: value, Path: Path, MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: q.TLS != nil || strings.EqualFold(q.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// logout answers POST logout.
func (i *Inspector) logout(w http.ResponseWriter, q *request) error {
	i.sessions.finish(q.Request)
	q.session = nil
	http.SetCookie(w, i.cookie(q, "", -1))
	return i.getSession(w, q)
}
