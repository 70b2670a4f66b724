package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/webhooks"
)

// Webhooks are where facts and messages are delivered. A flag gives URL or NAME=URL, and the
// configuration file all fields of each.
type Webhooks []webhooks.Hook

var namedURL = regexp.MustCompile(`^([a-z0-9-]+)=(https?://.*)$`)

// Decode implements [kong.MapperValue]: each flag adds one.
func (w *Webhooks) Decode(ctx *kong.DecodeContext) error {
	switch v := ctx.Scan.Pop().Value.(type) {
	case Webhooks: // of the file
		*w = v
	case string:
		h, err := webhookOf(v)
		if err != nil {
			return err
		}
		*w = append(*w, h)
	default:
		return errors.New("missing value, expecting a URL")
	}
	return nil
}

func webhookOf(text string) (h webhooks.Hook, err error) {
	if m := namedURL.FindStringSubmatch(text); m != nil {
		return webhooks.Hook{Name: m[1], URL: m[2]}, nil
	}
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
		return h, fmt.Errorf("%q is neither a URL nor NAME=URL", text)
	}
	return webhooks.Hook{Name: webhooks.NameOf(text), URL: text}, nil
}

// String is for people: names and hosts. The rest of a URL may be secret.
func (w Webhooks) String() string {
	list := make([]string, len(w))
	for i, h := range w {
		list[i] = h.Name + "=" + withoutSecrets(h.URL)
	}
	return strings.Join(list, ",")
}

// withoutSecrets is a URL without what may be secret of it.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "?"
	}
	return u.Scheme + "://" + u.Host
}

// hookSubjects are the NATS subjects where the application is asked.
func (c *Config) hookSubjects() (list []string) {
	for _, target := range c.Hook {
		if !hooks.OverHTTP(target) {
			list = append(list, target)
		}
	}
	slices.Sort(list)
	return list
}

// webhooks are the webhooks as the service takes them.
func (c *Config) webhooks() webhooks.Settings {
	s := webhooks.Settings{GiveUp: c.WebhookGiveUp}
	for _, h := range c.Webhook {
		if len(h.Secrets) == 0 {
			h.Secrets = c.WebhookSecret
		}
		h.Private = h.Private || c.WebhookPrivate
		s.Hooks = append(s.Hooks, h)
	}
	return s
}

func (c *Config) checkWebhooks() error {
	asks, keep := false, cmp.Or(c.FactsKeep, roomsvc.DefaultFactsKeep)
	for _, target := range c.Hook {
		asks = asks || hooks.OverHTTP(target)
	}
	switch {
	case len(c.Webhook) == 0 && c.WebhookGiveUp != 0:
		return errors.New("--webhook-give-up is for --webhook URL, which is not given")
	case len(c.Webhook) == 0 && !asks && (len(c.WebhookSecret) > 0 || c.WebhookPrivate):
		return errors.New("--webhook-secret and --webhook-private are for --webhook URL and --hook VERB=URL, which are not given")
	case c.WebhookGiveUp > max(keep, 0):
		return fmt.Errorf("--webhook-give-up is %s, and facts are kept for %s (--facts-keep); give up sooner, or keep them longer", c.WebhookGiveUp, keep)
	}
	s := c.webhooks()
	if err := s.Check(); err != nil {
		return fmt.Errorf("--webhook: %w", err)
	}
	return nil
}

// checkSecrets reads what requests over HTTP are signed with.
func (c *Config) checkSecrets() error {
	s := c.webhooks()
	if err := s.Check(); err != nil {
		return fmt.Errorf("--webhook: %w", err)
	}
	for _, h := range s.Hooks {
		if _, err := webhooks.Poster(h); err != nil {
			return fmt.Errorf("--webhook: %w", err)
		}
	}
	asks := c.hooks()
	if err := asks.Open(); err != nil {
		return fmt.Errorf("--hook: %w", err)
	}
	return nil
}

// webhookFields are those that the file may give a webhook.
var webhookFields = map[string]func(*webhooks.Hook, *yaml.Node) bool{
	"url":      func(h *webhooks.Hook, n *yaml.Node) bool { return n.Decode(&h.URL) == nil },
	"secret":   func(h *webhooks.Hook, n *yaml.Node) bool { return texts(n, &h.Secrets) },
	"types":    func(h *webhooks.Hook, n *yaml.Node) bool { return texts(n, &h.Types) },
	"rooms":    func(h *webhooks.Hook, n *yaml.Node) bool { return n.Decode(&h.Rooms) == nil },
	"messages": func(h *webhooks.Hook, n *yaml.Node) bool { return n.Decode(&h.Messages) == nil },
	"binary":   func(h *webhooks.Hook, n *yaml.Node) bool { return n.Decode(&h.Binary) == nil },
	"private":  func(h *webhooks.Hook, n *yaml.Node) bool { return n.Decode(&h.Private) == nil },
	"timeout":  func(h *webhooks.Hook, n *yaml.Node) bool { return n.Decode(&h.Timeout) == nil },
}

// webhookKinds are the values of those that are not text.
var webhookKinds = map[string]string{
	"secret": "the name of a file, or a list of two", "types": "a list of types of events, such as [member.joined, member.left]",
	"messages": "true or false", "binary": "true or false", "private": "true or false", "timeout": "a duration like 10s",
}

// texts reads one text or a list of them.
func texts(n *yaml.Node, to *[]string) bool {
	if n.Kind == yaml.ScalarNode {
		*to = []string{n.Value}
		return n.Tag != "!!null"
	}
	return n.Decode(to) == nil
}

var webhooksType = reflect.TypeFor[Webhooks]()

// fitWebhooks reads the webhooks of the file: one URL, or for each name a URL or its fields.
func (f *file) fitWebhooks(flag *kong.Flag, n *yaml.Node) (any, error) {
	var all Webhooks
	if n.Kind == yaml.ScalarNode {
		h, err := webhookOf(n.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.at(n.Line), flag.Name, err)
		}
		return append(all, h), nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: %s must be names, each with a URL or with fields, like {app: https://app.example/hook}", f.at(n.Line), flag.Name)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolved(n.Content[i+1])
		name := flag.Name + "." + key.Value
		h := webhooks.Hook{Name: key.Value}
		if slices.ContainsFunc(all, func(o webhooks.Hook) bool { return o.Name == h.Name }) {
			return nil, fmt.Errorf("%s: %s is set twice", f.at(key.Line), name)
		}
		var err error
		if value.Kind == yaml.MappingNode {
			err = f.fitWebhook(name, value, &h)
		} else {
			h.URL, err = f.scalar(name, value)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

func (f *file) fitWebhook(name string, n *yaml.Node, h *webhooks.Hook) error {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolved(n.Content[i+1])
		read, ok := webhookFields[key.Value]
		switch {
		case !ok:
			return fmt.Errorf("%s: %s has no %q; there are url, secret, types, rooms, messages, binary, private and timeout", f.at(key.Line), name, key.Value)
		case seen[key.Value]:
			return fmt.Errorf("%s: %s.%s is set twice", f.at(key.Line), name, key.Value)
		case !read(h, value):
			kind := webhookKinds[key.Value]
			if kind == "" {
				kind = "text"
			}
			return fmt.Errorf("%s: %s.%s must be %s", f.at(value.Line), name, key.Value, kind)
		}
		seen[key.Value] = true
	}
	return nil
}
