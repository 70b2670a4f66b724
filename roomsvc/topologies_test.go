package roomsvc_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/receiver"
	"natsrooms/roomsvc/roomtest/worlds"
	"natsrooms/subjects"
)

// edge is a hub with JetStream and a server that is a leaf node of it.
type edge struct {
	hub  *worlds.World
	leaf *worlds.World // its JS is that of the leaf, if it has one
}

// joined starts both. Besides the user service:p, who has the permissions of roomd, there is
// anybody.
func joined(t *testing.T, hubDomain string, leafOptions ...roomtest.Option) *edge {
	t.Helper()
	users := func(domain string) roomtest.Option {
		return func(o *server.Options) {
			o.NoAuthUser = "anybody"
			o.Users = []*server.User{{Username: o.NoAuthUser}, {Username: "service", Password: "p", Permissions: serverPermissions(policy.Of(policy.Service).InDomain(domain))}}
		}
	}
	hub := roomtest.Start(t, users(""), func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "hub", hubDomain
		o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", server.RANDOM_PORT
	})
	varz, err := hub.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", varz.LeafNode.Port)}
	leaf := roomtest.Start(t, append([]roomtest.Option{users("hub"), func(o *server.Options) {
		o.ServerName, o.JetStream = "leaf", false
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{to}}}
	}}, leafOptions...)...)
	e := &edge{worlds.On(t, hub), worlds.On(t, leaf)}
	e.cross(t)
	return e
}

// cross waits until messages cross from the leaf to the hub.
func (e *edge) cross(t *testing.T) {
	t.Helper()
	crossed, err := e.hub.NC.SubscribeSync("crossed")
	if err != nil {
		t.Fatal(err)
	}
	e.hub.Until(patience, "messages to cross", func() bool {
		if err := e.leaf.NC.Publish("crossed", nil); err != nil {
			t.Fatal(err)
		}
		_, err := crossed.NextMsg(worlds.Look)
		return err == nil
	})
}

func serverPermissions(p policy.Permissions) *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: p.Publish}, Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
		Response: &server.ResponsePermission{MaxMsgs: policy.RespondTimes, Expires: subjects.RespondWithin},
	}
}

// ownJetStream gives the leaf node a JetStream in a domain of its own, or in none.
func ownJetStream(domain string) roomtest.Option {
	return func(o *server.Options) { o.JetStream, o.JetStreamDomain = true, domain }
}

// Each layout of docs/topologies.md with a leaf node: what is stored is on the hub and nowhere
// else, and callers on both sides are served.
func TestLeafNodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leaf       []roomtest.Option
		atHub      []roomsvc.Config
		atLeaf     []roomsvc.Config
		ownStreams bool
	}{
		"clients on the leaf node":         {atHub: []roomsvc.Config{{}}},
		"roomd on the leaf node":           {atLeaf: []roomsvc.Config{{JSDomain: "hub"}}},
		"roomd on both":                    {atHub: []roomsvc.Config{{}}, atLeaf: []roomsvc.Config{{JSDomain: "hub"}}},
		"a leaf node with its own streams": {leaf: []roomtest.Option{ownJetStream("leaf")}, atLeaf: []roomsvc.Config{{JSDomain: "hub"}}, ownStreams: true},
		"the same flags everywhere":        {leaf: []roomtest.Option{ownJetStream("leaf")}, atHub: []roomsvc.Config{{JSDomain: "hub"}}, atLeaf: []roomsvc.Config{{JSDomain: "hub"}}, ownStreams: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := joined(t, "hub", c.leaf...)
			service := nats.UserInfo("service", "p")
			r := receiver.New(t)
			r.Answer(func(out http.ResponseWriter, g *receiver.Got) {
				if g.Try == 1 { // so that something has to be noted
					out.WriteHeader(http.StatusServiceUnavailable)
				}
			})
			for i, cfg := range c.atHub {
				cfg.Webhooks = delivering(hookTo("app", r)).Webhooks
				cfg.Instance, cfg.Feeds = fmt.Sprintf("hub-%d", i), true
				e.hub.Start(cfg, service)
			}
			for i, cfg := range c.atLeaf {
				cfg.Webhooks = delivering(hookTo("app", r)).Webhooks
				cfg.Instance, cfg.Feeds = fmt.Sprintf("leaf-%d", i), true
				e.leaf.Start(cfg, service)
			}
			e.serves(t)
			r.Until(patience, "the webhook to deliver that carol has left", func() bool {
				return slices.ContainsFunc(r.Taken(), func(g *receiver.Got) bool {
					return g.Event.Type() == events.MemberLeft && bytes.Contains(g.Body, []byte("carol"))
				})
			})
			if c.ownStreams {
				for name := range e.leaf.JS.StreamNames(e.leaf.Ctx).Name() {
					t.Errorf("the leaf node has the stream %s", name)
				}
			}
		})
	}
}

