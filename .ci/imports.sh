#!/usr/bin/env bash
# The import rule: who may know what. It reads what `go list` says of the code outside
# tests, prints each break of the rule, and fails if there is one.
#
#   subjects            the standard library
#   events              + subjects, CloudEvents' event and types packages, the JSON library
#   roomsvc/room        events, subjects, the JSON library; of the standard library no
#                       clock, network, randomness, context, log or file
#   roomsvc/policy      subjects
#   roomsvc/due         the standard library
#   roomsvc/auth        policy, room, subjects, nats.go, the JSON library, and what reads tokens and signs for NATS
#   roomsvc/client      events, subjects, room, nats.go, the JSON library
#   roomsvc and below   + room, each other but for the client, nats.go
#   cmd/, roomtest      whatever they need; only they reach nats-server
#   docs/               the same without nats-server
#   docs/contract       events, subjects, room, nats.go, the JSON Schema validator
#   docs/contract/...   its generator: like docs/, but no client of NATS of its own
#
# Subjects are spelled in subjects/ alone, event types in events/ alone.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
broken() { echo "import rule: $*" >&2; failed=1; }

module=$(go list -m)
packages=$(go list ./...)
json='github\.com/go-json-experiment/json(/jsontext)?'
events='github\.com/cloudevents/sdk-go/v2/(event|types)'
nats='github\.com/nats-io/(nats\.go(/.*)?|nuid)'
validator='github\.com/santhosh-tekuri/jsonschema/v6'
std='[^./]+(/[^.]*)?' # no dot in its first element; "$module" is taken out before

# imports PACKAGE: what it imports itself, a line each.
imports() { go list -f '{{range .Imports}}{{println .}}{{end}}' "./$1" | sed '/^$/d'; }

# direct PACKAGE OTHERS OURS: it imports the standard library, OTHERS, and OURS of this
# module (both are patterns).
direct() {
	local all import
	all=$(imports "$1")
	for import in $all; do
		case $import in
		"$module"/*) [[ $import =~ ^$module/($3)$ ]] || broken "$1 imports $import" ;;
		*) [[ $import =~ ^($std|$2)$ ]] || broken "$1 imports $import" ;;
		esac
	done
}

# without PACKAGE PATTERN: nothing that it is made of, however far down, matches.
without() {
	local all dep
	all=$(go list -deps "./$1")
	for dep in $all; do
		[[ ! $dep =~ ^($2)$ ]] || broken "$1 depends on $dep"
	done
}

# blind PACKAGE PATTERN: it imports nothing that matches itself.
blind() {
	local all import
	all=$(imports "$1")
	for import in $all; do
		[[ ! $import =~ ^($2)$ ]] || broken "$1 imports $import, which it must not know"
	done
}

tokens='github\.com/(golang-jwt/jwt/v5|MicahParks/jwkset|nats-io/(jwt/v2|nkeys))|golang\.org/x/time/rate'
none='-'
world='context|crypto/.*|io/.*|log(/.*)?|math/rand(/v2)?|net(/.*)?|os(/.*)?|sync(/.*)?|syscall|time'
network='github\.com/nats-io/.*|net|net/http|crypto/tls'
server='github\.com/nats-io/nats-server/.*'
for package in $packages; do
	package=${package#"$module"/}
	case $package in
	subjects)
		direct "$package" "$none" "$none" ;;
	events)
		direct "$package" "$events|$json" subjects
		without "$package" "$network" ;;
	roomsvc/room)
		direct "$package" "$json" 'events|subjects'
		without "$package" "$network"
		blind "$package" "$world" ;;
	roomsvc/roomtest | cmd/*) ;;
	docs/contract)
		direct "$package" "$nats|$validator" 'events|subjects|roomsvc/room'
		without "$package" "$server" ;;
	docs/contract/generate)
		without "$package" "$server"
		blind "$package" "$nats|$validator" ;;
	docs | docs/* | examples/*)
		without "$package" "$server" ;;
	roomsvc/due)
		direct "$package" "$none" "$none" ;;
	roomsvc/policy)
		direct "$package" "$none" subjects ;;
	roomsvc/auth)
		direct "$package" "$nats|$json|$tokens" 'subjects|roomsvc/(policy|room)'
		without "$package" "$server" ;;
	roomsvc/client)
		direct "$package" "$nats|$json" 'events|subjects|roomsvc/room'
		without "$package" "$server" ;;
	roomsvc | roomsvc/*)
		direct "$package" "$nats|$json" 'events|subjects|roomsvc(/.*)?'
		without "$package" "$server|$module/roomsvc/(roomtest|client)" ;;
	*)
		broken "$package has no place in the layout; give it a line in .ci/imports.sh" ;;
	esac
done

# literals WHERE PATTERN: no string in Go code outside tests and WHERE starts like PATTERN.
literals() {
	local hit
	while read -r hit; do
		broken "$hit: only $1/ spells this out"
	done < <(find . -name '*.go' ! -name '*_test.go' ! -path "./$1/*" -exec grep -nE "[\"\`]($2)" {} + || true)
}
literals subjects 'room\.(cmd|evt|msg|state|feed|open|journal|msgjournal|sync)\b|\$KV\.|KV_room'
literals events 'io\.natsrooms\.'

exit $failed
