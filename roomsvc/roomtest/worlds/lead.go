package worlds

import (
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/subjects"
)

// Leader is the instance that the leader's key names.
func (w *World) Leader() string {
	ctx, cancel := w.Brief()
	defer cancel()
	stream, err := w.JS.Stream(ctx, subjects.StreamSessions)
	if err != nil {
		return ""
	}
	var v struct {
		Instance string `json:"instance"`
	}
	m, err := stream.GetLastMsgForSubject(ctx, subjects.KV(subjects.BucketSessions, subjects.KeyLeader))
	if err != nil || len(m.Data) == 0 || json.Unmarshal(m.Data, &v) != nil {
		return ""
	}
	return v.Instance
}

// Leads waits until an instance other than not leads, and returns its name.
func (w *World) Leads(limit time.Duration, not string) (name string) {
	w.T.Helper()
	w.Until(limit, "an instance to lead", func() bool { name = w.Leader(); return name != "" && name != not })
	return name
}
