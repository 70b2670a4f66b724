// Package web shows over HTTP how an instance is: /healthz and /readyz for whoever starts and
// balances it, and /metrics for Prometheus. The service itself knows nothing of HTTP or
// Prometheus; it counts, and is read when somebody asks.
package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/health"
)

const (
	readFor  = 8 * time.Second // an answer may take, and a request
	stopFor  = time.Second     // at the end, for answers in flight
	scrapers = 4               // scrapes at a time
)

// Server is the HTTP server of an instance. The nil Server is none.
type Server struct {
	http     *http.Server
	mux      *http.ServeMux
	listener net.Listener
	svc      atomic.Pointer[roomsvc.Service] // nil: it is still starting
	stopping atomic.Bool
}

// Listen begins to answer on HOST:PORT; without a host, only this machine can ask. Until
// [Server.Show] is called, the instance is starting.
func Listen(address string) (*Server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--http is %q; it must be HOST:PORT, or :PORT for this machine only", address)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	s := &Server{}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort(host, port)); err != nil {
		return nil, fmt.Errorf("--http %s cannot be listened on (%w); choose another port", address, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	s.mux = mux
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapers, Timeout: readFor}))
	s.http = &http.Server{Handler: mux, ReadTimeout: readFor, WriteTimeout: 2 * readFor, MaxHeaderBytes: 16 << 10}
	go func() { _ = s.http.Serve(s.listener) }()
	return s, nil
}

// Address is where it listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Loopback reports whether only this machine can ask.
func (s *Server) Loopback() bool {
	at, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// Handle adds a page. Its handler has [Server]'s limits of time unless it sets others.
func (s *Server) Handle(pattern string, page http.Handler) { s.mux.Handle(pattern, page) }

// Show says that the service serves.
func (s *Server) Show(svc *roomsvc.Service) {
	if s != nil {
		s.svc.Store(svc)
	}
}

// Stopping says that the service is not to be used any more.
func (s *Server) Stopping() {
	if s != nil {
		s.stopping.Store(true)
	}
}

// Close ends it.
func (s *Server) Close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopFor)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
}

// standing is the body of /healthz and /readyz.
type standing struct {
	OK      bool     `json:"ok"`
	Reasons []string `json:"reasons"` // why not; empty if it is

	Problems []health.Problem `json:"problems,omitzero"` // of /readyz: all that is wrong, also what does not make the instance unready
}

func (s *Server) say(w http.ResponseWriter, reasons []string, problems []health.Problem) {
	data, err := json.Marshal(standing{len(reasons) == 0, reasons, problems})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(data, '\n'))
}

// healthz says whether the process is worth keeping: one that starts is, and one that waits for
// its NATS server.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if svc := s.svc.Load(); svc != nil && svc.Err() != nil {
		s.say(w, []string{svc.Err().Error()}, nil)
		return
	}
	s.say(w, nil, nil)
}

// readyz says whether commands are answered here.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readFor)
	defer cancel()
	reasons, problems := s.reasons(ctx), []health.Problem{}
	if svc := s.svc.Load(); svc != nil {
		problems = svc.Problems()
	}
	s.say(w, reasons, problems)
}

// reasons is why the instance is not ready.
func (s *Server) reasons(ctx context.Context) (reasons []string) {
	svc := s.svc.Load()
	if svc == nil {
		return []string{"the instance is starting"}
	}
	if s.stopping.Load() {
		return []string{"the instance is stopping"}
	}
	err := svc.Check(ctx)
	if err == nil {
		return nil
	}
	for _, p := range svc.Problems() {
		if p.Unfit {
			reasons = append(reasons, p.Text)
		}
	}
	if len(reasons) == 0 { // it has ended, or the problem is over by now
		reasons = []string{err.Error()}
	}
	return reasons
}
