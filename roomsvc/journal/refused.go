package journal

import (
	"sync"
	"time"
)

// Codes with which a server refuses an append because a limit on what is stored is reached.
const (
	codeAccount   = 10002
	codeResources = 10023
	codeMemory    = 10028
	codeStorage   = 10047
	codeFull      = 10077
)

// full knows which streams refused an append because a limit was reached.
type full struct {
	mu   sync.Mutex // guards last
	last map[string]Refused
}

// Refused is how a stream last refused an append because a limit on what is stored is reached.
type Refused struct {
	Why  string    // as the server says it; "": it has not refused any
	Code int       // of that
	At   time.Time // when it did
	Took bool      // it has stored something since
}

// Server says that it is no limit of the stream's own that is reached, nor of the account.
func (r *Refused) Server() bool { return r.Code != codeFull && r.Code != codeAccount }

// Account says that it is a limit of the account.
func (r *Refused) Account() bool { return r.Code == codeAccount }

// heard takes the answer to an append: the code and the words of an error, or whether something
// new was stored.
func (f *full) heard(stream string, code int, why string, stored bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.last[stream]
	switch code {
	case codeAccount, codeResources, codeMemory, codeStorage, codeFull:
		r = Refused{why, code, time.Now(), false}
	default:
		if r.Why == "" || !stored {
			return
		}
		r.Took = true
	}
	if f.last == nil {
		f.last = map[string]Refused{}
	}
	f.last[stream] = r
}
