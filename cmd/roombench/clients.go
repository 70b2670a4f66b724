package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"natsrooms/cmd/roombench/process"
	"natsrooms/cmd/roombench/shape"
	"natsrooms/cmd/roombench/wire"
	"natsrooms/roomsvc/auth"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// crowd measures clients that enter and leave rooms, each over a connection of its own and with
// one command in flight, compared before and after it with an echo of as many connections, and
// with a service that has no rooms but stores and tells as much.
func (b *bench) crowd(rooms int, feeds bool) (Result, error) {
	var echo, plain shape.Measured
	m, err := b.churn(rooms, b.Clients, b.Count, feeds, func(cfg shape.Config, prefix string, n int) error {
		if err := b.clientsEcho(cfg, b.Clients, n, &echo); err != nil {
			return err
		}
		return b.plainChurn(cfg, prefix, rooms, n, &plain)
	})
	if err != nil {
		return Result{}, err
	}
	r := compared(timingOf(m), timingOf(echo), "echo, as many connections")
	r.Figures = slices.Concat(costs(m, b.PID, "each"), costs(echo, b.PID, "each echo"), heard(m), b.floor(m, plain))
	return r, nil
}

// alone is one client and one command at a time, in rooms with listeners, compared with an echo
// followed by an append.
func (b *bench) alone(feeds bool) (Result, error) {
	n := b.Count / 30
	before, err := b.appendRaw(n/2, 1, true)
	if err != nil {
		return Result{}, err
	}
	var echo shape.Measured
	m, err := b.churn(1, 1, n, feeds, func(cfg shape.Config, _ string, n int) error { return b.clientsEcho(cfg, 1, n, &echo) })
	if err != nil {
		return Result{}, err
	}
	after, err := b.appendRaw(n-n/2, 1, true)
	if err != nil {
		return Result{}, err
	}
	base, asked := before.and(after), timingOf(echo)
	r := compared(timingOf(m), base, "echo p50 + append p50")
	r.Base = 1000 / (asked.at(0.5) + base.at(0.5))
	r.Ratio = r.P50 / (asked.at(0.5) + base.at(0.5))
	r.Floor = "p50 as a multiple; less is better"
	r.Figures = append([]Figure{{"p50 of the echo", asked.at(0.5), "ms"}, {"p50 of the append", base.at(0.5), "ms"}}, costs(m, b.PID, "each")...)
	return r, nil
}

// churn lets clients enter and leave n times. What they are compared with is done as often by
// beside, half of it before and half after.
func (b *bench) churn(rooms, clients, n int, feeds bool, beside func(cfg shape.Config, prefix string, n int) error) (m shape.Measured, err error) {
	err = b.inRooms(rooms, func(prefix string) error {
		cfg, err := b.clientConfig(feeds)
		if err != nil {
			return err
		}
		if err := beside(cfg, prefix, max(n/2, 1)); err != nil {
			return err
		}
		crowd, err := shape.Gather(cfg, prefix, rooms, clients, b.Listeners)
		if err != nil {
			return err
		}
		defer crowd.Close()
		if m, err = crowd.Churn(b.ctx, n, b.truth()); err != nil {
			return err
		}
		return beside(cfg, prefix, n-n/2)
	})
	return m, err
}

// inRooms makes rooms with short names, since names are a part of every fact, and ends them
// after f.
func (b *bench) inRooms(rooms int, f func(prefix string) error) error {
	prefix := nuid.Next()[16:]
	if err := b.make(prefix, rooms); err != nil {
		return err
	}
	if err := f(prefix); err != nil {
		return err
	}
	_, err := b.each(rooms, min(rooms, b.InFlight), func(w, i int) error {
		return b.ask(w, room.DestroyRoom, &room.DestroyRequest{RoomID: roomName(prefix, i)}, nil)
	})
	if err != nil {
		return err
	}
	return b.settled()
}

// clientsEcho is an echo of clients with a connection each, added to all.
func (b *bench) clientsEcho(cfg shape.Config, clients, n int, all *shape.Measured) error {
	subject, nc, err := b.answerer()
	if err != nil {
		return err
	}
	defer nc.Close()
	m, err := shape.Echo(b.ctx, cfg, subject, clients, n, make([]byte, joinBytes))
	if err != nil {
		return err
	}
	*all = combined(*all, m)
	return nil
}

