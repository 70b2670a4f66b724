package messages

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"natsrooms/events"
	"natsrooms/subjects"
)

// A fact that takes somebody out waits for that user's messages, one that ends the room for
// all, and neither for those of other rooms.
func TestSettled(t *testing.T) {
	left := func(u string) *events.Fact {
		return &events.Fact{Type: events.MemberLeft, Room: "lobby", Left: []events.Left{{UserID: u}}}
	}
	ended := &events.Fact{Type: events.RoomDestroyed, Room: "lobby"}
	synctest.Test(t, func(t *testing.T) {
		var s senders
		settled := func(facts ...*events.Fact) <-chan struct{} {
			done := make(chan struct{})
			go func() {
				s.Settled(context.Background(), facts)
				close(done)
			}()
			synctest.Wait()
			return done
		}
		over := func(done <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-done:
				return true
			default:
				return false
			}
		}
		first, second := s.Place("lobby", "alice"), s.Place("lobby", "alice")
		other := s.Place("hall", "bob")
		if !over(settled(left("bob"))) {
			t.Error("bob's leaving waits for alice")
		}
		alice, end := settled(left("alice")), settled(ended)
		first.Close()
		first.Close() // counts once
		if over(alice) || over(end) {
			t.Error("nobody waits for the second message")
		}
		server := s.Place("lobby", "")
		second.Close()
		if !over(alice) || over(end) {
			t.Errorf("alice waits: %v, the end waits: %v", !over(alice), !over(end))
		}
		server.Close()
		if !over(end) {
			t.Error("the end still waits")
		}
		began := time.Now()
		s.Place("lobby", subjects.User("carol"))
		s.Place("lobby", subjects.User("dave"))
		s.Settled(context.Background(), []*events.Fact{nil, left("carol"), left("dave")})
		if waited := time.Since(began); waited != settleTime {
			t.Errorf("messages that are never answered are waited for %v", waited)
		}
		other.Close()
		if len(s.places) != 1 || s.waiting != 0 {
			t.Errorf("left are %v, and %d who wait", s.places, s.waiting)
		}
	})
}