// serves checks that there is one deployment, whatever side a caller is on.
func (e *edge) serves(t *testing.T) {
	t.Helper()
	for _, w := range []*worlds.World{e.hub, e.leaf} {
		w.Until(patience, "the service to be known on both sides", w.Try(func(ctx context.Context) bool {
			_, err := w.NC.RequestWithContext(ctx, "room.cmd.list", []byte("{}"))
			return err == nil
		}))
	}
	lobby := e.hub.Create("lobby", 60, "alice")
	heard, err := e.leaf.NC.SubscribeSync(subjects.Facts("lobby"))
	if err == nil {
		err = e.leaf.NC.FlushTimeout(patience)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"bob", "carol"} {
		worlds.OK[struct{}](e.leaf, "enter."+user, `{"roomID":"lobby"}`)
	}
	worlds.OK[struct{}](e.leaf, "setAttributes", `{"roomID":"lobby","set":{"a":"1"}}`)
	worlds.OK[struct{}](e.leaf, "switch", `{"userID":"alice","fromRoomID":"lobby","toRoomInfo":{"roomID":"side"},"isCreateWhenRoomNotExisted":true}`)
	worlds.OK[struct{}](e.leaf, "send", `{"roomID":"lobby","userID":"bob","type":"text","data":"hello"}`)
	worlds.OK[struct{}](e.leaf, "renew.bob", `{}`)
	worlds.OK[struct{}](e.hub, "block", `{"userID":"carol"}`)
	worlds.OK[struct{}](e.leaf, "history", fmt.Sprintf(`{"roomID":"lobby","instanceID":%q,"afterMessageSeq":0}`, lobby.InstanceID))
	e.hub.Until(patience, "the facts to be heard on the leaf node", func() bool {
		m, err := heard.NextMsg(patience)
		return err == nil && strings.Contains(string(m.Data), "carol") && strings.Contains(string(m.Data), "member.left")
	})
	e.hub.Check()
	// Somebody edits a stream; the service is told, and puts it right.
	stream, err := e.hub.JS.Stream(e.hub.Ctx, subjects.StreamRooms)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.Discard = jetstream.DiscardOld
	if _, err = e.hub.JS.UpdateStream(e.hub.Ctx, cfg); err != nil {
		t.Fatal(err)
	}
	e.hub.Until(patience, "the stream to be put right", func() bool {
		info, err := stream.Info(e.hub.Ctx)
		return err == nil && info.Config.Discard == jetstream.DiscardNew
	})
}

// Where rooms are stored elsewhere, nothing is made, and the error says what to do instead.
func TestLeafNodesRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hub  string
		leaf []roomtest.Option
		cfg  roomsvc.Config
		says []string
	}{
		"no JetStream and no domain named": {"hub", nil, roomsvc.Config{}, []string{"JetStream is off", "leave it off and name the domain", "--js-domain"}},
		"a domain that nobody has":         {"hub", nil, roomsvc.Config{JSDomain: "hug"}, []string{`no JetStream with the domain "hug"`, "correct --js-domain"}},
		"a hub without a domain":           {"", nil, roomsvc.Config{JSDomain: "hub"}, []string{`no JetStream with the domain "hub"`}},
		"its own streams":                  {"hub", []roomtest.Option{ownJetStream("leaf")}, roomsvc.Config{}, []string{"stored elsewhere already", `in the JetStream domain "hub"`, "--js-domain hub"}},
		"its own streams, no domain":       {"hub", []roomtest.Option{ownJetStream("")}, roomsvc.Config{}, []string{"stored elsewhere already", "--js-domain hub"}},
		"neither has a domain":             {"", []roomtest.Option{ownJetStream("")}, roomsvc.Config{}, []string{"stored elsewhere already", "a JetStream without a domain", "give it a domain"}},
		"no name of a domain":              {"hub", nil, roomsvc.Config{JSDomain: "a.b"}, []string{`"a.b" is no JetStream domain`}},
	} {
		t.Run(name, func(t *testing.T) {
			e := joined(t, c.hub, c.leaf...)
			e.hub.Start(roomsvc.Config{})
			e.leaf.Refuses(c.cfg, c.says...)
			if c.leaf != nil {
				for name := range e.leaf.JS.StreamNames(e.leaf.Ctx).Name() {
					t.Errorf("it made the stream %s", name)
				}
			}
			e.hub.Create("lobby", 60, "alice")
			e.hub.Check()
		})
	}
}

// Two clusters that a gateway joins have one JetStream between them, and so one deployment of
// rooms, whatever side callers and instances are on.
func TestGateways(t *testing.T) {
	t.Parallel()
	for name, sides := range map[string][2]bool{"roomd on one side": {true, false}, "roomd on both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			at := roomtest.Gateways(t)
			e := &edge{worlds.On(t, at[0]), worlds.On(t, at[1])}
			for i, w := range []*worlds.World{e.hub, e.leaf} {
				if sides[i] {
					w.Start(roomsvc.Config{Instance: fmt.Sprintf("i%d", i), Feeds: true})
				}
			}
			e.cross(t)
			e.serves(t)
		})
	}
}
