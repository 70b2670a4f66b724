// Package image keeps an image of what an instance knows in a file, so that its next start
// reads one file in order instead of a key for each member. The file is never needed: the
// journal is the truth, and a file that is missing, torn, or of another journal or program is
// as good as none.
package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"natsrooms/roomsvc/room"
)

// When an image is written: when there are more facts since the last one than a start reads
// in a moment, and of a large deployment more, so that the writing stays a small part of the
// work; in any case when there are some and the last one is old.
const (
	look     = time.Second
	manyNew  = 20_000
	oneIn    = 8 // of the members
	old      = 5 * time.Minute
	againLog = 10 * time.Minute
)

// ErrNone says that there is no image that can be used.
var ErrNone = errors.New("there is no image")

// File is the file of an instance.
type File struct{ Path string }

// begin is what a file begins with: who finds anything else does not read it. The identity of
// the journal that the image is made from follows, on the same line.
var begin = fmt.Sprintf("natsrooms image %d.%d of journal ", form, room.Packing)

// form is the number of the form of everything that the room's own number does not stand for.
const form = 1

// Write replaces the file by what content writes. The file is not forced onto the disk: after a
// crash of the machine it may be torn, which [File.Read] finds out.
func (f *File) Write(journal string, content func(io.Writer) error) (err error) {
	fresh := f.Path + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	w := io.MultiWriter(file, sum)
	if _, err = io.WriteString(w, begin+journal+"\n"); err == nil {
		err = content(w)
	}
	if err == nil {
		_, err = file.Write(sum.Sum(nil))
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(fresh, f.Path)
	}
	if err != nil {
		os.Remove(fresh)
	}
	return err
}

// Read passes what was written to content, with the journal that it is made from. It is
// [ErrNone] if there is nothing that can be used.
func (f *File) Read(content func(journal string, r *bufio.Reader) error) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	sum, want := sha256.New(), make([]byte, sha256.Size)
	if size >= 0 {
		if _, err := io.Copy(sum, io.LimitReader(file, size)); err != nil {
			return err
		}
		if _, err := io.ReadFull(file, want); err != nil {
			return err
		}
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return fmt.Errorf("%w: %s is torn", ErrNone, f.Path)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(file, 0, size), 1<<20)
	line, err := r.ReadString('\n')
	journal, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), begin)
	if err != nil || !ours {
		return fmt.Errorf("%w: %s begins with %q, not with %q", ErrNone, f.Path, line, begin)
	}
	return content(journal, r)
}

// Keep writes images of a journal's replica until ctx ends. The file has one up to have; 0: none.
// mark is the newest fact that an image would include, and
// save writes one and says how many members it has.
func (f *File) Keep(ctx context.Context, log *slog.Logger, journal string, have uint64, mark func() uint64, save func(context.Context, io.Writer) (int, error)) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var last struct {
		mark    uint64
		members int
		at      time.Time
	}
	if last.mark = have; have > 0 {
		last.at = time.Now()
	}
	var told time.Time
	for {
		now := mark()
		if since := now - last.mark; since > uint64(max(manyNew, last.members/oneIn)) || since > 0 && time.Since(last.at) > old {
			began := time.Now()
			last.mark, last.at = now, began
			err := f.Write(journal, func(w io.Writer) (err error) {
				last.members, err = save(ctx, w)
				return err
			})
			if ctx.Err() != nil {
				return
			}
			log.Debug("wrote an image", "revision", now, "members", last.members, "took", time.Since(began), "error", err)
			if err != nil && time.Since(told) > againLog {
				told = time.Now()
				log.Warn("an image of what this instance knows could not be written, so its next start takes longer", "file", f.Path, "error", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
