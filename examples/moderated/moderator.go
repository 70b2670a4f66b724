package main

import (
	"context"
	"log"
	"regexp"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client"
	"natsrooms/roomsvc/hooks"
)

// What the moderator does not let through.
var (
	rude = regexp.MustCompile(`(?i)\b(darn|heck)\b`)
	link = regexp.MustCompile(`(?i)\bhttps?://`)
)

const (
	strikes  = 3 // refused messages in a room, after which a user is muted there
	muteFor  = 600
	askedFor = 5 * time.Second // a mute may take
)

// Moderator is asked about everything that end users say, before it is said. Many may share the
// work; each counts for itself.
type Moderator struct {
	rooms *client.Client // a back end, which may mute anybody

	mu      sync.Mutex
	strikes map[string]int // by room and user
}

// Moderate answers the room service's questions on a subject.
func Moderate(nc *nats.Conn, subject string) (*Moderator, error) {
	m := &Moderator{rooms: client.New(nc, client.Config{}), strikes: map[string]int{}}
	_, err := nc.QueueSubscribe(subject, "moderators", func(msg *nats.Msg) {
		var q hooks.Question
		if err := json.Unmarshal(msg.Data, &q); err != nil {
			log.Print(err)
			return // the service decides without an answer
		}
		answer, err := json.Marshal(m.judge(&q))
		if err == nil {
			err = msg.Respond(answer)
		}
		if err != nil {
			log.Print(err)
		}
	})
	return m, err
}

// judge decides about a message. It must be quick: the sender waits for it, for a second at most.
func (m *Moderator) judge(q *hooks.Question) (a hooks.Answer) {
	var said struct {
		Data string `json:"data"`
	}
	if err := json.Unmarshal(q.Body, &said); err != nil {
		return a // it is no message at all; the service will say so
	}
	switch {
	case link.MatchString(said.Data):
		a.Deny = &hooks.Deny{Message: "no links here, please", Code: "LINK"}
		if m.strike(q.RoomID, q.UserID) {
			go m.mute(q.RoomID, q.UserID) // not while the message waits
		}
	case rude.MatchString(said.Data):
		clean := rude.ReplaceAllString(said.Data, "****")
		a.Replace = &hooks.Replace{Data: &clean}
	}
	return a
}

// strike counts what was refused, and says whether it is enough.
func (m *Moderator) strike(roomID, userID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := roomID + "\x00" + userID
	m.strikes[key]++
	if m.strikes[key] < strikes {
		return false
	}
	delete(m.strikes, key)
	return true
}

// mute keeps a user quiet for a while. Everybody in the room hears that, and why.
func (m *Moderator) mute(roomID, userID string) {
	ctx, cancel := context.WithTimeout(context.Background(), askedFor)
	defer cancel()
	if _, err := m.rooms.Mute(ctx, client.RestrictRequest{RoomID: roomID, UserIDs: []string{userID}, Seconds: muteFor, Reason: "too many links"}); err != nil {
		log.Printf("%s is not muted in %s: %v", userID, roomID, err)
	}
}
