package main

import (
	"cmp"
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
	c.count(c.serve(opts))
	return c, nil
}

// serve has whoever uses opts ask here for certificates, and returns those that were read into it,
// by listener.
func (c *certificates) serve(opts *server.Options) map[string][]tls.Certificate {
	read := map[string][]tls.Certificate{}
	for _, name := range listeners {
		t := *tlsOf(opts, name)
		if t == nil || len(t.Certificates) == 0 || opts.OCSPConfig != nil { // with OCSP the server answers with proofs that belong to its certificates
			continue
		}
		live := c.live[name]
		read[name] = t.Certificates
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
	return read
}

// count makes certificates count for new connections.
func (c *certificates) count(read map[string][]tls.Certificate) {
	for name, certs := range read {
		c.live[name].Store(&certs)
	}
}

// tlsOf is what a listener has in opts; it has nil if it is without TLS.
func tlsOf(opts *server.Options, listener string) **tls.Config {
	switch listener {
	case "websocket":
		return &opts.Websocket.TLSConfig
	case "mqtt":
		return &opts.MQTT.TLSConfig
	case "leafnodes":
		return &opts.LeafNode.TLSConfig
	}
	return &opts.TLSConfig
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
	certs := c.serve(read)
	opts := c.opts.Clone()
	opts.TLSTimeout, opts.TLSPinnedCerts = read.TLSTimeout, read.TLSPinnedCerts
	var renewed []string
	anew := opts.OCSPConfig != nil || read.TLSTimeout != c.timeout || !maps.Equal(read.TLSPinnedCerts, c.pinned) // the server has to be told
	for _, name := range listeners {
		was, is := tlsOf(opts, name), *tlsOf(read, name)
		if *was == nil || is == nil {
			continue
		}
		anew = anew || !is.ClientCAs.Equal((*was).ClientCAs)
		*was = is
		renewed = append(renewed, cmp.Or(name, "clients"))
	}
	if len(renewed) == 0 {
		return later, nil
	}
	if anew {
		if err := c.s.ReloadOptions(opts); err != nil {
			return later, err
		}
		c.opts, c.timeout, c.pinned = opts, read.TLSTimeout, read.TLSPinnedCerts
	}
	c.count(certs)
	log.Info("SIGHUP: the certificates of the NATS server were read again", "listeners", strings.Join(renewed, ","))
	return later, nil
}

// union has the keys of both.
func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}
