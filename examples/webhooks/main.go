// Webhooks receives what happens in rooms over HTTP, and prints it. It checks the signature of each
// request, and puts aside what has come before.
//
//	(umask 077; echo whsec_$(openssl rand -base64 32) > secret)
//	go run ./examples/webhooks --secret secret
//	roomd --webhook http://127.0.0.1:8080/ --webhook-secret secret --webhook-private
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/alecthomas/kong"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Receiver is the handler of a webhook. It calls Take with each event once, as long as it runs: what
// should be known after a restart too belongs into a database, together with what Take does.
type Receiver struct {
	Secret *standardwebhooks.Webhook
	Take   func(*event.Event) error // an error has the event come again

	mu   sync.Mutex
	seen map[string]bool
}

const most = 1 << 20 // bytes of a request; roomd's have at most 64 KiB and a little

func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, most))
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	if err := r.Secret.Verify(body, req.Header); err != nil {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	message := cehttp.NewMessage(req.Header, io.NopCloser(strings.NewReader(string(body))))
	e, err := binding.ToEvent(req.Context(), message)
	if err != nil {
		http.Error(w, "this is no event", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[e.ID()] {
		return // it was taken before; 200 says so again
	}
	if err := r.Take(e); err != nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[e.ID()] = true
}

func main() {
	var flags struct {
		Secret string `required:"" type:"existingfile" help:"The file with the secret that roomd has too."`
		Listen string `default:"127.0.0.1:8080" help:"Where to listen."`
	}
	kong.Parse(&flags)
	if err := serve(flags.Secret, flags.Listen); err != nil {
		fmt.Fprintln(os.Stderr, "webhooks:", err)
		os.Exit(1)
	}
}

// serve prints what arrives.
func serve(file, address string) error {
	secret, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	w, err := standardwebhooks.NewWebhook(strings.TrimSpace(string(secret)))
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, &Receiver{Secret: w, Take: func(e *event.Event) error {
		_, err := fmt.Printf("%s %s %s %s\n", e.Time().Format("15:04:05"), e.Subject(), e.Type(), e.Data())
		return err
	}})
}
