package image

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(f *File) (string, error) {
	var got []byte
	err := f.Read(func(journal string, r *bufio.Reader) (err error) {
		if journal != "J" {
			return errors.New("it is of journal " + journal)
		}
		got, err = io.ReadAll(r)
		return err
	})
	return string(got), err
}

// What was written is read, until another image takes its place. One that could not be written
// to its end leaves the one before.
func TestFile(t *testing.T) {
	f := &File{filepath.Join(t.TempDir(), "image")}
	if _, err := read(f); !errors.Is(err, ErrNone) {
		t.Errorf("before the first: %v", err)
	}
	for _, content := range []string{"", "one", strings.Repeat("large", 1<<20)} {
		if err := f.Write("J", func(w io.Writer) error { _, err := io.WriteString(w, content); return err }); err != nil {
			t.Fatal(err)
		}
		if got, err := read(f); got != content || err != nil {
			t.Errorf("%d bytes, want %d, %v", len(got), len(content), err)
		}
		failed := errors.New("failed")
		if err := f.Write("J", func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return failed }); !errors.Is(err, failed) {
			t.Errorf("a writer that fails: %v", err)
		}
		if got, err := read(f); got != content || err != nil {
			t.Errorf("after a failure %d bytes, want %d, %v", len(got), len(content), err)
		}
	}
	files, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil || len(files) != 1 {
		t.Errorf("%v are left, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// Wherever a file is torn or altered, it is not read.
func TestTornFile(t *testing.T) {
	f := &File{filepath.Join(t.TempDir(), "image")}
	if err := f.Write("J", func(w io.Writer) error { _, err := io.WriteString(w, "content"); return err }); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		altered := append([]byte{}, whole...)
		altered[i] ^= 1
		for _, content := range [][]byte{whole[:i], altered, append(whole[:len(whole):len(whole)], whole[:i]...)} {
			if i == 0 && len(content) == len(whole) && content[0] == whole[0] { // nothing was added
				continue
			}
			if err := os.WriteFile(f.Path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := read(f); !errors.Is(err, ErrNone) {
				t.Errorf("%d bytes, altered at %d: %q, %v", len(content), i, got, err)
			}
		}
	}
}

// The first image is written at once if there is anything, and no second one while there is
// little new.
func TestKeep(t *testing.T) {
	f := &File{filepath.Join(t.TempDir(), "image")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks, saves := 0, 0
	f.Keep(ctx, slog.New(slog.DiscardHandler), "J", 0, func() uint64 {
		if looks++; looks == 2 {
			cancel()
		}
		return uint64(looks)
	}, func(_ context.Context, w io.Writer) (int, error) {
		saves++
		_, err := io.WriteString(w, "content")
		return 1, err
	})
	if got, err := read(f); got != "content" || err != nil || saves != 1 {
		t.Errorf("%q after %d, %v", got, saves, err)
	}
}
