package roomtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func publish(t *testing.T, js jetstream.JetStream, subject string) uint64 {
	t.Helper()
	ack, err := js.Publish(t.Context(), subject, nil)
	if err != nil {
		t.Fatalf("publishing: %v", err)
	}
	return ack.Sequence
}

func stream(t *testing.T, n *Node, replicas int) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(Conn(t, n.Server))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "T", Subjects: []string{"t"}, Replicas: replicas}); err != nil {
		t.Fatalf("making a stream: %v", err)
	}
	return js
}

func TestRestartKeepsStoreAndPort(t *testing.T) {
	t.Parallel()
	n := Start(t, SyncAlways)
	js := stream(t, n, 1)
	url := n.ClientURL()
	for want := uint64(1); want <= 3; want++ {
		if got := publish(t, js, "t"); got != want {
			t.Fatalf("sequence %d, want %d", got, want)
		}
		n.Restart()
		if n.ClientURL() != url {
			t.Fatalf("came back on %s, was on %s", n.ClientURL(), url)
		}
		waitFor(t, patience, "the connection to come back", func() bool { return js.Conn().FlushTimeout(time.Second) == nil })
	}
}

func TestServersAreSeparate(t *testing.T) {
	t.Parallel()
	a, b := Start(t), Start(t)
	if stream(t, a, 1); a.ClientURL() == b.ClientURL() {
		t.Fatalf("both on %s", a.ClientURL())
	}
	js, err := jetstream.New(Conn(t, b.Server))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), "T"); err == nil {
		t.Fatal("b has a's stream")
	}
}

func TestClusterSurvivesItsStreamLeader(t *testing.T) {
	t.Parallel()
	nodes := Cluster(t, 3)
	js := stream(t, nodes[0], 3)
	publish(t, js, "t")

	old := StreamLeader(t, nodes, "T")
	old.Stop()
	if leader := StreamLeader(t, nodes, "T"); leader == old {
		t.Fatal("a stopped node leads")
	}
	MetaLeader(t, nodes)
	ctx, cancel := context.WithTimeout(t.Context(), election)
	defer cancel()
	waitFor(t, election, "a write without the old leader", func() bool {
		_, err := js.Publish(ctx, "t", nil)
		return err == nil
	})
	old.Start()
	old.WaitCurrent()
}

// The system account is told who disconnects, after a restart too; everybody else has JetStream.
func TestSystemAccount(t *testing.T) {
	t.Parallel()
	n := Start(t, System)
	stream(t, n, 1)
	for range 2 {
		system := SystemConn(t, n.Server)
		gone, err := system.SubscribeSync("$SYS.ACCOUNT.*.DISCONNECT")
		if err != nil || system.FlushTimeout(patience) != nil {
			t.Fatal(err)
		}
		nc := Conn(t, n.Server, nats.Name("leaver"))
		if _, err := nc.Request("$SYS.REQ.SERVER.PING", nil, look); err == nil {
			t.Error("anybody is in the system account")
		}
		nc.Close()
		for {
			m, err := gone.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(m.Data), `"leaver"`) {
				break
			}
		}
		n.Restart()
	}
}
