// Package inspector is the page at /inspector/ of roomd --http: rooms, what happens in them, and how
// the service is. README.md has its interface.
//
// It keeps no state but its sessions. What it changes, and most of what it reads, goes through the
// commands that everybody has, on a connection of a back end; the list of rooms and the figures of
// the service it takes from memory, where they cost the service nothing but the time to read them.
// It is at work only while somebody looks.
package inspector

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
)

//go:embed all:web/dist
var page embed.FS

// Path is where the page is.
const Path = "/inspector/"

const (
	apiPath     = Path + "api/"
	mostBody    = 256 << 10 // bytes of a request; a command has at most some 100 KB
	mostAtOnce  = 16        // commands
	mostStreams = 64        // of all sessions together
	mostOfOne   = 16        // of one session, where there are sessions
)

// Config is what is known when roomd begins to answer over HTTP.
type Config struct {
	Log      *slog.Logger
	Loopback bool   // only this machine can ask
	Password string // file with the password; empty: there is none
	Version  string
}

// Backing is what the inspector shows, once there is a service.
type Backing struct {
	Service  *roomsvc.Service
	Dial     func(...nats.Option) (*nats.Conn, error) // connects with the permissions of a back end
	Token    func(...nats.Option) (*nats.Conn, error) // connects without credentials but those in the options; nil: end users have no tokens
	Open     bool                                     // the NATS server asks nobody for credentials
	EndUsers bool                                     // end users connect as themselves
	Roomctl  string                                   // how a command line begins that reaches the same service
	Manual   string                                   // docs/operations.md, of which it shows sections
}

// Inspector is the handler of everything below [Path]. The nil Inspector shows nothing.
type Inspector struct {
	cfg      Config
	sessions sessions
	files    http.Handler
	api      *http.ServeMux
	origins  *http.CrossOriginProtection
	backing  atomic.Pointer[Backing]
	off      atomic.Pointer[string] // why it is off; nil: it is on
	commands chan struct{}          // those at work

	life context.Context // of everything at work
	die  context.CancelFunc

	mu      sync.Mutex // guards closing
	closing bool
	work    sync.WaitGroup // what Close waits for besides requests

	link    link
	rooms   index
	rates   rates
	sampler sampler
}

// New makes an inspector. An error says what is wrong with the file of the password.
func New(cfg Config) (*Inspector, error) {
	i := &Inspector{cfg: cfg, origins: http.NewCrossOriginProtection(), commands: make(chan struct{}, mostAtOnce)}
	i.life, i.die = context.WithCancel(context.Background())
	if err := i.sessions.open(cfg.Password); err != nil {
		return nil, err
	}
	if cfg.Password == "" && !cfg.Loopback {
		i.turnOff("--http listens on more than this machine; give --http-password FILE")
	}
	dist, err := fs.Sub(page, "web/dist")
	if err != nil {
		return nil, err
	}
	i.files = http.StripPrefix(strings.TrimSuffix(Path, "/"), files(dist))
	i.rooms.inspector, i.rates.inspector, i.sampler.inspector = i, i, i
	i.routes()
	return i, nil
}

func (i *Inspector) turnOff(why string) {
	why = "the inspector is off: " + why
	i.off.Store(&why)
}

// Off is why the inspector is off; empty: it is on, or will be once there is a service.
func (i *Inspector) Off() string {
	if why := i.off.Load(); why != nil {
		return *why
	}
	return ""
}

// Show says what there is to show.
func (i *Inspector) Show(b Backing) {
	if i == nil {
		return
	}
	if i.cfg.Password == "" && !b.Open {
		i.turnOff("the NATS server asks for credentials, and whoever opened this page would need none; give --http-password FILE")
	}
	i.backing.Store(&b)
}

// Close ends all streams at once, and everything else that is at work. Requests are refused from then on. It may be called again.
func (i *Inspector) Close() {
	if i == nil {
		return
	}
	i.mu.Lock()
	i.closing = true
	i.mu.Unlock()
	i.die()
	i.work.Wait()
	i.rooms.stop()
	i.sessions.close()
	i.link.close()
}

// spawn does something on the side, which has to end with the life; false: it is too late.
func (i *Inspector) spawn(f func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.closing {
		i.work.Go(f)
	}
	return !i.closing
}

