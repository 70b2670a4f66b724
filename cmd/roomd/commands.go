package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/cmd/internal/creds"
	"natsrooms/cmd/roomd/inspector"
)

const readyWithin = 10 * time.Second // for the answer of /readyz, which takes up to 8 s

// ready asks the roomd that answers over HTTP at an address whether it answers commands.
func ready(address string) error {
	if address == "" {
		return errors.New("ready asks over HTTP: give --http (or ROOMD_HTTP, or a line of the file) as the running roomd has it")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--http is %q; it must be HOST:PORT, or :PORT for this machine only", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = defaultHost
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return fmt.Errorf("no roomd answers at %s: %w", address, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	var said struct {
		Reasons []string `json:"reasons"`
	}
	if body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20)); err == nil {
		_ = json.Unmarshal(body, &said) // what is not roomd's answer has no reasons
	}
	return fmt.Errorf("not ready: %s", cmp.Or(strings.Join(said.Reasons, "; "), answer.Status))
}

// examine says whether roomd could start with these settings, as far as files tell: it neither
// listens nor connects, and leaves the store alone. Warnings go to stderr.
func examine(cfg Config, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if _, err := tokenKeys(cfg); err != nil {
		return err
	}
	if err := cfg.checkSecrets(); err != nil {
		return err
	}
	if cfg.HTTP != "" {
		if _, _, err := net.SplitHostPort(cfg.HTTP); err != nil {
			return fmt.Errorf("--http is %q; it must be HOST:PORT, or :PORT for this machine only", cfg.HTTP)
		}
	}
	if cfg.HTTPPassword != "" {
		if _, err := inspector.CheckPassword(cfg.HTTPPassword); err != nil {
			return err
		}
	}
	if cfg.NATS != "" {
		if _, _, err := calloutKeys(cfg); err != nil {
			return err
		}
		for _, f := range []struct{ flag, file string }{{"--creds", cfg.Creds}, {"--system-creds", cfg.SystemCreds}} {
			if f.file == "" {
				continue
			}
			if _, err := creds.Read(f.file); err != nil {
				return fmt.Errorf("%s cannot be used (%w); %s", f.flag, err, creds.Kinds)
			}
		}
		return nil
	}
	opts, err := serverOptions(cfg, log)
	if err != nil {
		return err
	}
	if _, err := letIn(opts, cfg.Auth != "", cfg.hookSubjects()); err != nil {
		return err
	}
	return checkPages(cfg, opts)
}
