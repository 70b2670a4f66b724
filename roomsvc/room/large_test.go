package room_test

import (
	"fmt"
	"testing"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// large is a room with n members, in which many have come and gone before.
func large(t testing.TB, n int) *room.State {
	t.Helper()
	var s *room.State
	seq, count := uint64(0), 0
	apply := func(f events.Fact) {
		seq++
		f.Room, f.InstanceID, f.Sequence, f.MemberCount = "lobby", "1", seq, count
		var err error
		if s, _, err = room.Apply(s, &f, seq); err != nil {
			t.Fatal(err)
		}
	}
	apply(events.Fact{Type: events.RoomCreated, Info: &events.Room{RoomID: "lobby"}})
	for i := range n + n/2 {
		count++
		apply(events.Fact{Type: events.MemberJoined, Joined: []events.Joined{{UserID: fmt.Sprint("user-", i), UserName: "Somebody", SessionID: "web"}}})
	}
	for i := range n / 2 { // every second of those who came first
		count--
		apply(events.Fact{Type: events.MemberLeft, Left: []events.Left{{UserID: fmt.Sprint("user-", 1+2*i), SessionID: "web", Reason: events.ReasonLeft}}})
	}
	return s
}

// BenchmarkLargeRoom is what a join with a leave and a page of members cost, by the size of the
// room.
func BenchmarkLargeRoom(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		s := large(b, n)
		b.Run(fmt.Sprintf("come and go/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				seq := s.Sequence + 1
				_, _, err := room.Apply(s, &events.Fact{Type: events.MemberJoined, Room: "lobby", InstanceID: "1", Sequence: seq, MemberCount: n + 1, Joined: []events.Joined{{UserID: "late", UserName: "Somebody", SessionID: "web"}}}, seq)
				if err == nil {
					_, _, err = room.Apply(s, &events.Fact{Type: events.MemberLeft, Room: "lobby", InstanceID: "1", Sequence: seq + 1, MemberCount: n, Left: []events.Left{{UserID: "late", SessionID: "web", Reason: events.ReasonLeft}}}, seq+1)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("ten members/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			from, i := uint64(0), 0
			for b.Loop() {
				count := 0
				s.After(from, func(m *room.Member) bool {
					count++
					if count == 10 {
						from = m.Order
					}
					return count < 10
				})
				if count < 10 {
					from = 0
				}
				i++
			}
		})
		b.Run(fmt.Sprintf("one member/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s.Member(subjects.User(fmt.Sprint("user-", i%n*2)))
			}
		})
	}
}
