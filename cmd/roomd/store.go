package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// Files in a store directory, besides the NATS server's own.
const (
	lockFile     = "roomd.lock" // locked by the roomd that uses the directory; holds its process ID
	instanceFile = "instance"   // name of the only instance that uses the directory
	imageFile    = "image"      // what that instance knew a while ago
)

// store is a store directory that this process owns until close.
type store struct {
	instance string
	lock     *flock.Flock
}

// openStore makes the directory if it is missing, locks it and reads the instance's name.
func openStore(dir string) (*store, error) {
	unusable := func(err error) error {
		if errors.Is(err, syscall.ENOSPC) {
			return noSpace(fmt.Errorf("the disk with %s is full (%w)", dir, err))
		}
		return fmt.Errorf("the store directory %s cannot be written (%w); let this user write there, or choose another with --store-dir", dir, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, unusable(err)
	}
	if total, free, known := diskSpace(dir); known {
		if err := fullDisk(dir, total, free); err != nil {
			return nil, noSpace(err)
		}
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	ours, err := lock.TryLock()
	if err != nil {
		return nil, unusable(err)
	}
	if !ours {
		return nil, fmt.Errorf("the store directory %s is in use by another roomd%s; stop that one, or choose another directory with --store-dir", dir, owner(lock.Path()))
	}
	st := &store{lock: lock}
	if err := os.WriteFile(lock.Path(), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		st.close()
		return nil, unusable(err)
	}
	if st.instance, err = instanceOf(dir); err != nil {
		st.close()
		return nil, unusable(err)
	}
	return st, nil
}

// noSpace says what to do about a full disk at the start: a NATS server that can't write there
// would store nothing, even with space, until it is started again.
func noSpace(why error) error {
	return fmt.Errorf("%w; make space there, or choose another directory with --store-dir, and start again", why)
}

// close lets others use the directory. The lock file stays: removing it could remove a
// file that somebody else has just locked.
func (s *store) close() { s.lock.Close() }

func owner(path string) string {
	pid, err := os.ReadFile(path)
	if err != nil || len(pid) == 0 {
		return ""
	}
	return " (process " + string(pid) + ")"
}

// instanceOf reads the instance's name from the directory, or makes one. A file that a
// crash left empty or torn counts as missing: a new name only costs the wait for a lease.
func instanceOf(dir string) (string, error) {
	path := filepath.Join(dir, instanceFile)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := strings.TrimSpace(string(raw))
	if len(id) == len(rand.Text()) && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == "" {
		return id, nil
	}
	id = rand.Text()
	return id, os.WriteFile(path, []byte(id+"\n"), 0o600)
}
