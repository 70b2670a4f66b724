package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	natsconf "github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
)

// certificates renews the certificates of the embedded server from its configuration. The server's
// own reload would do, but authorizes everybody anew, and ends the connections of those who came with a token.
type certificates struct {
	cfg  Config
	s    *server.Server
	opts *server.Options                               // that the server has
	said map[string]any                                // what the configuration said at the start, without certificates
	live map[string]*atomic.Pointer[[]tls.Certificate] // of each listener

	timeout float64 // of clients' handshakes, as it was read; the server puts in what is missing
	pinned  server.PinnedCertSet
}

// listeners with TLS, as the configuration calls them; the first one has its block at the top.
var listeners = []string{"", "websocket", "mqtt", "leafnodes"}

// perishable are the settings of a block tls that can be renewed.
var perishable = []string{"cert_file", "key_file", "ca_file", "timeout", "pinned_certs"}

// newCertificates remembers what the configuration says, and has a server that is not yet made
// ask here for its certificates; nil if there is no configuration.
func newCertificates(cfg Config, opts *server.Options) (*certificates, error) {
	if cfg.NATSConfig == "" {
		return nil, nil
	}
	said, err := lasting(cfg.NATSConfig)
	if err != nil {
		return nil, err
	}
	c := &certificates{cfg: cfg, opts: opts, said: said, live: map[string]*atomic.Pointer[[]tls.Certificate]{}, timeout: opts.TLSTimeout, pinned: opts.TLSPinnedCerts}
	for _, name := range listeners {
		c.live[name] = new(atomic.Pointer[[]tls.Certificate])
	}
	c.take(opts)
	return c, nil
}

// take makes the certificates that were read into opts count for new connections, and has
// whoever uses opts ask here for them.
func (c *certificates) take(opts *server.Options) {
	for _, name := range listeners {
		t := tlsOf(opts, name)
		if t == nil || opts.OCSPConfig != nil { // then the server answers with proofs that belong to its certificates
			continue
		}
		certs, live := t.Certificates, c.live[name]
		live.Store(&certs)
		t.Certificates, t.GetCertificate = nil, func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certs := *live.Load()
			for i := range certs {
				if hello.SupportsCertificate(&certs[i]) == nil {
					return &certs[i], nil
				}
			}
			return &certs[0], nil // as without this function
		}
	}
}

func tlsOf(opts *server.Options, listener string) *tls.Config {
	switch listener {
	case "websocket":
		return opts.Websocket.TLSConfig
	case "mqtt":
		return opts.MQTT.TLSConfig
	case "leafnodes":
		return opts.LeafNode.TLSConfig
	}
	return opts.TLSConfig
}

// lasting is what a configuration says, except for certificates.
func lasting(file string) (map[string]any, error) {
	said, err := natsconf.ParseFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s is not a usable NATS server configuration; correct it: %w", file, err)
	}
	for _, name := range listeners {
		block := said
		if name != "" {
			block, _ = said[name].(map[string]any)
		}
		tls, _ := block["tls"].(map[string]any)
		for _, key := range perishable {
			delete(tls, key)
		}
	}
	return said, nil
}

// renew reads the configuration and makes its certificates count for new connections. It returns
// what else has changed in it since the start, which counts only after a restart.
func (c *certificates) renew(log *slog.Logger) (later []string, err error) {
	said, err := lasting(c.cfg.NATSConfig)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(union(said, c.said))) {
		if !reflect.DeepEqual(said[name], c.said[name]) {
			later = append(later, fmt.Sprintf("%s (in %s)", name, c.cfg.NATSConfig))
		}
	}
	read := &server.Options{}
	if err := readConfig(read, c.cfg, log); err != nil {
		return later, err
	}
	c.take(read)
	opts := c.opts.Clone()
	var renewed []string
	if replace(&opts.TLSConfig, read.TLSConfig) {
		opts.TLSTimeout, opts.TLSPinnedCerts = read.TLSTimeout, read.TLSPinnedCerts
		renewed = append(renewed, "clients")
	}
	if replace(&opts.Websocket.TLSConfig, read.Websocket.TLSConfig) {
		renewed = append(renewed, "websocket")
	}
	if replace(&opts.MQTT.TLSConfig, read.MQTT.TLSConfig) {
		renewed = append(renewed, "mqtt")
	}
	if replace(&opts.LeafNode.TLSConfig, read.LeafNode.TLSConfig) {
		renewed = append(renewed, "leafnodes")
	}
	if len(renewed) == 0 {
		return later, nil
	}
	if opts.OCSPConfig != nil || c.trustsOthers(opts) || read.TLSTimeout != c.timeout || !maps.Equal(read.TLSPinnedCerts, c.pinned) {
		if err := c.s.ReloadOptions(opts); err != nil {
			return later, err
		}
		c.opts, c.timeout, c.pinned = opts, read.TLSTimeout, read.TLSPinnedCerts
	}
	log.Info("SIGHUP: the certificates of the NATS server were read again", "listeners", strings.Join(renewed, ","))
	return later, nil
}

// trustsOthers says whether other certificates of clients are good than before.
func (c *certificates) trustsOthers(opts *server.Options) bool {
	for _, name := range listeners {
		if is, was := tlsOf(opts, name), tlsOf(c.opts, name); is != nil && !is.ClientCAs.Equal(was.ClientCAs) {
			return true
		}
	}
	return false
}

// replace replaces what a listener with TLS had.
func replace(was **tls.Config, read *tls.Config) bool {
	if *was == nil || read == nil {
		return false
	}
	*was = read
	return true
}

// union has the keys of both.
func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}
