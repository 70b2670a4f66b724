package roomsvc

import (
	"context"
	"errors"
	"time"

	"natsrooms/subjects"
)

const (
	settingsRefresh = 10 * time.Second
	checkEvery      = 30 * time.Second
	forgetEvery     = time.Minute
)

// housekeeping does what recurs by the clock; look looks whether the instance is ready.
func (s *assembly) housekeeping(look func(context.Context) error) {
	settings, check, forget := time.NewTicker(settingsRefresh), time.NewTicker(checkEvery), time.NewTicker(forgetEvery)
	defer settings.Stop()
	defer check.Stop()
	defer forget.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-settings.C:
			s.refresh()
		case <-check.C:
			_ = look(s.life) // it reports what it finds
		case <-forget.C:
			s.rep.Forget()
			s.messages.Forget(func(r subjects.Room) bool { return s.rep.Head(r) == nil })
			s.talk.Forget()
			s.leases.Forget()
			s.door.forget(time.Now())
		}
	}
}

// refresh reads the shared settings, and checks whether what is stored went back.
func (s *assembly) refresh() {
	shared, err := s.readSettings(s.life)
	if err != nil && !s.life.Over() {
		s.unread.Inc()
		s.log.Warn("reading the shared settings", "error", err)
	}
	if err == nil && shared[sharedFeeds] != 0 && !s.cfg.Feeds {
		s.life.Fail(errors.New("another instance has been started with feeds for end users, and this one would still trust everybody; start it again, with the same settings"))
	}
	s.checkTail()
	s.checkStreams()
}

// checkStreams notices streams that were deleted. Only the bucket of rooms can be made again:
// everything in it is known here.
func (s *assembly) checkStreams() {
	for _, check := range []func(context.Context) error{s.journal.Check, s.messages.Check} {
		if err := check(s.life); err != nil {
			s.life.Fail(err)
			return
		}
	}
	another, err := s.bucket.Check(s.life)
	if err != nil && !s.life.Over() {
		s.log.Warn("looking for the bucket", "bucket", subjects.BucketState, "error", err)
	}
	if another {
		s.log.Warn("the bucket was deleted or replaced while the service ran; it is written anew", "bucket", subjects.BucketState)
		s.projector.Rewrite()
	}
	s.leases.Check(s.life)
	s.warden.Book.Check(s.life)
	s.webhooks.Check(s.life)
}

// checkTail notices a journal that went back while nobody asked for anything. The extent may
// come from a deposed leader; the sync point then proves it, or ends the service.
func (s *assembly) checkTail() {
	seen := s.rep.Passed.Seq()
	if extent, err := s.journal.Extent(s.life); err == nil && extent.Last < seen {
		s.life.Go(func() { _ = s.sync.Pass(s.life) })
	}
}
