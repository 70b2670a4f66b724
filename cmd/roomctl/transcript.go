package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"natsrooms/events"
)

type transcriptCmd struct {
	roomArg
	Instance string `placeholder:"ID" help:"The instance of the room, as roomctl instances lists them (the room as it is or, if there is none, was last)."`
	Format   string `enum:"text,markdown,json" default:"text" placeholder:"text" help:"${enum} (${default})."`
}

// transcript is what was said in one instance of a room, as far as it is kept.
type transcript struct {
	RoomID     string      `json:"roomID"`
	RoomName   string      `json:"roomName,omitzero"`
	InstanceID string      `json:"instanceID"`
	Complete   bool        `json:"complete"` // false: some messages are no longer kept
	Messages   []utterance `json:"messages"`
}

// utterance is one message. Of one that was deleted nothing is known but its number.
type utterance struct {
	MessageSeq uint64             `json:"messageSeq"`
	Deleted    bool               `json:"deleted,omitzero"`
	Time       events.Time        `json:"time,omitzero"`
	UserID     string             `json:"userID,omitzero"` // empty: the server
	UserName   string             `json:"userName,omitzero"`
	Type       events.MessageType `json:"type,omitzero"`
	SubType    int                `json:"subType,omitzero"`
	Data       string             `json:"data,omitzero"`
	Extended   string             `json:"extendedData,omitzero"`
}

func (c *transcriptCmd) Run(ctx context.Context, s *session) error {
	r, err := s.reader(c.Room)
	if err != nil {
		return err
	}
	t, err := c.read(ctx, r)
	if err != nil {
		return err
	}
	if c.Format == "json" || s.programs() {
		return s.own(t, "messages")
	}
	if !t.Complete {
		s.remark("some of what was said is no longer kept")
	}
	if c.Format == "markdown" {
		_, err = fmt.Fprint(s.stdout, s.look.markdown(t))
		return err
	}
	_, err = fmt.Fprint(s.stdout, s.look.transcript(t))
	return err
}

func (c *transcriptCmd) read(ctx context.Context, r *reader) (*transcript, error) {
	instance := c.Instance
	if instance == "" {
		var err error
		if instance, err = r.instance(ctx); err != nil {
			return nil, err
		}
	}
	t := &transcript{RoomID: c.Room, InstanceID: instance, Messages: []utterance{}}
	called := names{}
	if _, err := r.facts(ctx, instance, func(f *events.Fact) {
		called.add(f)
		switch f.Type {
		case events.RoomCreated:
			t.RoomName = f.Info.RoomName
		case events.RoomUpdated:
			t.RoomName = f.Name
		}
	}); err != nil {
		return nil, err
	}
	deleted, complete, err := r.messages(ctx, instance, func(m *events.Message) {
		t.Messages = append(t.Messages, utterance{m.Seq, false, m.Time, m.Sender, called.at(m.Sender, m.After), m.Type, m.SubType, m.Data, m.Extended})
	})
	if err != nil {
		return nil, err
	}
	for _, seq := range deleted {
		t.Messages = append(t.Messages, utterance{MessageSeq: seq, Deleted: true})
	}
	slices.SortStableFunc(t.Messages, func(x, y utterance) int { return cmp.Compare(x.MessageSeq, y.MessageSeq) })
	t.Complete = complete
	return t, nil
}

// title is the room with its name.
func (t *transcript) title() string {
	if t.RoomName != "" && t.RoomName != t.RoomID {
		return fmt.Sprintf("%s (%s)", word(t.RoomID), printable(t.RoomName))
	}
	return word(t.RoomID)
}

// who is the sender of a message.
func (u *utterance) who() string {
	switch {
	case u.UserID == "":
		return "the server"
	case u.UserName != "" && u.UserName != u.UserID:
		return fmt.Sprintf("%s (%s)", printable(u.UserName), word(u.UserID))
	}
	return word(u.UserID)
}

// kind is empty for a text.
func (u *utterance) kind() string {
	switch {
	case u.Type == events.Text:
		return ""
	case u.SubType != 0:
		return fmt.Sprintf(" [%s %d]", word(string(u.Type)), u.SubType)
	}
	return fmt.Sprintf(" [%s]", word(string(u.Type)))
}

// spoken is a text whose line breaks stay, and nothing else that is not to be seen.
func spoken(data string) []string {
	lines := strings.Split(strings.ReplaceAll(data, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = printable(strings.ReplaceAll(line, "\t", "    "))
	}
	return lines
}

// transcript is the text form.
func (l look) transcript(t *transcript) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", l.bold("What was said in "+t.title()))
	if len(t.Messages) == 0 {
		b.WriteString("nothing\n")
	}
	for i := range t.Messages {
		u := &t.Messages[i]
		if u.Deleted {
			fmt.Fprintf(&b, "%s  [message %d was deleted]\n", strings.Repeat(" ", len(time.DateTime)), u.MessageSeq)
			continue
		}
		said := spoken(u.Data)
		fmt.Fprintf(&b, "%s  %s%s: %s\n", l.time(u.Time), u.who(), u.kind(), said[0])
		for _, line := range said[1:] {
			fmt.Fprintf(&b, "%s    %s\n", strings.Repeat(" ", len(time.DateTime)), line)
		}
	}
	return trimmed(b.String())
}

// markdown is a transcript with a section for each day.
func (l look) markdown(t *transcript) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nInstance `%s`.\n", escaped(t.title()), strings.ReplaceAll(printable(t.InstanceID), "`", "'"))
	if !t.Complete {
		b.WriteString("Some of what was said is no longer kept.\n")
	}
	day := ""
	for i := range t.Messages {
		u := &t.Messages[i]
		if u.Deleted {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "- *message %d was deleted*\n", u.MessageSeq)
			continue
		}
		when := u.Time.Time().In(l.zone)
		if d := when.Format(time.DateOnly); d != day {
			day = d
			fmt.Fprintf(&b, "\n## %s\n\n", day)
		}
		lines := spoken(u.Data)
		for j, line := range lines {
			lines[j] = escaped(line)
		}
		fmt.Fprintf(&b, "- %s **%s**%s: %s\n", when.Format(time.TimeOnly), escaped(u.who()), escaped(u.kind()), strings.Join(lines, "  \n  "))
	}
	return b.String()
}

// escaped is text that means nothing to Markdown and to HTML.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>()#+-.!|~&$", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
