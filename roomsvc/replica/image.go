package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc/pack"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// An image is a replica as bytes: its mark, how large it is, its rooms and its outcomes, each as one frame, and
// another mark. What is newer than the first mark may be in it, as in the bucket: facts after
// that mark can be replayed over it. Nothing is newer than the second mark: a journal that has
// that fact has all that the image has.

// mostFrame is more than any frame can have.
const mostFrame = 1 << 31

// Save writes an image, and returns how many members are in it.
func (r *Replica) Save(ctx context.Context, to io.Writer) (members int, err error) {
	w := &imageWriter{to: bufio.NewWriterSize(to, 1<<20)}
	w.mark(r.Mark())
	rooms := r.All()
	w.frame(pack.Number(pack.Number(nil, uint64(len(rooms))), uint64(r.Users.len())), nil)
	var buf []byte
	for _, known := range rooms {
		exists := false
		known.View(func(st *room.State) {
			if exists = st != nil; exists {
				buf, err = st.Pack(buf[:0])
				members += st.Members
			}
		})
		if exists {
			w.frame(buf, err)
		}
	}
	w.frame(nil, nil)
	r.Outcomes.each(func(o *remembered) { w.frame(o.pack()) })
	w.frame(nil, nil)
	if err := r.Passed.Wait(ctx, r.newest.Load()); err != nil {
		return members, err
	}
	w.mark(r.Mark())
	return members, errors.Join(w.err, w.to.Flush())
}

type imageWriter struct {
	to  *bufio.Writer
	err error
}

func (w *imageWriter) frame(data []byte, err error) {
	if w.err == nil {
		w.err = err
	}
	if w.err == nil {
		_, w.err = w.to.Write(binary.AppendUvarint(nil, uint64(len(data))))
	}
	if w.err == nil {
		_, w.err = w.to.Write(data)
	}
}

func (w *imageWriter) mark(m room.Mark) { w.frame(json.Marshal(m)) }

func readFrame(from *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(from)
	if err != nil || n > mostFrame {
		return nil, fmt.Errorf("a frame of %d bytes: %w", n, err)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(from, data)
	return data, err
}

// ReadMark reads the first mark of an image, and leaves the rest of it to [Replica.Restore].
func ReadMark(from *bufio.Reader) (m room.Mark, err error) {
	data, err := readFrame(from)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(data, &m)
}

// Restore puts what an image has into a replica that nobody reads yet, and returns the second
// mark.
func (r *Replica) Restore(from *bufio.Reader) (newest room.Mark, err error) {
	size, err := readFrame(from)
	if err != nil {
		return newest, err
	}
	n := pack.Reading[[]byte]{Rest: size}
	r.rooms = make(map[subjects.Room]*Room, n.Number())
	r.Users.init(int(n.Number()))
	if err := r.restoreRooms(from); err != nil {
		return newest, err
	}
	now := time.Now()
	for {
		data, err := readFrame(from)
		if err != nil {
			return newest, err
		}
		if len(data) == 0 {
			return ReadMark(from)
		}
		if err := r.Outcomes.restore(data, now); err != nil {
			return newest, err
		}
	}
}

// restoreRooms unpacks as many rooms at once as there are processors.
func (r *Replica) restoreRooms(from *bufio.Reader) (err error) {
	frames := make(chan []byte, 256)
	var wait sync.WaitGroup
	var mu sync.Mutex // guards failed
	var failed error
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for data := range frames {
				if st, err := room.Unpack(data); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				} else {
					r.fill(st)
				}
			}
		})
	}
	var data []byte
	for {
		if data, err = readFrame(from); err != nil || len(data) == 0 {
			break
		}
		frames <- data
	}
	close(frames)
	wait.Wait()
	return errors.Join(err, failed)
}
