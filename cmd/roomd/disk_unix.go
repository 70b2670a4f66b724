//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// diskSpace is how many bytes a file system has, and how many of them are free.
func diskSpace(dir string) (total, free int64, ok bool) {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return 0, 0, false
	}
	return int64(fs.Blocks) * int64(fs.Bsize), int64(fs.Bavail) * int64(fs.Bsize), true
}