// combined is two measurements of the same work.
func combined(x, y shape.Measured) shape.Measured {
	took := slices.Concat(x.Took, y.Took)
	slices.Sort(took)
	return shape.Measured{
		N: x.N + y.N, Took: took, Lasted: x.Lasted + y.Lasted, Server: x.Server + y.Server, Driver: x.Driver + y.Driver, Copies: x.Copies + y.Copies,
	}
}

// speaker measures what one member says to many, each with a connection of its own, compared with
// the same bytes on a plain subject with as many subscribers.
func (b *bench) speaker(feeds bool) (Result, error) {
	cfg, err := b.clientConfig(feeds)
	if err != nil {
		return Result{}, err
	}
	info, err := b.messages()
	if err != nil {
		return Result{}, err
	}
	n := min(b.Count/30, int(info.Config.MaxMsgsPerSubject)*9/10) // and a tenth more, before it is measured
	var r Result
	err = b.inRooms(1, func(prefix string) error {
		m, err := shape.Fanout(b.ctx, cfg, prefix, b.Audience, n, said)
		if err != nil {
			return err
		}
		acks := make([]room.SendReply, len(m.Replies))
		for i, reply := range m.Replies {
			if err := json.Unmarshal(reply, &acks[i]); err != nil {
				return err
			}
		}
		if err := b.verifyMessages(prefix, info.State.LastSeq, acks); err != nil {
			return err
		}
		raw, err := shape.RawFanout(b.ctx, cfg, nats.NewInbox(), b.Audience, n, m.Header, m.Data)
		r = compared(timingOf(m.Measured), timingOf(raw), "raw fan-out")
		r.Figures = append([]Figure{{"messages", float64(m.N / b.Audience), ""}}, costs(m.Measured, b.PID, "each")...)
		return err
	})
	return r, err
}

// messages is the stream of messages as it is now.
func (b *bench) messages() (*jetstream.StreamInfo, error) {
	stream, err := b.js[0].Stream(b.ctx, subjects.StreamMessages)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// clientConfig is how clients get in.
func (b *bench) clientConfig(feeds bool) (shape.Config, error) {
	server, _, _ := strings.Cut(b.Nats, ",")
	u, err := url.Parse(server)
	if err != nil {
		return shape.Config{}, err
	}
	cfg := shape.Config{Address: u.Host, Feeds: feeds, CPU: b.cpu}
	if password, ok := u.User.Password(); ok {
		cfg.Login = wire.Login{User: u.User.Username(), Password: password}
	} else {
		cfg.Login.Token = u.User.Username()
	}
	cfg.EndUser = func(string) wire.Login { return cfg.Login }
	if b.key == nil {
		return cfg, nil
	}
	if _, err := auth.Sign(b.key, "", auth.Claims{User: "u0"}); err != nil {
		return cfg, fmt.Errorf("--key cannot be used: %w", err)
	}
	cfg.EndUser = func(user string) wire.Login {
		token, _ := auth.Sign(b.key, "", auth.Claims{User: subjects.User(user)}) // the key has just been tried
		return wire.Login{Token: token}
	}
	return cfg, nil
}

// cpu is the processor time of the service, 0 if it is not known, and of this program.
func (b *bench) cpu() (server, driver time.Duration) {
	if b.PID > 0 {
		server, _ = process.CPU(b.PID) // it was asked when the run began
	}
	return server, process.Own()
}

// timingOf is what clients measured as a timing.
func timingOf(m shape.Measured) timing {
	return timing{n: m.N, seconds: m.Lasted.Seconds(), took: m.Took}
}

// costs is the processor time of an operation, which is called each.
func costs(m shape.Measured, pid int, each string) (list []Figure) {
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(m.N) }
	if pid > 0 {
		list = append(list, Figure{"processor time of the server, " + each, micros(m.Server), "µs"})
	}
	return append(list, Figure{"processor time of the driver, " + each, micros(m.Driver), "µs"})
}

// heard is what everybody heard.
func heard(m shape.Measured) []Figure {
	return []Figure{
		{"member entries delivered", m.Deliveries, "/s"},
		{"last fact heard after the last answer", float64(m.Late.Microseconds()) / 1000, "ms"},
		{"copies heard", float64(m.Copies), ""},
		{"copies left to history", float64(m.History), ""},
	}
}
