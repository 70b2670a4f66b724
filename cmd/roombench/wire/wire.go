// Package wire is NATS's text protocol with as little work as a benchmark's client needs, so
// that a machine can carry thousands of clients and still leave its processors to the server.
// A connection has no goroutine, no queue and no second try; whoever reads it hears everything
// that the server sends, in order.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	dialWithin = 20 * time.Second
	readBytes  = 8 << 10
)

// Login is how a connection gets in. The zero value is for servers that let everybody in.
type Login struct {
	User     string `json:"user,omitzero"`
	Password string `json:"pass,omitzero"`
	Token    string `json:"auth_token,omitzero"`
}

// Conn is one connection. One goroutine at a time may read; any may write.
type Conn struct {
	nc   net.Conn
	r    *bufio.Reader
	line []byte // a copy of the newest message's first line
	long []byte // the newest payload that does not fit into the reader
}

// Msg is one message, until the next [Conn.Read]. An SID of 0 is the answer to a ping.
type Msg struct {
	SID                   uint64
	Subject, Header, Data []byte
}

// hello is what a client says first.
type hello struct {
	Login        `json:",embed"`
	Name         string `json:"name"`
	Lang         string `json:"lang"`
	Version      string `json:"version"`
	Verbose      bool   `json:"verbose"`
	Pedantic     bool   `json:"pedantic"`
	Headers      bool   `json:"headers"`
	NoResponders bool   `json:"no_responders"`
}

// Dial connects to HOST:PORT and returns once the server has let the connection in.
func Dial(address string, l Login) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", address, dialWithin)
	if err != nil {
		return nil, err
	}
	c := &Conn{nc: nc, r: bufio.NewReaderSize(nc, readBytes)}
	if err := c.greet(l); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return c, nil
}

func (c *Conn) greet(l Login) error {
	if err := c.nc.SetDeadline(time.Now().Add(dialWithin)); err != nil {
		return err
	}
	info, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if bytes.Contains(info, []byte(`"tls_required":true`)) {
		return errors.New("the server requires TLS, which these clients do not speak")
	}
	said, err := json.Marshal(&hello{Login: l, Name: "roombench", Lang: "roombench", Version: "1", Headers: true, NoResponders: true})
	if err != nil {
		return err
	}
	if err := c.Write(append(append([]byte("CONNECT "), said...), "\r\n"...)); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	return c.nc.SetDeadline(time.Time{})
}

// Write sends lines of the protocol, as the functions below make them.
func (c *Conn) Write(b []byte) error {
	_, err := c.nc.Write(b)
	return err
}

// Flush returns when the server has taken everything written so far. What arrives meanwhile
// is lost, so it is for connections that have not subscribed to anything yet, or on which
// nothing happens.
func (c *Conn) Flush() error {
	if err := c.Write(Ping); err != nil {
		return err
	}
	for m := (Msg{SID: 1}); m.SID != 0; {
		if err := c.Read(&m); err != nil {
			return err
		}
	}
	return nil
}

// Read waits for the next message or answer to a ping. It answers the server's own pings.
func (c *Conn) Read(m *Msg) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")):
			return c.message(m, line[4:], false)
		case bytes.HasPrefix(line, []byte("HMSG ")):
			return c.message(m, line[5:], true)
		case bytes.HasPrefix(line, []byte("PONG")):
			*m = Msg{}
			return nil
		case bytes.HasPrefix(line, []byte("PING")):
			if err := c.Write([]byte("PONG\r\n")); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte("-ERR")):
			return fmt.Errorf("the server says %s", bytes.TrimSpace(line[4:]))
		}
	}
}

// message reads the message that a line announces: subject, subscription, perhaps a reply
// subject, perhaps the bytes of the header, and the bytes of all.
func (c *Conn) message(m *Msg, line []byte, header bool) error {
	c.line = append(c.line[:0], bytes.TrimRight(line, "\r\n")...)
	subject, rest, _ := bytes.Cut(c.line, []byte(" "))
	sid, rest, _ := bytes.Cut(rest, []byte(" "))
	size, ok := lastNumber(&rest)
	head := 0
	if header && ok {
		head, ok = lastNumber(&rest)
	}
	if !ok || head > size {
		return fmt.Errorf("the server sent a line that is not in its protocol: %q", c.line)
	}
	all, err := c.payload(size)
	if err != nil {
		return err
	}
	*m = Msg{Number(sid), subject, all[:head], all[head:]}
	return nil
}

// payload is the next n bytes, and takes the end of the line after them.
func (c *Conn) payload(n int) ([]byte, error) {
	if n+2 <= readBytes {
		b, err := c.r.Peek(n + 2)
		if err != nil {
			return nil, err
		}
		_, err = c.r.Discard(n + 2)
		return b[:n], err
	}
	if cap(c.long) < n+2 {
		c.long = make([]byte, n+2)
	}
	b := c.long[:n+2]
	_, err := io.ReadFull(c.r, b)
	return b[:n], err
}

// Close ends the connection; a Read that waits returns an error.
func (c *Conn) Close() { c.nc.Close() }

// lastNumber cuts the last word, a number, off a line.
func lastNumber(line *[]byte) (int, bool) {
	i := bytes.LastIndexByte(*line, ' ')
	n, err := strconv.Atoi(string((*line)[i+1:]))
	*line = (*line)[:max(i, 0)]
	return n, err == nil && n >= 0
}

// Number is the decimal number that b begins with, 0 if there is none.
func Number(b []byte) (n uint64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// Ping asks for a sign of life, which comes after all that the server had to send before.
var Ping = []byte("PING\r\n")

// AppendSub appends a subscription; sid is 1 or more.
func AppendSub(b []byte, subject string, sid uint64) []byte {
	b = append(append(append(b, "SUB "...), subject...), ' ')
	return append(strconv.AppendUint(b, sid, 10), "\r\n"...)
}

// AppendUnsub appends the end of a subscription.
func AppendUnsub(b []byte, sid uint64) []byte {
	return append(strconv.AppendUint(append(b, "UNSUB "...), sid, 10), "\r\n"...)
}

// AppendPub appends a message. reply may be empty; header is empty or begins with NATS/1.0.
func AppendPub(b []byte, subject, reply string, header, data []byte) []byte {
	verb := "PUB "
	if len(header) > 0 {
		verb = "HPUB "
	}
	b = append(append(append(b, verb...), subject...), ' ')
	if reply != "" {
		b = append(append(b, reply...), ' ')
	}
	if len(header) > 0 {
		b = append(strconv.AppendInt(b, int64(len(header)), 10), ' ')
	}
	b = append(strconv.AppendInt(b, int64(len(header)+len(data)), 10), "\r\n"...)
	return append(append(append(b, header...), data...), "\r\n"...)
}
