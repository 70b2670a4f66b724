package events_test

import (
	"fmt"
	"testing"

	"natsrooms/events"
)

// crowd is a fact in which so many users join, as clients usually do.
func crowd(entries int) *events.Fact {
	f := &events.Fact{
		ID: "NjHvKzGdFKRYa6WMbdS1Qz", Type: events.MemberJoined, Room: "lobby", InstanceID: "19b74e8f807.NjHvKzGdFKRYa6WM",
		Sequence: 4711, Time: t0, MemberCount: 100 + entries,
	}
	for i := range entries {
		f.Joined = append(f.Joined, events.Joined{UserID: fmt.Sprintf("user-%d", i), SessionID: "default", JoinedAt: t0, Via: events.ViaEnter})
	}
	return f
}

func BenchmarkEncodeFact(b *testing.B) {
	for _, entries := range []int{1, 20} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			f := crowd(entries)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Encode(""); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(must(f.Encode("")))), "B/fact")
		})
	}
}

func BenchmarkDecodeFact(b *testing.B) {
	for _, entries := range []int{1, 20} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			raw := must(crowd(entries).Encode(""))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := events.DecodeFact(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
