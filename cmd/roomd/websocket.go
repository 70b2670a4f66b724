package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// examplePages are where the examples serve their pages.
const examplePages = "http://127.0.0.1:8000,http://localhost:8000,http://127.0.0.1:8001,http://localhost:8001"

// checkWebsocket checks --websocket and what belongs to it.
func (c *Config) checkWebsocket() error {
	if c.Websocket == "" {
		if c.WebsocketOrigins != "" {
			return errors.New("--websocket-origins is for --websocket, which is not given")
		}
		return nil
	}
	if c.NATS != "" {
		return errors.New("--websocket is for the embedded server; with --nats, browsers connect to that server, if its configuration has a block websocket. Leave it out (and its ROOMD_ variable)")
	}
	if _, _, err := c.websocket(); err != nil {
		return err
	}
	_, err := c.origins()
	return err
}

// websocket is where pages of this machine connect.
func (c *Config) websocket() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(c.Websocket)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port != -1 && (port < 1 || port > 65535) {
		return "", 0, fmt.Errorf("--websocket is %q; it must be :PORT, such as :4280, or :-1 for any free port", c.Websocket)
	}
	if host = cmp.Or(host, defaultHost); !isLoopback(host) {
		return "", 0, fmt.Errorf("--websocket is %q; it has no TLS, so it is for this machine only: leave out the host, or write a block websocket with TLS in the file of --nats-config", c.Websocket)
	}
	return host, port, nil
}

// origins are the pages that may connect there.
func (c *Config) origins() ([]string, error) {
	list := strings.Split(cmp.Or(c.WebsocketOrigins, examplePages), ",")
	for _, origin := range list {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return nil, fmt.Errorf("--websocket-origins has %q; it must be where a page comes from, such as http://127.0.0.1:8000, several separated by commas", origin)
		}
	}
	return list, nil
}

// addWebsocket lets pages of this machine in, if that is wanted.
func addWebsocket(cfg Config, opts *server.Options) error {
	if cfg.Websocket == "" {
		return nil
	}
	if opts.Websocket.Port != 0 {
		return fmt.Errorf("--websocket is given, and %s has a block websocket; leave one of them out", cfg.NATSConfig)
	}
	host, port, err := cfg.websocket()
	if err != nil {
		return err
	}
	ws := &opts.Websocket
	ws.Host, ws.Port, ws.NoTLS = host, port, true
	ws.AllowedOrigins, err = cfg.origins()
	return err
}

// checkWebsocketPort checks before the server does, because the server's error is less clear.
func checkWebsocketPort(opts *server.Options) error {
	ws := &opts.Websocket
	if ws.Port == 0 || ws.Port == server.RANDOM_PORT {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ws.Host, strconv.Itoa(ws.Port)))
	if err != nil {
		return fmt.Errorf("pages cannot connect over WebSocket (%w); stop what listens there, or choose another port with --websocket or, if there is a block websocket in --nats-config, in that", err)
	}
	return l.Close()
}

// sayWebsocket says where pages connect.
func sayWebsocket(s *server.Server, opts *server.Options, log *slog.Logger) {
	if opts.Websocket.Port != 0 {
		log.Info("pages connect over WebSocket", "url", s.WebsocketURL(), "origins", strings.Join(opts.Websocket.AllowedOrigins, ","))
	}
}
