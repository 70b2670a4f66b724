package inspector

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

const (
	writeWithin = 10 * time.Second // a reader that takes longer for what it is sent is left
	sayAnything = 15 * time.Second // a comment comes, so that nothing on the way takes the stream for dead
)

// stream is a stream of server-sent events.
type stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	life context.Context // ends with the request, the session, or roomd
	end  func()
	buf  bytes.Buffer
}

// begin begins to answer with a stream, which has to be ended.
func (i *Inspector) begin(w http.ResponseWriter, q *request) (*stream, error) {
	over, err := i.sessions.stream(q.session)
	if err != nil {
		return nil, busy("too many streams are open")
	}
	ctx, cancel := context.WithCancel(q.Context())
	ends := []func() bool{context.AfterFunc(i.life, cancel)}
	if q.session != nil {
		ends = append(ends, context.AfterFunc(q.session.life, cancel))
	}
	s := &stream{w: w, rc: http.NewResponseController(w), life: ctx}
	s.end = func() {
		for _, stop := range ends {
			stop()
		}
		cancel()
		over()
	}
	if err := s.rc.SetReadDeadline(time.Time{}); err != nil { // that of the server is for requests
		s.end()
		return nil, err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	return s, nil
}

// add puts an event into the buffer. data is JSON.
func (s *stream) add(event, id string, data []byte) {
	if id != "" {
		s.buf.WriteString("id: " + id + "\n")
	}
	s.buf.WriteString("event: " + event + "\n")
	for line := range bytes.Lines(bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))) {
		s.buf.WriteString("data: ")
		s.buf.Write(bytes.TrimSuffix(line, []byte("\n")))
		s.buf.WriteByte('\n')
	}
	s.buf.WriteByte('\n')
}

// retry says when a browser is to come again.
func (s *stream) retry() { s.buf.WriteString("retry: 2000\n\n") }

// comment says nothing.
func (s *stream) comment() { s.buf.WriteString(":\n\n") }

// flush sends what is in the buffer. An error says that the reader is gone, or does not read.
func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return err
	}
	if s.buf.Reset(); s.buf.Cap() > 1<<20 {
		s.buf = bytes.Buffer{}
	}
	return s.rc.Flush()
}
