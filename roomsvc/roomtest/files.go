package roomtest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Holding counts the files in a directory, and below it, that contain some text.
func Holding(t testing.TB, dir, text string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files++
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a server moves its files about
		t.Fatal(err)
	}
	return files
}
