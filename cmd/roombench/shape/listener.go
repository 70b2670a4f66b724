package shape

import (
	"fmt"

	"natsrooms/cmd/roombench/wire"
	"natsrooms/roomsvc/room"
)

// listener is in every room from before the clients until after them, and keeps account of what
// it hears about each.
type listener struct {
	*peer
	since  []uint64 // the fact by which it came into each room
	first  []uint64 // the first one that it heard of each
	joined []int    // how often it heard that a client joins, in any room
	left   []int
	holes  []hole
}

// hole is facts of a room that were not heard: those after one and before another.
type hole struct {
	room          int
	after, before uint64
}

// newListener is a listener that is in all rooms, and for now reads only its own answers.
func newListener(cfg *Config, at *names, user string, clients int) (*listener, error) {
	p, err := newPeer(cfg, at, user, listenersLease)
	if err != nil {
		return nil, err
	}
	l := &listener{peer: p, first: make([]uint64, len(at.rooms)), joined: make([]int, clients), left: make([]int, clients)}
	l.hear, l.stamps = l.take, true
	for r := range at.rooms {
		lines := l.lines
		if !cfg.Feeds {
			lines = wire.AppendSub(lines, at.facts[r], uint64(roomSID+r))
		}
		reply, err := l.command(lines, room.Enter, r, "")
		if err == nil {
			var since uint64
			since, err = position(reply)
			l.since = append(l.since, since)
		}
		if err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

func (l *listener) take(m *wire.Msg) error {
	r := l.at.of(m.Subject)
	if r < 0 {
		return nil
	}
	last := l.last[r]
	f, err := readFact(m.Data, l.own, l.note)
	if err != nil {
		return err
	}
	l.entries.Add(int64(f.entries))
	missing, err := l.follow(r, f.sequence)
	if last == 0 {
		l.first[r] = f.sequence
	}
	if missing > 0 {
		l.holes = append(l.holes, hole{r, last, f.sequence})
	}
	return err
}

// note books an entry of a client, whose user is u and its number.
func (l *listener) note(k kind, user []byte) {
	if user[0] != clientPrefix {
		return
	}
	i := int(wire.Number(user[1:]))
	if i >= len(l.joined) {
		return
	}
	if k == joins {
		l.joined[i]++
	} else {
		l.left[i]++
	}
}

// want is how many facts it should have heard, if these are the rooms' newest ones.
func (l *listener) want(newest []uint64) (n int64) {
	for r, since := range l.since {
		n += int64(newest[r] - since + 1)
	}
	return n
}

// complete finds out by history what was not heard, and checks that it heard of each client
// what was acknowledged to it.
func (l *listener) complete(newest []uint64, clients []*client, t Truth) (history int, err error) {
	for r, end := range newest {
		if l.first[r] > l.since[r] {
			l.holes = append(l.holes, hole{r, l.since[r] - 1, l.first[r]})
		}
		if l.last[r] < end {
			l.holes = append(l.holes, hole{r, max(l.last[r], l.since[r]-1), end + 1})
		}
	}
	for _, h := range l.holes {
		name, n := l.at.rooms[h.room], int(h.before-h.after-1)
		if !l.cfg.Feeds {
			return 0, fmt.Errorf("%s did not hear facts %d to %d of %s", l.user, h.after+1, h.before-1, name)
		}
		facts, err := t.Facts(name, h.after, h.before-1)
		if err != nil {
			return 0, err
		}
		if len(facts) != n {
			return 0, fmt.Errorf("%s did not hear facts %d to %d of %s, and history has %d of them", l.user, h.after+1, h.before-1, name, len(facts))
		}
		for i, data := range facts {
			f, err := readFact(data, l.own, l.note)
			if want := h.after + 1 + uint64(i); err == nil && f.sequence != want {
				err = fmt.Errorf("history of %s has fact %d where %d should be", name, f.sequence, want)
			}
			if err != nil {
				return 0, err
			}
		}
		history += n
	}
	for i, c := range clients {
		if joined, left := c.told(); l.joined[i] != joined || l.left[i] != left {
			return 0, fmt.Errorf("%s entered %d times and left %d times as its answers say, but %s heard %d and %d", c.user, c.entered, c.leftAgain, l.user, l.joined[i], l.left[i])
		}
	}
	return history, nil
}
