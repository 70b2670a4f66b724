package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natsrooms/events/attendance"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/policy"
	"natsrooms/roomsvc/roomtest"
)

// TestRights runs the billing as a user with a pipeline's permissions and those that the
// manual says the billing needs.
func TestRights(t *testing.T) {
	page, err := os.ReadFile("../../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	var more []string
	for _, m := range regexp.MustCompile(`"(\$[^"]*billing[^"]*|\$JS\.API\.INFO)"`).FindAllSubmatch(page, -1) {
		more = append(more, string(m[1]))
	}
	may := policy.Of(policy.Pipeline)
	srv := roomtest.Server(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "service", Password: "p"}, {Username: "billing", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: append(may.Publish, more...)}, Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
		}}}
	})
	nc := roomtest.Conn(t, srv, nats.UserInfo("service", "p"))
	s, err := roomsvc.New(t.Context(), nc, roomsvc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	alice := client.New(nc, client.Config{UserID: "alice"})
	complaints := make(chan error, 64)
	for range 2 { // first it makes its bucket, then it finds it
		if _, err := alice.Enter(t.Context(), client.CreateRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Leave(t.Context(), client.RoomRequest{RoomID: "lobby"}); err != nil {
			t.Fatal(err)
		}
		own, err := nats.Connect(srv.ClientURL(), nats.UserInfo("billing", "p"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			complaints <- err
		}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		b, err := Open(ctx, own)
		if err != nil {
			t.Fatal(err)
		}
		told := false
		if err := b.Run(ctx, func(attendance.Totals) { told = true; stop() }); !errors.Is(err, context.Canceled) || !told {
			t.Fatalf("totals reported: %v, Run returned: %v", told, err)
		}
		if err := own.Flush(); err != nil {
			t.Error(err)
		}
		own.Close()
	}
	if len(complaints) > 0 {
		t.Error(<-complaints)
	}
}
