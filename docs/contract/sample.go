package contract

import "sync"

// Of each kind the first are all checked, then one in so many: a storm is more of the same.
const (
	sampleAll  = 100
	sampleEach = 25
)

// Sample picks what to check where a test sees thousands of a kind. The zero value is
// ready, for any number of goroutines.
type Sample struct {
	mu   sync.Mutex
	seen map[string]int
}

// Takes says whether the next of a kind is to be checked.
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
