package main

import (
	"fmt"
	"strings"

	"natsrooms/events"
	"natsrooms/roomsvc"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

// The parts of an AsyncAPI document that are used here; names as in its specification.
type (
	asyncDocument struct {
		AsyncAPI           string               `json:"asyncapi"`
		Info               info                 `json:"info"`
		DefaultContentType string               `json:"defaultContentType"`
		Channels           map[string]channel   `json:"channels"`
		Operations         map[string]operation `json:"operations"`
		Components         components           `json:"components"`
	}
	info struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description"`
	}
	channel struct {
		Address     *string              `json:"address"` // null: known at run time only
		Description string               `json:"description"`
		Parameters  map[string]reference `json:"parameters,omitempty"`
		Messages    map[string]reference `json:"messages"`
	}
	operation struct {
		Action      string      `json:"action"`
		Channel     reference   `json:"channel"`
		Summary     string      `json:"summary"`
		Description string      `json:"description,omitempty"`
		Messages    []reference `json:"messages"`
		Bindings    any         `json:"bindings,omitempty"`
		Reply       *reply      `json:"reply,omitempty"`
	}
	reply struct {
		Channel  reference   `json:"channel"`
		Messages []reference `json:"messages"`
	}
	components struct {
		Parameters map[string]parameter `json:"parameters"`
		Messages   map[string]message   `json:"messages"`
	}
	parameter struct {
		Description string `json:"description"`
	}
	message struct {
		Name        string    `json:"name"`
		Summary     string    `json:"summary"`
		ContentType string    `json:"contentType,omitempty"`
		Headers     any       `json:"headers,omitempty"`
		Payload     reference `json:"payload"`
	}
	reference struct {
		Ref string `json:"$ref"`
	}
	object = map[string]any
)

func ref(parts ...string) reference { return reference{"#/" + strings.Join(parts, "/")} }

const (
	replies = "replies"
	refusal = "refusal"
)

// asyncAPI describes the service: what it receives and what it sends.
func asyncAPI() *asyncDocument {
	d := &asyncDocument{
		AsyncAPI: "3.1.0",
		Info: info{"natsrooms", roomsvc.Version, "Rooms over NATS: who is here, who joined, who left. Commands are NATS requests; use a timeout of 15 s. " +
			"Events are CloudEvents 1.0 in structured JSON. Readers must ignore fields, types and enum values that they do not know: later versions add some."},
		DefaultContentType: "application/json",
		Channels: map[string]channel{replies: {
			Description: "The request's own reply subject, an inbox. A refusal has error headers, a success does not.",
			Messages:    map[string]reference{refusal: ref("components/messages", refusal)},
		}},
		Operations: map[string]operation{},
		Components: components{
			Parameters: map[string]parameter{
				"room": {"The room's ID as one token: every byte except A-Z a-z 0-9 _ - is =XX, upper-case hex."},
				"user": {"The user's ID as one token, like a room's."},
			},
			Messages: map[string]message{refusal: {
				Name: refusal, Summary: "Why a command was refused", Payload: reference{errorPath},
				Headers: object{"type": "object", "required": []string{"Nats-Service-Error", "Nats-Service-Error-Code"}, "properties": object{
					"Nats-Service-Error":      object{"type": "string", "description": "error.code of the body"},
					"Nats-Service-Error-Code": object{"type": "string", "pattern": "^[0-9]{7}$", "description": "error.number of the body"},
				}},
			}},
		},
	}
	for _, c := range room.Commands {
		d.addCommand(c)
	}
	for _, e := range events.Types {
		d.addEvent(e)
	}
	d.addHook()
	return d
}

// addHook adds the questions to the application.
func (d *asyncDocument) addHook() {
	const question, answer = "hookQuestion", "hookAnswer"
	d.Components.Messages[question] = message{Name: question, Summary: "A command that somebody wants carried out, before it is decided", Payload: reference{questionPath}}
	d.Components.Messages[answer] = message{Name: answer, Summary: "What the application says to it; {} lets it pass", Payload: reference{answerPath}}
	d.Channels["hooks"] = channel{
		Description: "The subjects that --hook names, on which the application is asked.",
		Messages:    map[string]reference{question: ref("components/messages", question)},
	}
	d.Channels["hookAnswers"] = channel{
		Description: "The question's own reply subject, an inbox.",
		Messages:    map[string]reference{answer: ref("components/messages", answer)},
	}
	d.Operations["hooks"] = operation{
		Action: "send", Channel: ref("channels", "hooks"), Summary: "Asks the application about a command.",
		Messages: []reference{ref("channels", "hooks", "messages", question)},
		Reply:    &reply{ref("channels", "hookAnswers"), []reference{ref("channels", "hookAnswers", "messages", answer)}},
	}
}

