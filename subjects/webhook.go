package subjects

import (
	"strings"
)

// Webhooks is where back ends ask about webhooks and their dead letters, and say what becomes of
// these: [Webhook] of each [WebhookActions].
const Webhooks = webhookPrefix + "*"

const webhookPrefix = "room.webhooks."

// What back ends ask.
const (
	WebhooksList   = "list"
	WebhooksReplay = "replay"
	WebhooksDrop   = "drop"
)

// WebhookActions are all of them.
var WebhookActions = []string{WebhooksList, WebhooksReplay, WebhooksDrop}

// Webhook is where one of [WebhookActions] is asked for.
func Webhook(action string) string { return webhookPrefix + action }

// WebhookAction is what is asked for on a subject of [Webhook].
func WebhookAction(subject string) string { return strings.TrimPrefix(subject, webhookPrefix) }

// Prefixes of keys in [BucketWebhooks].
const (
	keyBehind = "behind."
	keyDead   = "dead."
)

// BehindKey is the key in [BucketWebhooks] of where a webhook has got in a room that it is behind
// with; source tells facts from messages. Neither name has a dot.
func BehindKey(hook, source string, r Room) string {
	return keyBehind + hook + "." + source + "." + r.Token()
}

// BehindKeys matches [BehindKey] of every room.
func BehindKeys(hook, source string) string { return keyBehind + hook + "." + source + ".*" }

// RoomOfBehind is the room of a [BehindKey]; ok is false for all other keys.
func RoomOfBehind(key string) (r Room, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 4 || parts[0]+"." != keyBehind {
		return "", false
	}
	r, err := RoomOfToken(parts[3])
	return r, err == nil
}

// DeadKey is the key in [BucketWebhooks] of a dead letter; its ID is a source and a sequence there,
// with a dot in between.
func DeadKey(hook, id string) string { return keyDead + hook + "." + id }

// DeadKeys matches [DeadKey] of all dead letters of a webhook.
func DeadKeys(hook string) string { return keyDead + hook + ".*.*" }

// LetterOfKey splits a [DeadKey]; ok is false for all other keys.
func LetterOfKey(key string) (hook, id string, ok bool) {
	rest, ok := strings.CutPrefix(key, keyDead)
	hook, id, cut := strings.Cut(rest, ".")
	return hook, id, ok && cut && strings.Count(id, ".") == 1
}
