package blocks

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// Mark is what is remembered of a token.
type Mark = room.TokenMark

// MarkOf is the mark of the token that somebody brings.
func MarkOf(b *room.Bearer) Mark {
	return Mark{User: b.User, ID: short(b.TokenID), IssuedAt: b.IssuedAt, Key: b.Key}
}

// short stands for a token's jti.
func short(id string) uint64 {
	if id == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:8]) | 1
}

// Bars says why a token is refused; nil if it is not.
func (b *Book) Bars(m Mark) error {
	if b.count.Load() == 0 {
		return nil
	}
	r := b.Of(m.User)
	switch {
	case r.Blocked:
		return fmt.Errorf("%q is blocked", m.User)
	case m.ID != 0 && slices.ContainsFunc(r.Tokens, func(t room.RevokedToken) bool { return short(t.TokenID) == m.ID }):
		return fmt.Errorf("this token of %q was revoked", m.User)
	case m.IssuedAt < r.IssuedBefore:
		return fmt.Errorf("tokens of %q from before %s are refused", m.User, r.IssuedBefore)
	}
	return nil
}

// errUnmarked says that nobody here knows which token a connection was let in with.
var errUnmarked = errors.New("it is not known which token that is")

// BarsConnection says why a connection of a user has to end; nil if it has not. One that came with
// a token that nobody knows any more, because it is older than all instances, ends if any token of
// the user's is refused: whoever has a good one connects again.
func (b *Book) BarsConnection(marks *Marks, u subjects.User, c room.Connection) error {
	r := b.Of(u)
	m, ok := marks.Of(c)
	switch {
	case !r.Anything():
		return nil
	case !ok && !r.Blocked:
		return errUnmarked
	}
	m.User = u
	return b.Bars(m)
}

// Marks remembers which tokens open connections were let in with. The zero value knows none.
type Marks struct {
	mu sync.Mutex // guards of
	of map[room.Connection]marked
}

type marked struct {
	Mark
	known bool
	open  bool      // its server has said that it is open
	at    time.Time // when it was heard of first
}

// opensWithin is how long it may take from being let in to the word of the server.
const opensWithin = time.Minute

// Put notes which token a connection is let in with.
func (k *Marks) Put(c room.Connection, m Mark) {
	k.change(c, func(o *marked) { o.Mark, o.known = m, true })
}

// Opened notes that a connection is open.
func (k *Marks) Opened(c room.Connection) { k.change(c, func(o *marked) { o.open = true }) }

func (k *Marks) change(c room.Connection, f func(*marked)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil {
		k.of = map[room.Connection]marked{}
	}
	o, ok := k.of[c]
	if !ok {
		o.at = time.Now()
	}
	f(&o)
	k.of[c] = o
}

// Closed notes that a connection is closed.
func (k *Marks) Closed(c room.Connection) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.of, c)
}

// Of is the mark of the token that a connection was let in with, if it is known.
func (k *Marks) Of(c room.Connection) (Mark, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o := k.of[c]
	return o.Mark, o.known
}

// Forget drops connections that never opened.
func (k *Marks) Forget(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c, o := range k.of {
		if !o.open && now.Sub(o.at) > opensWithin {
			delete(k.of, c)
		}
	}
}
