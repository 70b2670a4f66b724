package contract

import "sync"

// The first events of each kind are all checked, then one in sampleEach: a storm is more of the same.
const (
	sampleAll  = 100
	sampleEach = 25
)

// Sample picks what to check if a test sees thousands of a kind. The zero value is ready
// to use, from any number of goroutines.
type Sample struct {
	mu   sync.Mutex // guards seen
	seen map[string]int
}

// Takes reports whether the next of a kind is to be checked.
func (s *Sample) Takes(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]int{}
	}
	s.seen[kind]++
	n := s.seen[kind]
	return n <= sampleAll || n%sampleEach == 0
}
