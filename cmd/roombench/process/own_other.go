//go:build !unix

package process

import "time"

// Own is how much processor time this process has used; 0 where the system is not asked.
func Own() time.Duration { return 0 }
