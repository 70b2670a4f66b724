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

// What 1,000 sends a second about which the application is asked cost others, compared with as
// many about which it is not. What a question takes of the processors is measured too, since that
// hardly depends on how busy the machine is: it is that of the NATS server, the service, the
// application and whoever sends.
func TestHookCost(t *testing.T) {
	t.Parallel()
	rounds, phase, long := 2, 500*time.Millisecond, os.Getenv("NATSROOMS_LONG") != ""
	if long {
		rounds, phase = 15, 2*time.Second
	}
	const (
		talkers = 20
		most    = 1000 // sends a second
		cost    = 0.9  // of what others get done, at least, is done beside questions too; the long form insists on that
	)
	rate := most
	kinds := map[string]*world{}
	for _, kind := range []string{"asked", "unasked"} {
		node := roomtest.Start(t)
		w, cfg := emptyWorld(t, node), roomsvc.Config{Feeds: true}
		if kind == "asked" {
			cfg = hooked(hooks.Settings{Conn: roomtest.Conn(t, node.Server)}) // as roomd has it
			newQuietApplication(t, w)
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
			began := roomtest.ProcessorTime(t)
			talk(t, w, talkers, rate, phase)
			processors[kind] = append(processors[kind], float64((roomtest.ProcessorTime(t)-began).Microseconds())/(phase.Seconds()*float64(rate)))
			var group sync.WaitGroup
			group.Go(func() { talk(t, w, talkers, rate, phase) })
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
	if with, without := median(beside["asked"]), median(beside["unasked"]); long && (rate < most || with < cost*without) {
		t.Errorf("beside %d sends a second others get %.0f commands a second done, and %.0f if the application is asked about each", rate, without, with)
	}
	roomtest.Figure(t, "of others, one after the other: %.0f commands a second when it is quiet, %.0f beside %d sends a second, %.0f if the application is asked about each; an answer took %.2f ms; a send takes %.0f µs of the processors, and %.0f µs with a question",
		median(slices.Concat(quiet["asked"], quiet["unasked"])), median(beside["unasked"]), rate, median(beside["asked"]),
		float64(after.TookMs-before.TookMs)/float64(asked), median(processors["unasked"]), median(processors["asked"]))
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
			i := int(sent.Add(1)) % talkers
			subject, body := fmt.Sprintf("room.cmd.send.u%d", i), fmt.Sprintf(`{"roomID":"room-%d","type":"text","data":"hello"}`, i)
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
