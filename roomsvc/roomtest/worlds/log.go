package worlds

import (
	"bytes"
	"sync"
)

// Log keeps what several goroutines write, for a test to read. The zero value is ready to use.
type Log struct {
	mu  sync.Mutex // guards the buffer
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