func (d *asyncDocument) addCommand(c room.CommandInfo) {
	verb := string(c.Verb)
	answer := verb + "Reply"
	d.Components.Messages[verb] = message{
		Name: verb, Summary: "The body of " + verb, Payload: reference{commandPath(verb)},
		Headers: object{"type": "object", "properties": object{
			"Nats-Msg-Id": object{"type": "string", "description": "requestID, if the body has none"},
			"traceparent": object{"type": "string", "description": "W3C Trace Context; the fact carries it too"},
		}},
	}
	d.Components.Messages[answer] = message{
		Name: answer, Summary: c.Means, Payload: reference{replyPath(verb)},
		Headers: object{"type": "object", "properties": object{
			"Room-Ignored-Fields": object{"type": "string", "description": "unknown fields of the body, which had no effect"},
		}},
	}
	d.Channels[replies].Messages[answer] = ref("components/messages", answer)

	refused := []*room.Code{room.ErrParamInvalid, room.ErrNotAllowed, room.ErrBusy, room.ErrUnavailable}
	names := make([]string, 0, len(refused)+len(c.Refused))
	for _, code := range append(c.Refused[:len(c.Refused):len(c.Refused)], refused...) {
		names = append(names, fmt.Sprintf("%s (%d)", code.Name, code.Number))
	}
	receive := func(name, address, who string, parameters map[string]reference) {
		d.Channels[name] = channel{Address: &address, Description: who, Parameters: parameters, Messages: map[string]reference{verb: ref("components/messages", verb)}}
		d.Operations[name] = operation{
			Action: "receive", Channel: ref("channels", name), Summary: c.Means, Description: "Refused with " + strings.Join(names, ", ") + ".",
			Messages: []reference{ref("channels", name, "messages", verb)},
			Bindings: object{"nats": object{"queue": subjects.QueueGroup, "bindingVersion": "0.1.0"}},
			Reply:    &reply{ref("channels", replies), []reference{ref("channels", replies, "messages", answer), ref("channels", replies, "messages", refusal)}},
		}
	}
	receive(verb, subjects.Command(verb), "Trusted callers; userID in the body names the user.", nil)
	if !c.Trusted {
		address := strings.Replace(subjects.UserCommandPattern(verb), "*", "{user}", 1)
		who := "The user's own clients"
		if c.Hosts {
			who += ", if the user is in the room as a host"
		}
		receive(verb+"User", address, who+"; the subject names the user, and a different userID in the body is NOT_ALLOWED.", parameters("user"))
	}
}

func (d *asyncDocument) addEvent(e events.TypeInfo) {
	name := eventName(e.Type)
	headers := object{"Content-Type": object{"const": events.ContentType}}
	text := func(what string) object { return object{"type": "string", "description": what} }
	switch e.Type {
	case events.MessageSent:
		headers["Nats-Sequence"] = text("if the message is stored: its messageSeq")
		headers["Nats-Last-Sequence"] = text("if the message is stored: the messageSeq of the room's previous message, 0 if there is none")
	case events.MessageDeleted:
		headers["Nats-Sequence"] = text("its own place among the room's messages, which their messageSeqs count")
		headers["Nats-Last-Sequence"] = text("the messageSeq of the room's previous message, 0 if there is none")
	case events.UserStateChanged:
	default:
		headers["Nats-Sequence"] = text("its revision")
		headers["Nats-Last-Sequence"] = text("the revision of the room's previous fact; end users' copies do not have this header")
	}
	if e.Type != events.UserStateChanged {
		headers["traceparent"] = text("W3C Trace Context of the span in which it was stored, or copied for end users; only if the service traces")
		headers[events.SessionsHeader] = text("only on room.feed.{user}.{room}: those of the user's sessions that this copy is for, separated by commas, each written like an ID in a subject; a session that is not among them has left, or came later, and does not take it")
	}
	d.Components.Messages[name] = message{
		Name: name, Summary: e.Means, ContentType: events.ContentType, Payload: reference{eventPath(shortType(e.Type))},
		Headers: object{"type": "object", "required": []string{"Content-Type"}, "properties": headers},
	}
	switch e.Type {
	case events.MessageSent, events.MessageDeleted:
		d.send("messages", name, inRoom(subjects.MessagesPattern), "Messages sent in a room.", "room")
	case events.UserStateChanged:
		d.send("states", name, ofUser(subjects.UserStates), "What happened to a user's own sessions in a room, for all of the user's devices: live only, sent before the command's reply.", "user", "room")
		return
	default:
		d.send("facts", name, inRoom(subjects.FactsPattern), "A room's facts, in order. Each room has one subject.", "room")
	}
	d.send("feeds", name, ofUser(subjects.UserFeeds), "Where end users hear a members-only room, each on a feed of its own while it is a member: the room's facts in order, and messages.", "user", "room")
	d.send("open", name, inRoom(subjects.OpenPattern), "Where end users hear an open room: its facts in order, and messages.", "room")
}

// send adds a message to the channel at an address.
func (d *asyncDocument) send(at, name, address, what string, in ...string) {
	if _, ok := d.Channels[at]; !ok {
		d.Channels[at] = channel{Address: &address, Description: what, Parameters: parameters(in...), Messages: map[string]reference{}}
		d.Operations[at] = operation{Action: "send", Channel: ref("channels", at), Summary: what}
	}
	d.Channels[at].Messages[name] = ref("components/messages", name)
	o := d.Operations[at]
	o.Messages = append(o.Messages, ref("channels", at, "messages", name))
	d.Operations[at] = o
}

// inRoom is an address with a room as its parameter, ofUser one with a user and a room.
func inRoom(pattern string) string { return strings.Replace(pattern, "*", "{room}", 1) }

func ofUser(pattern func(subjects.User) string) string {
	return strings.Replace(inRoom(pattern("user")), ".user.", ".{user}.", 1)
}

func parameters(names ...string) map[string]reference {
	p := map[string]reference{}
	for _, name := range names {
		p[name] = ref("components/parameters", name)
	}
	return p
}
