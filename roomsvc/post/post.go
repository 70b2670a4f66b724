package post

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	dialWithin  = 5 * time.Second
	mostIdle    = 32 // connections that stay open
	idleFor     = 90 * time.Second
	mostHeaders = 64 << 10 // bytes of an answer
	mostAnswer  = 64 << 10 // bytes of its body
)

// Config says where requests go.
type Config struct {
	URL     string
	Secrets []string      // files, one or two, see [ReadSecrets]
	Private bool          // addresses that are not public are allowed, and http
	Timeout time.Duration // from the beginning of a request to the end of its answer
}

// Field is an error of one of the fields of [Config].
type Field struct {
	Name string // url, secret
	Err  error
}

func (f *Field) Error() string { return f.Name + " " + f.Err.Error() }

func (f *Field) Unwrap() error { return f.Err }

// CheckURL says why requests can't go there; nil if they can.
func CheckURL(address string, private bool) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return errors.New("is no URL such as https://app.example/hook")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("begins with %s://; it must be https://", u.Scheme)
	case u.Scheme == "http" && !private:
		return errors.New("is http, which is not encrypted; give https, or allow private addresses if it stays within your own network")
	case u.Fragment != "":
		return errors.New("has a fragment (#), which is never sent; leave it out")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !private && !public(a) {
		return fmt.Errorf("leads to %s, which %w", a, ErrPrivate)
	}
	return nil
}

// Poster sends requests to one address. It is safe for concurrent use.
type Poster struct {
	url     string
	host    string
	secrets *Secrets
	client  *http.Client
}

// New reads the secrets. An error is a [*Field].
func New(c Config) (*Poster, error) {
	if err := CheckURL(c.URL, c.Private); err != nil {
		return nil, &Field{"url", err}
	}
	secrets, err := ReadSecrets(c.Secrets)
	if err != nil {
		return nil, &Field{"secret", err}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, &Field{"url", err}
	}
	dialer := &net.Dialer{Timeout: dialWithin}
	if !c.Private {
		dialer.Control = control
	}
	return &Poster{url: c.URL, host: u.Host, secrets: secrets, client: &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialWithin,
			MaxIdleConnsPerHost: mostIdle, IdleConnTimeout: idleFor, MaxResponseHeaderBytes: mostHeaders, DisableCompression: true,
		},
	}}, nil
}

// Host is where requests go, without what of the address may be secret.
func (p *Poster) Host() string { return p.host }

// Answer is what was answered.
type Answer struct {
	Status     int
	RetryAfter time.Duration // 0: it did not say
	Body       []byte        // at most 64 KiB
}

// Send sends a request whose headers and body fill sets, under an ID that is the same each time
// that the same thing is sent. An error says that there was no answer.
func (p *Poster) Send(ctx context.Context, id string, fill func(*http.Request) error) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, nil)
	if err != nil {
		return nil, bare(err)
	}
	if err := fill(req); err != nil {
		return nil, err
	}
	if err := p.sign(req, id); err != nil {
		return nil, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return nil, bare(err)
	}
	return &Answer{res.StatusCode, retryAfter(res.Header.Get("Retry-After"), time.Now()), body}, nil
}

// sign signs the body as it is.
func (p *Poster) sign(req *http.Request, id string) error {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return err
		}
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	now := time.Now()
	signature, err := p.secrets.sign(id, now, body)
	if err != nil {
		return err
	}
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	req.Header.Set("User-Agent", "natsrooms")
	return nil
}

// bare is an error of net/http without the address, which may have secrets in it.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// retryAfter reads the header: seconds, or a moment.
func retryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
