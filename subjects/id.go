// Package subjects holds every name that natsrooms puts on the wire: the IDs of
// rooms and users with their one-token encoding, the NATS subjects, and the names
// of the streams and key-value buckets. No other package spells a subject out.
package subjects

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxIDBytes is the longest room or user ID, in bytes of UTF-8.
const MaxIDBytes = 128

// Reasons why an ID or a token is refused.
var (
	ErrEmpty        = errors.New("is empty; it must have 1 to 128 bytes")
	ErrTooLong      = errors.New("is longer than 128 bytes")
	ErrNotUTF8      = errors.New("is not valid UTF-8")
	ErrControl      = errors.New("has a control character (U+0000-1F, U+007F-9F)")
	ErrNoncharacter = errors.New("has a Unicode noncharacter")
	ErrNotCanonical = errors.New("is not the one canonical token of an ID: every byte but A-Z a-z 0-9 _ - is written =XX, upper-case hex, and no other byte is")
)

// Room is a valid room ID: 1 to [MaxIDBytes] bytes of UTF-8 without control
// characters and noncharacters. Make one with [ParseRoom] or [RoomOfToken].
type Room string

// User is a valid user ID, under the same rules as [Room].
type User string

// ParseRoom checks a room ID as people write it. The error is one of those above.
func ParseRoom(id string) (Room, error) { return Room(id), checkID(id) }

// ParseUser checks a user ID as people write it. The error is one of those above.
func ParseUser(id string) (User, error) { return User(id), checkID(id) }

// RoomOfToken decodes a subject token or key part. It accepts only the canonical form.
func RoomOfToken(token string) (Room, error) { id, err := decode(token); return Room(id), err }

// UserOfToken decodes a subject token or key part. It accepts only the canonical form.
func UserOfToken(token string) (User, error) { id, err := decode(token); return User(id), err }

// Token is the ID as one subject token, legal as a key part and as a URI part too.
func (r Room) Token() string { return encode(string(r)) }

// Token is the ID as one subject token, legal as a key part and as a URI part too.
func (u User) Token() string { return encode(string(u)) }

func checkID(id string) error {
	switch {
	case id == "":
		return ErrEmpty
	case len(id) > MaxIDBytes:
		return ErrTooLong
	case !utf8.ValidString(id):
		return ErrNotUTF8
	}
	for _, r := range id {
		switch {
		case r < 0x20 || r >= 0x7f && r <= 0x9f:
			return ErrControl
		case r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef:
			return ErrNoncharacter
		}
	}
	return nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

const hexDigits = "0123456789ABCDEF"

func encode(id string) string {
	escaped := 0
	for i := range len(id) {
		if !plain(id[i]) {
			escaped++
		}
	}
	if escaped == 0 {
		return id
	}
	out := make([]byte, 0, len(id)+2*escaped)
	for i := range len(id) {
		if c := id[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(out)
}

func decode(token string) (string, error) {
	id, err := unescape(token)
	if err != nil {
		return "", err
	}
	if err := checkID(id); err != nil {
		return "", fmt.Errorf("names an ID that %w", err)
	}
	return id, nil
}

// unescape reverses encode, for the canonical form only.
func unescape(token string) (string, error) {
	if token == "" {
		return "", ErrEmpty
	}
	out := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if plain(c) {
			out = append(out, c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", ErrNotCanonical
		}
		hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if hi < 0 || lo < 0 {
			return "", ErrNotCanonical
		}
		c = byte(hi<<4 | lo)
		if plain(c) {
			return "", ErrNotCanonical
		}
		out, i = append(out, c), i+2
	}
	return string(out), nil
}
