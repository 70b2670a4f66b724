package load

import (
	"bufio"
	"sync"

	"natsrooms/roomsvc/image"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
)

// Image is the image that an instance left, and the file where it leaves the next one.
type Image struct {
	image.File
	mu   sync.Mutex // guards kept
	kept chan *restored
}

// restored is a replica made from an image.
type restored struct {
	rep          *replica.Replica
	journal      string
	mark, newest room.Mark
	err          error // why there is none
}

// ReadImage begins to read the image in a file, which may be missing. That takes as long as
// there are members, so it is worth while to begin before there is a server to connect to.
func ReadImage(path string) *Image {
	i := &Image{File: image.File{Path: path}}
	i.read()
	return i
}

func (i *Image) read() {
	kept := make(chan *restored, 1)
	i.kept = kept
	go func() {
		r := &restored{rep: replica.New(0)}
		r.err = i.Read(func(journal string, from *bufio.Reader) (err error) {
			r.journal = journal
			if r.mark, err = replica.ReadMark(from); err == nil {
				r.newest, err = r.rep.Restore(from)
			}
			return err
		})
		kept <- r
	}()
}

// take is what was read. It is given away once; whoever comes next waits for a new one.
func (i *Image) take() *restored {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kept == nil {
		i.read()
	}
	r := <-i.kept
	i.kept = nil
	return r
}
