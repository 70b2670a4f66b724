package faults_test

import (
	"bufio"
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between clients and a NATS server, and knows the protocol well enough to
// hold up or lose single messages.
type proxy struct {
	url    string
	target string

	toServer, toClient atomic.Pointer[rule]
	gate               sync.RWMutex // held for writing: nothing passes
	lost, held         atomic.Int64
}

// frame is one operation of the protocol. Only messages have a subject.
type frame struct {
	raw     []byte
	subject string
	body    []byte // headers and payload
}

// rule says what happens to a message. The zero fate lets it pass.
type rule func(*frame) fate

type fate struct {
	lose    bool
	hold    time.Duration
	instead string // of the body
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "nats://" + l.Addr().String(), target: strings.TrimPrefix(target, "nats://")}
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended); _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			over := sync.OnceFunc(func() { _, _ = client.Close(), server.Close() })
			go func() { p.copy(server, client, &p.toServer); over() }()
			go func() { p.copy(client, server, &p.toClient); over() }()
			go func() { <-ended; over() }()
		}
	}()
	return p
}

// on sets the rules for the journal's acknowledgements and for appends to it; nil lets all
// of them pass.
func (p *proxy) on(acks, appends rule) {
	p.toClient.Store(only(acks, func(f *frame) bool {
		return strings.HasPrefix(f.subject, "_INBOX.") && bytes.Contains(f.body, []byte(`"stream":"ROOMS"`))
	}))
	p.toServer.Store(only(appends, func(f *frame) bool {
		return strings.HasPrefix(f.subject, "room.journal.") || f.subject == "room.sync"
	}))
}

func only(r rule, which func(*frame) bool) *rule {
	if r == nil {
		return nil
	}
	r2 := rule(func(f *frame) fate {
		if !which(f) {
			return fate{}
		}
		return r(f)
	})
	return &r2
}

// pause lets nothing pass, in either direction, until resume.
func (p *proxy) pause()  { p.gate.Lock() }
func (p *proxy) resume() { p.gate.Unlock() }

// copy passes frames on. A frame that is held up arrives after frames that were sent later.
func (p *proxy) copy(to io.Writer, from io.Reader, rules *atomic.Pointer[rule]) {
	frames := make(chan *frame, 64)
	go func() {
		defer close(frames)
		for r := bufio.NewReaderSize(from, 64<<10); ; {
			f, err := read(r)
			if err != nil {
				return
			}
			frames <- f
		}
	}()
	var later delayed
	broken := false
	for n := 0; ; n++ {
		var due <-chan time.Time
		if len(later) > 0 {
			due = time.After(time.Until(later[0].at))
		}
		select {
		case f, ok := <-frames:
			if !ok {
				return
			}
			p.gate.RLock()
			p.gate.RUnlock() // it was locked only to wait
			fate := fate{}
			if r := rules.Load(); r != nil && f.subject != "" {
				fate = (*r)(f)
			}
			if fate.instead != "" {
				f.say(fate.instead)
			}
			switch {
			case fate.lose:
				p.lost.Add(1)
			case fate.hold > 0:
				p.held.Add(1)
				heap.Push(&later, late{time.Now().Add(fate.hold), n, f.raw})
			case !broken:
				_, err := to.Write(f.raw)
				broken = err != nil // it goes on reading, so that the reader ends
			}
		case <-due:
			_, err := to.Write(heap.Pop(&later).(late).raw)
			broken = broken || err != nil
		}
	}
}

var errProtocol = errors.New("not the NATS protocol")

func read(r *bufio.Reader) (*frame, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	f := &frame{raw: line}
	words := strings.Fields(string(line))
	if len(words) < 3 {
		return f, nil
	}
	switch strings.ToUpper(words[0]) {
	case "PUB", "HPUB", "MSG", "HMSG":
	default:
		return f, nil
	}
	size, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return nil, errProtocol
	}
	f.subject = words[1]
	f.raw = append(line, make([]byte, size+2)...)
	f.body = f.raw[len(line) : len(line)+size]
	_, err = io.ReadFull(r, f.raw[len(line):])
	return f, err
}

// reply is where the answer to a published message is awaited; empty if nowhere.
func (f *frame) reply() string {
	words := strings.Fields(string(f.raw[:len(f.raw)-len(f.body)-2]))
	counts := 1 // at the end of the line
	if strings.HasPrefix(strings.ToUpper(words[0]), "H") {
		counts = 2
	}
	if len(words) == 3+counts {
		return words[2]
	}
	return ""
}

// answer answers a question in the place of the server.
func (w *world) answer(f *frame, body string) {
	w.T.Helper()
	if err := w.NC.Publish(f.reply(), []byte(body)); err != nil {
		w.T.Error(err)
	}
}

// say puts another payload in the place of headers and payload.
func (f *frame) say(payload string) {
	words := strings.Fields(string(f.raw[:len(f.raw)-len(f.body)-2]))
	if strings.HasPrefix(strings.ToUpper(words[0]), "H") {
		words[0] = words[0][1:]
		words = slices.Delete(words, len(words)-2, len(words)-1)
	}
	words[len(words)-1] = strconv.Itoa(len(payload))
	f.raw = fmt.Appendf(nil, "%s\r\n%s\r\n", strings.Join(words, " "), payload)
	f.body = f.raw[len(f.raw)-len(payload)-2 : len(f.raw)-2]
}

type late struct {
	at  time.Time
	n   int
	raw []byte
}

type delayed []late

func (d delayed) Len() int { return len(d) }
func (d delayed) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].n < d[j].n
}
func (d delayed) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *delayed) Push(x any)   { *d = append(*d, x.(late)) }
func (d *delayed) Pop() any {
	x := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return x
}
