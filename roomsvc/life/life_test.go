package life_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"natsrooms/roomsvc/life"
)

// End returns after the last goroutine, including one that another goroutine started
// meanwhile.
func TestEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := life.New(func(error) {})
		returned := 0
		l.Go(func() {
			<-l.Done()
			time.Sleep(time.Minute)
			if !l.Go(func() { time.Sleep(time.Hour); returned++ }) {
				t.Error("a running goroutine could not start another one")
			}
		})
		began := time.Now()
		l.End()
		if took := time.Since(began); returned != 1 || took != time.Hour+time.Minute {
			t.Errorf("%d goroutines returned within %v; want 1 after an hour and a minute", returned, took)
		}
		if l.Go(func() { t.Error("it ran") }) {
			t.Error("a goroutine started after the end")
		}
	})
}

func TestPauseEndsWithTheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := life.New(func(error) {})
		began := time.Now()
		if l.Pause(time.Second); time.Since(began) != time.Second || l.Over() {
			t.Errorf("paused %v, over %t", time.Since(began), l.Over())
		}
		l.Cancel()
		if l.Pause(time.Hour); time.Since(began) != time.Second || !l.Over() {
			t.Errorf("paused %v after the end, over %t", time.Since(began), l.Over())
		}
		l.End()
	})
}

func TestFailReports(t *testing.T) {
	var got error
	l := life.New(func(err error) { got = err })
	want := errors.New("the stream is gone")
	if l.Fail(want); got != want {
		t.Errorf("told %v", got)
	}
	l.End()
}