// routes are what the README says.
func (i *Inspector) routes() {
	i.api = http.NewServeMux()
	known := map[string]bool{}
	handle := func(pattern string, h func(http.ResponseWriter, *request) error) {
		method, path, _ := strings.Cut(pattern, " ")
		known[path] = true
		i.api.HandleFunc(method+" "+apiPath+path, func(w http.ResponseWriter, r *http.Request) { i.answer(w, r, h) })
	}
	handle("GET session", i.getSession)
	handle("POST login", i.login)
	handle("POST logout", i.logout)
	handle("POST command/{verb}", i.command)
	handle("POST webhooks/{action}", i.webhooks)
	handle("POST try", i.try)
	handle("GET rooms", i.rooms.get)
	handle("GET leases", i.leases)
	handle("GET runbook", i.runbook)
	handle("GET events", i.events)
	handle("GET service", i.sampler.get)
	i.api.HandleFunc(apiPath, func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNotFound
		if path := strings.TrimPrefix(r.URL.Path, apiPath); known[path] || strings.HasPrefix(path, "command/") || strings.HasPrefix(path, "webhooks/") {
			status = http.StatusMethodNotAllowed
		}
		refuse(w, &refusal{status, room.Refuse(room.ErrParamInvalid, "there is no %s %s", r.Method, r.URL.Path)})
	})
}

// ServeHTTP implements [http.Handler].
func (i *Inspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guarded(w.Header())
	if why := i.Off(); why != "" {
		http.Error(w, why, http.StatusNotFound)
		return
	}
	// Whoever can make a browser on this machine take a name of his for 127.0.0.1 would pass for a
	// page of ours. Where there is a password, such a page has no session.
	if i.cfg.Password == "" && !localHost(r.Host) {
		refuse(w, forbidden("the header Host is %q; use localhost or 127.0.0.1", cut(r.Host)))
		return
	}
	if strings.HasPrefix(r.URL.Path, apiPath) {
		w.Header().Set("Cache-Control", "no-store")
		i.api.ServeHTTP(w, r)
		return
	}
	i.files.ServeHTTP(w, r)
}

// request is a request that may be answered.
type request struct {
	*http.Request
	*Backing
	session *session // nil: there is no password, or nobody is logged in
}

// answer checks who asks, from where, and calls h.
func (i *Inspector) answer(w http.ResponseWriter, r *http.Request, h func(http.ResponseWriter, *request) error) {
	q := &request{Request: r}
	err := i.admit(w, q)
	if err == nil {
		err = h(w, q)
	}
	if err == nil || r.Context().Err() != nil { // or nobody listens any more
		return
	}
	if known, ok := errors.AsType[*refusal](err); ok {
		refuse(w, known)
		return
	}
	i.cfg.Log.Warn("the inspector cannot answer", "path", r.URL.Path, "error", err)
	refuse(w, unavailable("%v", err))
}

// free are the paths that need no session.
var free = map[string]bool{apiPath + "session": true, apiPath + "login": true}

// admit says why a request may not be answered.
func (i *Inspector) admit(w http.ResponseWriter, q *request) error {
	if site := q.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" || i.origins.Check(q.Request) != nil {
		return forbidden("a page of another origin asks; only the inspector's own may")
	}
	if q.Method == http.MethodPost {
		if err := checkBody(w, q); err != nil {
			return err
		}
	}
	q.session = i.sessions.of(q.Request)
	if i.cfg.Password != "" && q.session == nil && !free[q.URL.Path] {
		return &refusal{http.StatusUnauthorized, room.Refuse(room.ErrNotAllowed, "log in: there is no session, or it has ended")}
	}
	if q.Method == http.MethodPost && q.URL.Path != apiPath+"login" && !i.sessions.genuine(q.session, q.Header.Get("X-CSRF-Token")) {
		return forbidden("the header X-CSRF-Token is missing or wrong; GET session has it")
	}
	if q.Backing = i.backing.Load(); (q.Backing == nil && !free[q.URL.Path]) || i.life.Err() != nil {
		return unavailable("this instance is starting or stopping")
	}
	return nil
}

// guarded are the headers of every answer.
func guarded(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// localHost says whether a header Host names this machine.
func localHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// files serves the page. What is in assets/ has its hash in its name, and never changes.
func files(dist fs.FS) http.Handler {
	server := http.FileServerFS(dist)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(r.URL.Path, "/")
		if name == "" {
			name = "."
		}
		info, err := fs.Stat(dist, name)
		if err != nil || info.IsDir() && name != "." || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		cache := "no-cache"
		if strings.HasPrefix(name, "assets/") {
			cache = "public, max-age=31536000, immutable"
		}
		w.Header().Set("Cache-Control", cache)
		server.ServeHTTP(w, r)
	})
}

func cut(s string) string { return s[:min(len(s), 64)] }
