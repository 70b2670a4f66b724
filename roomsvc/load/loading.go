package load

import (
	"errors"
	"log/slog"
	"time"

	"natsrooms/roomsvc/journal"
	"natsrooms/roomsvc/life"
	"natsrooms/roomsvc/projection"
	"natsrooms/roomsvc/replica"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// errIncomplete says that the bucket and the journal together do not make whole rooms.
var errIncomplete = errors.New("the bucket and the journal do not make whole rooms")

// Config is what a replica is made from. All of it is needed but Image.
type Config struct {
	Life     *life.Life
	Log      *slog.Logger
	Journal  *journal.Journal
	Bucket   *projection.Bucket
	Remember time.Duration // how long outcomes of requests are known
	Image    *Image        // that this instance may have left; nil: it leaves none

	// Live is called once, when the replica is as of a marker and before the next fact is
	// passed; no lock is held.
	Live func(*Replica)
}

// Replica is what was loaded.
type Replica struct {
	*replica.Replica
	Projected projection.Projected // what the bucket held is as of this; zero: the bucket is of no use
	Pending   []room.Change        // the changes made by facts after that
}

// Found is what a start found out and what has to be put right.
type Found struct {
	Rewrite bool            // the bucket lacks what the journal has
	Image   uint64          // the revision that the image was as of which the start went over; 0: it went over the bucket, or the journal alone
	Lost    []subjects.Room // rooms that lost facts
}

// loading is one try.
type loading struct {
	Config
	snap   *projection.Snapshot
	extent journal.Extent
	ahead  time.Duration // how far this machine's clock is ahead of the server's
	rep    *Replica
	image  uint64 // nothing newer is in the image that the replica is made from; 0: there is none
}
