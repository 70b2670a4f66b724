#!/usr/bin/env bash
# The import rule: who knows what. The table below says, for each package of the service,
# exactly which packages of this module it imports, and which others from outside the
# standard library. The check reads what `go list` says of the code outside tests, and fails
# if an import is missing in the table, or stands there and is not used.
#
# The programs, documents, examples and test support are bound less: they may use what they
# need, but only programs and test support reach nats-server, and nobody outside tests uses
# test support. Subjects are spelled in subjects/ alone, event types in events/ alone.
set -euo pipefail
cd "$(dirname "$0")/.."

json='json json/jsontext'
cloud='cloudevents/event cloudevents/types'
nats='nats.go nats.go/jetstream'

# package              imports of this module                                   others
table="
subjects             | |
events               | subjects                                               | $cloud $json
roomsvc/room         | events subjects                                        | $json
roomsvc/policy       | subjects                                               |
roomsvc/due          | |
roomsvc/life         | |
roomsvc/journal      | events subjects                                        | $nats json nuid
roomsvc/messages     | events journal life subjects                           | $nats
roomsvc/projection   | journal room subjects                                  | $nats json
roomsvc/leases       | due events journal life room subjects                  | $nats json nuid
roomsvc/feeds        | events life room subjects                              | nats.go
roomsvc/lead         | journal life subjects                                  | $nats json
roomsvc/replica      | events journal life room subjects                      |
roomsvc/commit       | events journal life replica room subjects              | nuid
roomsvc/load         | events journal life projection replica room subjects   |
roomsvc/upkeep       | commit due events feeds lead leases life projection replica room subjects |
roomsvc/api          | commit events journal leases life messages replica room subjects | $nats nats.go/micro $json nuid
roomsvc              | api commit events feeds journal lead leases life load messages projection replica room subjects upkeep | nats.go json nuid
roomsvc/auth         | policy room subjects                                   | nats.go json jwkset jwt nats-jwt nkeys rate
roomsvc/client       | client/follow events room subjects                     | nats.go nats.go/micro $json nuid
roomsvc/client/follow | events room subjects                                  | nats.go json/jsontext
docs/contract        | events subjects                                        | nats.go nats.go/micro jsonschema
"

failed=0
broken() { echo "import rule: $*" >&2; failed=1; }
module=$(go list -m)
# For each package a line: its path, what it imports itself, and all that it is made of.
graph=$(go list -f '{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}' ./...)
of() { grep "^$module/$1|" <<<"$graph" | cut -d '|' -f "$2" | tr ' ' '\n'; }

# short gives the names of the table to import paths.
short() {
	sed -e "s#^$module/roomsvc/##" -e "s#^$module/##" \
		-e 's#^github.com/go-json-experiment/json#json#' -e 's#^github.com/cloudevents/sdk-go/v2/#cloudevents/#' \
		-e 's#^github.com/nats-io/jwt/v2#nats-jwt#' -e 's#^github.com/golang-jwt/jwt/v5#jwt#' \
		-e 's#^github.com/santhosh-tekuri/jsonschema/v6#jsonschema#' -e 's#^github.com/MicahParks/##' -e 's#^github.com/nats-io/##' -e 's#^golang.org/x/time/rate#rate#'
}

# imports PACKAGE: what it imports itself from outside the standard library, a line each.
imports() { of "$1" 2 | grep -E "^$module/|^[^/]*\.[^/]*/" | short | sort || true; }

while IFS='|' read -r package ours others; do
	package=${package// /}
	[ -n "$package" ] || continue
	want=$(printf '%s\n' $ours $others | sed '/^$/d' | sort)
	have=$(imports "$package")
	while read -r import; do
		case $import in
		"<"*) broken "$package no longer imports ${import#< }; take it out of the table in .ci/imports.sh" ;;
		">"*) broken "$package imports ${import#> }" ;;
		esac
	done < <(diff <(echo "$want") <(echo "$have") | grep '^[<>] .' || true)
done <<<"$table"

# without PACKAGE PATTERN: nothing that it is made of, however far down, matches.
without() {
	local dep
	for dep in $(of "$1" 3); do
		[[ ! $dep =~ ^($2)$ ]] || broken "$1 depends on $dep"
	done
}

# blind PACKAGE PATTERN: it imports nothing that matches itself.
blind() {
	local import
	for import in $(of "$1" 2); do
		[[ ! $import =~ ^($2)$ ]] || broken "$1 imports $import, which it must not know"
	done
}

server='github\.com/nats-io/nats-server/.*'
support="$module/roomsvc/roomtest(/.*)?"
for package in $(cut -d '|' -f 1 <<<"$graph"); do
	package=${package#"$module"/}
	case $package in
	roomsvc/roomtest | roomsvc/roomtest/* | roomsvc/faults | cmd/*) ;;
	docs/contract/generate)
		without "$package" "$server"
		blind "$package" 'github\.com/nats-io/.*|github\.com/santhosh-tekuri/.*' ;;
	docs | docs/* | examples/*) without "$package" "$server" ;;
	*)
		grep -qE "^$package +\|" <<<"$table" || broken "$package has no place in the layout; give it a row in .ci/imports.sh"
		without "$package" "$server|$support" ;;
	esac
done
for package in $(cut -d '|' -f 1 <<<"$graph" | grep -E "^$module/(cmd|docs|examples)"); do
	blind "${package#"$module"/}" "$support"
done

# The core knows no clock, network, randomness, context, log or file.
blind roomsvc/room 'context|crypto/.*|io/.*|log(/.*)?|math/rand(/v2)?|net(/.*)?|os(/.*)?|sync(/.*)?|syscall|time'
for package in subjects events roomsvc/room; do
	without "$package" 'github\.com/nats-io/.*|net|net/http|crypto/tls'
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
