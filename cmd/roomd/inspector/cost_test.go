//go:build unix

package inspector_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/roomtest"
)

// What a page costs a service that has something to do: 300 messages and 30 visits a second, in 100 of some rooms. The page shows the list of
// rooms, sorted by rate, the service, and one room. The processors' time is measured, since that hardly depends on how busy the
// machine is: it is that of the NATS server, the service, the inspector, and whoever sends and looks. The long form has 10,000 rooms, and
// insists on less than two percent of a processor.
func TestCost(t *testing.T) {
	rooms, rounds, phase, long := 200, 1, 2*time.Second, os.Getenv("NATSROOMS_LONG") != ""
	if long {
		rounds, phase, rooms = 5, 4*time.Second, 10_000
	}
	r := newRig(t, roomsvc.Config{}, false)
	inbox := r.NC.NewInbox()
	answers, err := r.NC.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	_ = answers.SetPendingLimits(-1, -1)
	give := func(verb, body string) {
		if err := r.NC.PublishRequest("room.cmd."+verb, inbox, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	drain := func(n int) {
		for range n {
			if _, err := answers.NextMsg(patience); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range rooms {
		give("enter", fmt.Sprintf(`{"roomID":"room-%d","userID":"u%d"}`, n, n))
		if n%100 == 99 {
			drain(100)
		}
	}
	work := func() (took time.Duration) { // for one phase
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		begun, before, given := time.Now(), roomtest.ProcessorTime(t), 0
		for now := range tick.C {
			for due := int(min(now.Sub(begun), phase).Seconds() * 330); given < due; given++ {
				n := given / 11 % 100
				if given%11 == 10 {
					give("enter", fmt.Sprintf(`{"roomID":"room-%d","userID":"guest-%d"}`, n, given))
				} else {
					give("send", fmt.Sprintf(`{"roomID":"room-%d","userID":"u%d","type":"text","data":"hello"}`, n, n))
				}
			}
			if now.Sub(begun) >= phase {
				break
			}
		}
		drain(given)
		return roomtest.ProcessorTime(t) - before
	}
	work()
	var without, with []float64
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / phase.Seconds() }
	for range rounds {
		without = append(without, share(work()))
		streams := []*reader{r.open("service"), r.open("events?room=room-1")}
		over := make(chan struct{})
		polled := make(chan error, 1)
		go func() {
			tick := time.NewTicker(2 * time.Second)
			defer tick.Stop()
			for {
				resp, err := http.Get(r.url("rooms?sort=rate"))
				if err == nil {
					resp.Body.Close()
				}
				select {
				case <-over:
					polled <- err
					return
				case <-tick.C:
				}
			}
		}()
		with = append(with, share(work()))
		close(over)
		if err := <-polled; err != nil {
			t.Error(err)
		}
		for _, s := range streams {
			s.cancel()
			s.over()
		}
	}
	median := func(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }
	cost := median(with) - median(without)
	if long && cost > 2 {
		t.Errorf("a page costs %.2f%% of a processor", cost)
	}
	roomtest.Figure(t, "%d rooms, 330 commands a second: %.1f%% of a processor, %.1f%% with a page open: %.2f%% more", rooms, median(without), median(with), cost)
}
