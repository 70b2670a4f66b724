package journal

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes with which a cluster says that it is not ready yet.
var passing = map[jetstream.ErrorCode]bool{
	10004: true, // incomplete results
	10005: true, // no suitable servers are known
	10006: true, // it is not in clustered mode yet
	10007: true, // the stream is not assigned to a server
	10008: true, // nobody leads
	10009: true, // this server does not
}

// Passing reports whether an error of a question to the server may be over by itself soon: a
// cluster has no leader for a while after it was started, or has lost one.
func Passing(nc *nats.Conn, err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return passing[api.ErrorCode]
	}
	if errors.Is(err, nats.ErrNoResponders) { // JetStream is off, or this server has not found the others
		return nc.ConnectedClusterName() != ""
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}
