package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// said is the text of every message, 100 bytes.
var said = strings.Repeat("What a nice room. ", 6)[:100]

func (b *bench) send(w int, roomID, user string, v any) error {
	return b.ask(w, room.Send, &room.SendRequest{Caller: room.Caller{UserID: user}, RoomID: roomID, Type: string(events.Text), Data: said}, v)
}

// sends measures members of many rooms who send messages, compared with a plain publish of
// the same bytes to a stream like that of the messages.
func (b *bench) sends(run string) (Result, error) {
	rooms := min(b.Rooms, b.InFlight)
	if err := b.talkers(run, rooms); err != nil {
		return Result{}, err
	}
	info, err := b.messages()
	if err != nil {
		return Result{}, err
	}
	if most := b.Count/rooms + b.InFlight; most > int(info.Config.MaxMsgsPerSubject) {
		return Result{}, fmt.Errorf("a room keeps only its %d newest messages, so %d in %d rooms could not be checked; use a smaller --count or more --rooms", info.Config.MaxMsgsPerSubject, b.Count, rooms)
	}
	base, err := b.publish(run, rooms, info.Config)
	if err != nil {
		return Result{}, err
	}
	acks := make([]room.SendReply, b.Count)
	t, err := b.each(b.Count, b.InFlight, func(w, i int) error { return b.send(w, roomName(run, i%rooms), userName(i%rooms), &acks[i]) })
	if err != nil {
		return Result{}, err
	}
	return compared(t, base, "publish"), b.verifyMessages(run, info.State.LastSeq, acks)
}

// talkers makes rooms with one member each.
func (b *bench) talkers(run string, rooms int) error {
	if err := b.make(run, rooms); err != nil {
		return err
	}
	_, err := b.each(rooms, min(rooms, b.InFlight), func(w, i int) error { return b.join(w, roomName(run, i), userName(i), nil) })
	return err
}

// publish is a plain JetStream publish of messages as they are stored, to a stream with
// the settings of the service's.
func (b *bench) publish(run string, rooms int, like jetstream.StreamConfig) (timing, error) {
	const prefix, stored = "roombench-say.", "roombench-msg."
	cfg := like
	cfg.Name, cfg.Description, cfg.Metadata, cfg.Subjects = "ROOMBENCH", "", nil, []string{prefix + "*"}
	cfg.SubjectTransform = &jetstream.SubjectTransformConfig{Source: prefix + "*", Destination: stored + "{{wildcard(1)}}"}
	cfg.RePublish = &jetstream.RePublish{Source: stored + "*", Destination: stored + "{{wildcard(1)}}"}
	if _, err := b.js[0].CreateStream(b.ctx, cfg); err != nil {
		return timing{}, fmt.Errorf("making the stream of the baseline: %w", err)
	}
	defer func() { _ = b.js[0].DeleteStream(b.ctx, cfg.Name) }()
	m := events.Message{
		ID: strings.Repeat("x", 22), Time: events.TimeOf(time.Now()), Room: subjects.Room(roomName(run, 0)), InstanceID: strings.Repeat("x", 22),
		Sender: userName(0), Type: events.Text, Priority: events.Low, Data: said,
	}
	data, err := m.Encode("")
	if err != nil {
		return timing{}, err
	}
	return b.each(b.Count, b.InFlight, func(w, i int) error {
		_, err := b.js[w%len(b.js)].Publish(b.ctx, fmt.Sprintf("%s%d", prefix, i%rooms), data)
		return err
	})
}

// verifyMessages checks that every acknowledged message is stored after from exactly once,
// where its acknowledgement says.
func (b *bench) verifyMessages(run string, from uint64, acks []room.SendReply) error {
	want := make(map[uint64]string, len(acks))
	head := from
	for _, a := range acks {
		if other, twice := want[a.MessageSeq]; twice {
			return fmt.Errorf("two messages were acknowledged as number %d: %s and %s", a.MessageSeq, other, a.MessageID)
		}
		want[a.MessageSeq] = a.MessageID
		head = max(head, a.MessageSeq)
	}
	err := b.read(subjects.StreamMessages, from, head, func(raw jetstream.Msg, seq uint64) error {
		if r, ok := subjects.RoomOfMessages(raw.Subject()); !ok || !strings.HasPrefix(string(r), run) {
			return nil
		}
		m, err := events.DecodeMessage(raw.Data())
		if err != nil {
			return err
		}
		if want[seq] != m.ID || !strings.HasSuffix(m.Data, said) {
			return fmt.Errorf("message %d is stored as %s, but was acknowledged as %q", seq, m.ID, want[seq])
		}
		delete(want, seq)
		return nil
	})
	if err != nil {
		return err
	}
	for seq, id := range want {
		return fmt.Errorf("%d messages were acknowledged, but are not stored; one of them is %d, %s", len(want), seq, id)
	}
	return nil
}
