package main

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	natsconf "github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
)

// certificates renews the certificates of the embedded server from its configuration.
type certificates struct {
	cfg  Config
	s    *server.Server
	opts *server.Options // that the server has
	said map[string]any  // what the configuration said at the start, without certificates
}

// listeners with TLS, as the configuration calls them; the first one has its block at the top.
var listeners = []string{"", "websocket", "mqtt", "leafnodes"}

// perishable are the settings of a block tls that can be renewed.
var perishable = []string{"cert_file", "key_file", "ca_file", "timeout", "pinned_certs"}

// newCertificates remembers what the configuration says; nil if there is none.
func newCertificates(cfg Config, s *server.Server, opts *server.Options) (*certificates, error) {
	if cfg.NATSConfig == "" {
		return nil, nil
	}
	said, err := lasting(cfg.NATSConfig)
	if err != nil {
		return nil, err
	}
	return &certificates{cfg, s, opts, said}, nil
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
	opts := c.opts.Clone()
	var renewed []string
	if opts.TLSConfig != nil && read.TLSConfig != nil {
		opts.TLSConfig, opts.TLSTimeout, opts.TLSPinnedCerts = read.TLSConfig, read.TLSTimeout, read.TLSPinnedCerts
		renewed = append(renewed, "clients")
	}
	if opts.Websocket.TLSConfig != nil && read.Websocket.TLSConfig != nil {
		opts.Websocket.TLSConfig = read.Websocket.TLSConfig
		renewed = append(renewed, "websocket")
	}
	if opts.MQTT.TLSConfig != nil && read.MQTT.TLSConfig != nil {
		opts.MQTT.TLSConfig = read.MQTT.TLSConfig
		renewed = append(renewed, "mqtt")
	}
	if opts.LeafNode.TLSConfig != nil && read.LeafNode.TLSConfig != nil {
		opts.LeafNode.TLSConfig = read.LeafNode.TLSConfig
		renewed = append(renewed, "leafnodes")
	}
	if len(renewed) == 0 {
		return later, nil
	}
	if err := c.s.ReloadOptions(opts); err != nil {
		return later, err
	}
	c.opts = opts
	log.Info("SIGHUP: the certificates of the NATS server were read again", "listeners", strings.Join(renewed, ","))
	return later, nil
}

// union has the keys of both.
func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}
