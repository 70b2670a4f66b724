//go:build unix

package roomsvc_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
	"natsrooms/roomsvc/roomtest/worlds"
)

// What 1,000 sends a second, or as many as the machine has time for, cost others if the application is
// asked about them. That is compared with as many about which it is not, while somebody else asks the
// application as much over plain NATS: asking takes processors that others want, whoever asks, and
// what the service adds to that is what counts. The figures say what it is without any questions, too,
// and what a send takes of the processors: those of the NATS server, the service, the application and
// whoever sends.
func TestHookCost(t *testing.T) {
	t.Parallel()
	rounds, phase, long := 2, 500*time.Millisecond, os.Getenv("NATSROOMS_LONG") != ""
	if long {
		rounds, phase = 15, 2*time.Second
	}
	const (
		talkers = 20
		most    = 1000 // sends a second
		cost    = 0.9  // of what others get done beside plain questions, at least, is done beside the service's; the long form insists on that
	)
	rate := most
	kinds := map[string]*world{}
	for _, kind := range []string{"asked", "unasked", "asked plainly"} {
		node := roomtest.Start(t)
		w, cfg := emptyWorld(t, node), roomsvc.Config{Feeds: true}
		newQuietApplication(t, w)
		if kind == "asked" {
			cfg = hooked(hooks.Settings{Conn: roomtest.Conn(t, node.Server)}) // as roomd has it
		}
		w.Start(cfg)
		for i := range talkers {
			ok[room.JoinedReply](w, "enter", fmt.Sprintf(`{"roomID":"room-%d","userID":"u%d"}`, i, i))
		}
		ok[room.JoinedReply](w, "enter", `{"roomID":"others","userID":"other"}`)
		talk(t, w, talkers, 100, 100*time.Millisecond)
		kinds[kind] = w
	}
	// A machine that has no time for so many has none left for others either, whatever they do.
	rate = min(rate, max(int(pace(t, kinds["asked"], phase))/3, 50))
	before := counts(t, kinds["asked"])[room.Send]
	quiet, beside, processors := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for kind, w := range kinds {
			quiet[kind] = append(quiet[kind], pace(t, w, phase))
			busy := func() {
				var group sync.WaitGroup
				group.Go(func() { talk(t, w, talkers, rate, phase) })
				if kind == "asked plainly" {
					group.Go(func() { ask(t, w, rate, phase) })
				}
				group.Wait()
			}
			began := roomtest.ProcessorTime(t)
			busy()
			processors[kind] = append(processors[kind], float64((roomtest.ProcessorTime(t)-began).Microseconds())/(phase.Seconds()*float64(rate)))
			var group sync.WaitGroup
			group.Go(busy)
			beside[kind] = append(beside[kind], pace(t, w, phase))
			group.Wait()
		}
	}
	after := counts(t, kinds["asked"])[room.Send]
	asked := after.Asked - before.Asked
	if after.Passed != after.Asked || asked < 2*int64(rounds)*int64(phase.Seconds()*float64(rate))*9/10 {
		t.Errorf("%+v", after)
	}
	median := func(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }
	if with, plainly := median(beside["asked"]), median(beside["asked plainly"]); long && !racing && with < cost*plainly {
		t.Errorf("beside %d sends a second and as many plain questions others get %.0f commands a second done, and %.0f if the service asks", rate, plainly, with)
	}
	roomtest.Figure(t, "of others, one after the other: %.0f commands a second when it is quiet, %.0f beside %d sends a second, %.0f if the application is asked about each, %.0f if somebody else asks it as often; an answer took %.2f ms; a send takes %.0f µs of the processors, %.0f µs with a question, and %.0f µs with somebody else's",
		median(slices.Concat(quiet["asked"], quiet["unasked"], quiet["asked plainly"])), median(beside["unasked"]), rate, median(beside["asked"]), median(beside["asked plainly"]),
		float64(after.TookMs-before.TookMs)/float64(asked), median(processors["unasked"]), median(processors["asked"]), median(processors["asked plainly"]))
}

// newQuietApplication answers everything, and keeps nothing.
func newQuietApplication(t *testing.T, w *world) {
	t.Helper()
	nc := worlds.Connect(t, w.NC.ConnectedUrl())
	_, err := nc.Subscribe(hookSubject, func(m *nats.Msg) { _ = m.Respond([]byte("{}")) })
	if err == nil {
		err = nc.FlushTimeout(patience)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// talk has talkers send messages at a rate, without waiting for the answers, and returns when
// all are answered.
func talk(t *testing.T, w *world, talkers, rate int, during time.Duration) {
	t.Helper()
	steadily(t, w, rate, during, func(i int) (subject, body string) {
		return fmt.Sprintf("room.cmd.send.u%d", i%talkers), fmt.Sprintf(`{"roomID":"room-%d","type":"text","data":"hello"}`, i%talkers)
	})
}

// ask asks the application at a rate, over plain NATS, what the service would ask.
func ask(t *testing.T, w *world, rate int, during time.Duration) {
	t.Helper()
	steadily(t, w, rate, during, func(i int) (subject, body string) {
		return hookSubject, fmt.Sprintf(`{"verb":"send","roomID":"room-%d","instanceID":"PH7t7cA3iQRbB6C0dW6Ipa","userID":"u%d","sessionID":"default","body":{"roomID":"room-%d","type":"text","data":"hello"}}`, i%20, i%20, i%20)
	})
}

// steadily sends requests at a rate, without waiting for the answers, and returns when all are
// answered.
func steadily(t *testing.T, w *world, rate int, during time.Duration, request func(i int) (subject, body string)) {
	t.Helper()
	nc := worlds.Connect(t, w.NC.ConnectedUrl())
	defer nc.Close()
	var sent, answered atomic.Int64
	over := make(chan struct{}, 1)
	inbox := nc.NewInbox()
	_, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		if e := refusal(m); e != nil {
			t.Error(e)
		}
		answered.Add(1)
		select {
		case over <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Error(err)
		return
	}
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		for due := int64(min(now.Sub(began), during).Seconds() * float64(rate)); sent.Load() < due; {
			subject, body := request(int(sent.Add(1)))
			if err := nc.PublishRequest(subject, inbox, []byte(body)); err != nil {
				t.Error(err)
				return
			}
		}
		if now.Sub(began) >= during {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for answered.Load() < sent.Load() {
		select {
		case <-over:
		case <-ctx.Done():
			t.Errorf("%d of %d are answered", answered.Load(), sent.Load())
			return
		}
	}
}

// pace is how many commands a second somebody gets done who sends the next when one is answered.
func pace(t *testing.T, w *world, during time.Duration) float64 {
	t.Helper()
	began, done := time.Now(), 0
	for time.Since(began) < during {
		for subject, body := range map[string]string{
			"send": `{"roomID":"others","userID":"other","type":"text","data":"hello"}`, "get": `{"roomID":"others"}`, "setAttributes": fmt.Sprintf(`{"roomID":"others","userID":"other","set":{"a":"%d"}}`, done),
		} {
			m, err := w.NC.Request("room.cmd."+subject, []byte(body), patience)
			if err != nil {
				t.Error(err)
				return 0
			}
			if e := refusal(m); e != nil {
				t.Error(e)
			}
			done++
		}
	}
	return float64(done) / time.Since(began).Seconds()
}
