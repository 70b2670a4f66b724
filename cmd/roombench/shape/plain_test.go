package shape

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/cmd/roombench/plain"
	"natsrooms/roomsvc/roomtest"
)

// deployPlain is a service without rooms, whose clients hear what is published on heard and a
// room's ID, and the number of messages of each room that it has stored.
func deployPlain(t *testing.T, heard string) (*deployment, Truth) {
	t.Helper()
	srv := roomtest.Server(t)
	nc := roomtest.Conn(t, srv)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "PLAIN", Subjects: []string{"in.*"}, RePublish: &jetstream.RePublish{Source: "in.*", Destination: "out.{{wildcard(1)}}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	commands, err := plain.Start(nc, "in.", plain.Sizes{Fact: 300, More: 40, Reply: 100})
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{t, nc, Config{Address: srv.Addr().String(), Plain: &Plain{Commands: commands, Stored: heard}, CPU: noTime}}
	return d, Truth{Roster: func(id string) (Roster, error) {
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("in."+id))
		if err != nil {
			return Roster{}, err
		}
		return Roster{Sequence: info.State.Subjects["in."+id]}, nil
	}}
}

func TestChurnOfPlainService(t *testing.T) {
	for name, rooms := range map[string]int{"spread": 3, "hot": 1} {
		t.Run(name, func(t *testing.T) {
			d, truth := deployPlain(t, "out.")
			m, err := d.gather(rooms, 12).Churn(t.Context(), 200, truth)
			if err != nil {
				t.Fatal(err)
			}
			// Two listeners heard every message, of no more than twelve commands.
			if m.N != 200 || len(m.Took) != 200 || m.Lasted <= 0 || m.Deliveries <= 0 || m.Copies < 2*200/12 || m.History != 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestPlainServiceLoses has less be heard or stored than was acknowledged.
func TestPlainServiceLoses(t *testing.T) {
	t.Run("a message in the stream", func(t *testing.T) {
		d, truth := deployPlain(t, "out.")
		fewer := Truth{Roster: func(id string) (Roster, error) {
			r, err := truth.Roster(id)
			r.Sequence--
			return r, err
		}}
		if _, err := d.gather(1, 4).Churn(t.Context(), 100, fewer); err == nil || !strings.Contains(err.Error(), "the last one that was acknowledged") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a message on its way", func(t *testing.T) {
		d, truth := deployPlain(t, "some.")
		_, err := d.nc.Subscribe("out.*", func(m *nats.Msg) {
			if !strings.Contains(string(m.Data), `"sequence":20,`) {
				_ = d.nc.Publish(strings.Replace(m.Subject, "out", "some", 1), m.Data)
			}
		})
		if err == nil {
			err = d.nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.gather(1, 4).Churn(t.Context(), 200, truth); err == nil || !strings.Contains(err.Error(), "1 were lost") {
			t.Errorf("got %v", err)
		}
	})
}
