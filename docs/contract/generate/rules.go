package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"natsrooms/events"
	"natsrooms/roomsvc/hooks"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	// maxNumber is the largest number that JavaScript holds exactly; none is larger.
	maxNumber    = 1<<53 - 1
	timePattern  = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`
	tokenPattern = `([A-Za-z0-9_-]|=[0-9A-F]{2})+`
	plainText    = `^[^\x00-\x1f\x7f]*$`
)

type rule = func(*jsonschema.Schema) *jsonschema.Schema

// rules are what the types don't say, by field, or by type and field. A limit that is a
// setting stands at the most it can be set to: a schema must not refuse what some deployment
// accepts.
func rules(enum func(reflect.Type) []any) map[string]rule {
	attributesRule := oneOf(room.AttributesOpen, room.AttributesOwned)
	return map[string]rule{
		"roomID":     id,
		"fromRoomID": id,
		"toRoomID":   id,
		"userID":     id,
		"operator":   id,
		"ofUserID":   id,
		"createdBy":  idOrNone, // empty: made without a user

		"AccessData.userID":        idOrNone, // empty: a back end that named no user
		"AttributesData.userID":    idOrNone, // empty: the server itself
		"AttributesChange.userID":  idOrNone, // the same
		"UpdatedData.userID":       idOrNone, // the same
		"MemberUpdatedData.userID": idOrNone, // the same, or the members themselves
		"senderUserID":             idOrNone, // empty: the server itself
		"roomIDList":               each(id),
		"kicked":                   each(id),

		"instanceID":             least(1),
		"messageID":              least(1),
		"SendReply.messageID":    func(s *jsonschema.Schema) *jsonschema.Schema { return s }, // may be empty
		"sessionID":              both(least(1), short(room.MaxSessionID)),
		"requestID":              func(s *jsonschema.Schema) *jsonschema.Schema { return bound(s, 1, room.MaxRequestID) },
		"roomName":               both(setting("room-name"), pattern(plainText)),
		"userName":               both(setting("user-name"), pattern(plainText)),
		"KickRequest.reason":     short(room.MaxReason),
		"DestroyRequest.reason":  short(room.MaxReason),
		"RestrictRequest.reason": short(room.MaxReason),
		"Restriction.reason":     short(room.MaxReason),
		"seconds":                upTo(room.MaxRestriction),
		"reasonText":             short(room.MaxReason),
		"BlockRequest.reason":    short(room.MaxReason),
		"BlockRequest.seconds":   upTo(room.MaxBlock),
		"BlockRequest.tokenID":   short(room.MaxTokenID),
		"Barred.reason":          short(room.MaxReason),
		"Barred.tokens":          items(0, room.MaxTokens),
		"BlockReply.reason":      short(room.MaxReason),
		"BlockReply.tokens":      items(0, room.MaxTokens),
		"UnblockReply.reason":    short(room.MaxReason),
		"UnblockReply.tokens":    items(0, room.MaxTokens),
		"RevokedToken.tokenID":   both(least(1), short(room.MaxTokenID)),

		"memberCount":             positive,
		"afterSequence":           positive,
		"maxMembers":              positive,
		"timestamp":               positive,
		"count":                   upTo(room.MaxPage),
		"subType":                 upTo(room.MaxSubType),
		"extendedData":            short(room.MaxExtendedData),
		"attributes":              pairs("attributes", "attribute-key", "attribute-value"),
		"roomAttributes":          pairs("attributes", "attribute-key", "attribute-value"),
		"set":                     pairs("attributes", "attribute-key", "attribute-value"),
		"delete":                  each(key("attribute-key")),
		"deletedAttributes":       each(key("attribute-key")),
		"owners":                  owners,
		"subscribe":               each(least(1)),
		"serverID":                both(least(1), short(room.MaxServerID)),
		"clientID":                positive,
		"leaseSeconds":            upTo(room.MaxLease),
		"delivery":                oneOf("members", "open"),
		"access":                  oneOf(room.AccessOpen, room.AccessListed, room.AccessToken),
		"allowedUsers":            both(each(id), items(0, room.MaxAllowed)),
		"speakers":                oneOf(room.SpeakersAll, room.SpeakersHosts),
		"hosts":                   oneOf(room.HostsNone, room.HostsCreator),
		"Config.attributes":       attributesRule,
		"RoomConfig.attributes":   attributesRule,
		"ConfigUpdate.attributes": attributesRule,

		"roomDestroyDelayTime": upTo(room.MaxDestroyDelay),

		"RenewRequest.rooms":                    items(0, room.MaxStays),
		"MembersRequest.at":                     moment,
		"MemberOfRequest.userIDs":               both(each(id), items(0, room.MaxUserIDs)),
		"SetMemberAttributesRequest.userIDs":    both(each(id), items(1, room.MaxUserIDs)),
		"KickRequest.userIDs":                   both(each(id), items(1, room.MaxKick)),
		"RestrictRequest.userIDs":               both(each(id), items(1, room.MaxKick)),
		"LiftRequest.userIDs":                   both(each(id), items(1, room.MaxKick)),
		"RestrictedReply.userIDs":               each(id),
		"SetRoleRequest.userIDs":                both(each(id), items(1, room.MaxUserIDs)),
		"SetRoleRequest.role":                   oneOf(enum(reflect.TypeFor[events.Role]())...),
		"SetRoleReply.userIDs":                  each(id),
		"SetAccessRequest.allow":                both(each(id), items(0, room.MaxAllowed)),
		"SetAccessRequest.disallow":             both(each(id), items(0, room.MaxAllowed)),
		"SetMemberAttributesRequest.attributes": both(memberPairs, properties(1)),
		"MemberAttributes.attributes":           memberPairs,
		"MemberInfo.attributes":                 memberPairs,
		"Joined.attributes":                     memberPairs,
		"MemberInfo.sessions":                   items(1, room.MaxSessions),
		"GetReply.owners":                       eachValue(id),
		"AttributesData.owners":                 both(owners, described("absent: userID owns all of set")),
		"AttributesChange.set":                  each(key("attribute-key")),
		"SendRequest.data":                      both(least(1), setting("message-data")),
		"SendRequest.type":                      oneOf(enum(reflect.TypeFor[events.MessageType]())...),
		"SendRequest.priority":                  oneOf(enum(reflect.TypeFor[events.Priority]())...),
		"MessageData.data":                      both(least(1), setting("message-data")),
		"DeletionData.messageSeqs":              both(each(numbered), items(1, room.MaxMessageSeqs)),
		"DeleteMessagesRequest.messageSeqs":     both(each(numbered), items(1, room.MaxMessageSeqs)),
		"DeleteMessagesReply.messageSeqs":       each(numbered),
		"DeleteMessagesReply.nextFlag":          pattern("^[0-9]*$"),
		"HistoryReply.deleted":                  each(numbered),
		"HistoryReply.nextFlag":                 pattern("^[0-9]*$"),
		"HistoryReply.events":                   each(cloudEvent),
		"NoticeData.state":                      names(events.Disconnected, events.Connected),
		"NoticeData.event":                      names(events.Success, events.SwitchFailed),
		"HookQuestion.verb":                     oneOf(verbs(hooks.Verbs)...),
		"HookDeny.code":                         hookCode,
		"ErrorInfo.code":                        codeName,
		"ErrorUser.code":                        codeName,
		"NoticeError.code":                      codeName,
	}
}

// refine applies the rules to a type.
func (r *reflector) refine(name string, s *jsonschema.Schema) {
	if s.Properties == nil {
		return
	}
	r.refineFields(name, s)
	if strings.HasSuffix(name, "Request") {
		emptyMeansNone(s)
	}
	if slices.Contains(closed, name) {
		s.AdditionalProperties = jsonschema.FalseSchema
	}
	switch name {
	case "HookAnswer": // says one thing at most
		s.MaxProperties = count(1)
	case "HookDeny":
		s.Required = nil
	case "ErrorBody": // the position is present only with the attributes
		s.Required = []string{"error"}
	case "ErrorInfo", "ErrorUser", "NoticeError":
		for _, c := range room.Codes {
			p := jsonschema.NewProperties()
			p.Set("code", &jsonschema.Schema{Const: c.Name})
			p.Set("number", &jsonschema.Schema{Const: c.Number})
			s.OneOf = append(s.OneOf, &jsonschema.Schema{Properties: p})
		}
	case "UpdateRequest":
		s.AnyOf = []*jsonschema.Schema{{Required: []string{"roomName"}}, {Required: []string{"config"}}}
	case "SetAttributesRequest":
		s.AnyOf = []*jsonschema.Schema{{Required: []string{"set"}}, {Required: []string{"delete"}}}
	case "DeleteMessagesRequest":
		s.OneOf = []*jsonschema.Schema{{Required: []string{"messageSeqs"}}, {Required: []string{"ofUserID"}}}
	case "HistoryRequest":
		for _, position := range []string{"afterSequence", "afterMessageSeq", "beforeMessageSeq"} {
			s.OneOf = append(s.OneOf, &jsonschema.Schema{Required: []string{position}})
		}
	}
	if strings.HasSuffix(name, "Data") && name != "NoticeData" && name != "MessageData" && name != "DeletionData" {
		s.Properties.Value("sequence").Minimum = "1"
	}
}

func (r *reflector) refineFields(name string, s *jsonschema.Schema) {
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		for _, k := range []string{name + "." + pair.Key, pair.Key} {
			if f := r.rules[k]; f != nil {
				pair.Value = f(pair.Value)
				r.used[k] = true
				break
			}
		}
	}
}

// closed are the types of which a field must not be ignored because it is misspelt.
var closed = []string{"RoomConfig", "RoomInfo", "ConfigUpdate", "HookAnswer", "HookDeny", "HookReplace"}

// emptyMeansNone allows a request's optional texts to be empty, which means the same as
// leaving them out.
func emptyMeansNone(s *jsonschema.Schema) {
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		if p := pair.Value; !slices.Contains(s.Required, pair.Key) && p.Type == "string" {
			p.MinLength, p.Pattern = nil, strings.Replace(p.Pattern, "+$", "*$", 1)
		}
	}
}

func both(a, b rule) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema { return b(a(s)) }
}

// describe adds to the description of a field.
func describe(s *jsonschema.Schema, format string, args ...any) {
	if s.Description != "" {
		s.Description += "; "
	}
	s.Description += fmt.Sprintf(format, args...)
}

// id is a room's or user's ID. That it has no noncharacters can't be said in a pattern that
// all languages understand.
func id(s *jsonschema.Schema) *jsonschema.Schema {
	s.Pattern = `^[^\x00-\x1f\x7f-\x9f]+$`
	describe(s, "an ID: 1 to %d bytes of UTF-8 without control characters or noncharacters", subjects.MaxIDBytes)
	return bound(s, 1, subjects.MaxIDBytes)
}

func idOrNone(s *jsonschema.Schema) *jsonschema.Schema {
	s.Pattern = `^[^\x00-\x1f\x7f-\x9f]*$`
	describe(s, "an ID, or empty for nobody")
	return bound(s, 0, subjects.MaxIDBytes)
}

func each(f rule) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		s.Items = f(s.Items)
		return s
	}
}

func eachValue(f rule) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		s.AdditionalProperties = f(s.AdditionalProperties)
		return s
	}
}

func items(least, most int) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		if s.MaxItems = count(most); least > 0 {
			s.MinItems = count(least)
		}
		return s
	}
}

func properties(least int) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		s.MinProperties = count(least)
		return s
	}
}

func least(n int) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema { return bound(s, n, 0) }
}

// short is a text of at most that many bytes.
func short(most int) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		if s.Description == "" {
			describe(s, "at most %d bytes", most)
		}
		return bound(s, 0, most)
	}
}

// limit is a row of the table of limits.
func limit(name string) room.Setting {
	i := slices.IndexFunc(room.Settings, func(s room.Setting) bool { return s.Name == name })
	return room.Settings[i]
}

func setting(name string) rule {
	l := limit(name)
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		absence := ""
		if leftOut(s) {
			absence = "; " + s.Description
		}
		s.Description = fmt.Sprintf("at most %d bytes unless %s is set otherwise, and never more than %d%s", l.Default, l.Name, l.Most, absence)
		return bound(s, 0, l.Most)
	}
}

func key(name string) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema { return bound(s, 1, limit(name).Most) }
}

// pairs are attributes.
func pairs(number, keys, values string) rule {
	n, k, v := limit(number), limit(keys), limit(values)
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		describe(s, "at most %d, with keys of 1 to %d bytes and values of at most %d, unless set otherwise", n.Default, k.Default, v.Default)
		s.MaxProperties, s.PropertyNames = count(n.Most), &jsonschema.Schema{MinLength: count(1), MaxLength: count(k.Most)}
		bound(s.AdditionalProperties, 0, v.Most)
		return s
	}
}

func memberPairs(s *jsonschema.Schema) *jsonschema.Schema {
	return pairs("member-attributes", "member-attribute-key", "member-attribute-value")(s)
}

func owners(s *jsonschema.Schema) *jsonschema.Schema {
	s.AdditionalProperties = &jsonschema.Schema{OneOf: []*jsonschema.Schema{id(&jsonschema.Schema{Type: "string"}), {Type: "null"}}}
	return s
}

func described(text string) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		describe(s, "%s", text)
		return s
	}
}

func positive(s *jsonschema.Schema) *jsonschema.Schema {
	s.Minimum = "0"
	return s
}

func numbered(s *jsonschema.Schema) *jsonschema.Schema {
	s.Minimum = "1"
	return s
}

func upTo(most int) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		n := number(0, most)
		s.Minimum, s.Maximum = n.Minimum, n.Maximum
		return s
	}
}

func pattern(p string) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		s.Pattern = p
		return s
	}
}

// moment is a time as callers may write it.
func moment(s *jsonschema.Schema) *jsonschema.Schema {
	s.Format, s.Pattern = "date-time", ""
	return s
}

func oneOf(values ...any) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		s.Enum = values
		return s
	}
}

// names are the names of an enum of numbers.
func names[T interface {
	~int
	fmt.Stringer
}](first, last T) rule {
	return func(s *jsonschema.Schema) *jsonschema.Schema {
		for v := first; v <= last; v++ {
			s.Enum = append(s.Enum, v.String())
		}
		return s
	}
}

func codeName(s *jsonschema.Schema) *jsonschema.Schema {
	for _, c := range room.Codes {
		s.Enum = append(s.Enum, c.Name)
	}
	return s
}

// hookCode is a code of the application's own.
func hookCode(s *jsonschema.Schema) *jsonschema.Schema {
	bound(s.OneOf[0], 0, hooks.MaxCode)
	return s
}

func verbs(list []room.Verb) (values []any) {
	for _, v := range list {
		values = append(values, string(v))
	}
	return values
}

// cloudEvent is any of our facts or messages, including those of later versions.
func cloudEvent(s *jsonschema.Schema) *jsonschema.Schema {
	s.Properties = jsonschema.NewProperties()
	for _, name := range []string{"specversion", "id", "source", "type"} {
		s.Properties.Set(name, text(1, 0))
		s.Required = append(s.Required, name)
	}
	s.AdditionalProperties = jsonschema.TrueSchema
	describe(s, "a CloudEvent, according to the schema of its type")
	return s
}
