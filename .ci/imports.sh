#!/usr/bin/env bash
# The import rule: which package knows which. The table below says, for each package of the
# service, exactly which packages of this module it imports, and which others from outside
# the standard library. The check reads what `go list` says about the code outside tests, and
# fails if an import is missing in the table, or is in the table and not used.
#
# The programs, documents, examples and test support have more freedom: they may use what
# they need, but only programs and test support may depend on nats-server, and only tests use
# test support. Subjects are spelled out only in subjects/, event types only in events/.
set -euo pipefail
cd "$(dirname "$0")/.."

json='json json/jsontext'
cloud='cloudevents/event'
nats='nats.go nats.go/jetstream'
otel='otel/attribute otel/codes otel/propagation otel/trace'

# package              imports of this module                                   others
table="
subjects             | |
events               | subjects                                               | $cloud $json
events/attendance    | events                                                 |
roomsvc/pack         | |
roomsvc/room         | events pack subjects                                   | $json
roomsvc/policy       | subjects                                               |
roomsvc/traces       | room                                                   | $otel
roomsvc/due          | |
roomsvc/life         | |
roomsvc/meter        | |
roomsvc/answers      | subjects                                               | nats.go
roomsvc/journal      | events streams subjects | $nats json nuid
roomsvc/messages     | events journal life streams subjects takeover | $nats
roomsvc/projection   | journal meter room streams subjects | $nats json
roomsvc/leases       | clock due events journal life room streams subjects    | $nats $json nuid
roomsvc/health       | |
roomsvc/clock        | events health life                                     | golang.org/x/sys/unix
roomsvc/streams      | health subjects                                        | $nats
roomsvc/takeover     | subjects                                               | nats.go/jetstream
roomsvc/feeds        | events life meter room subjects traces | nats.go nuid
roomsvc/lead         | journal life subjects                                  | $nats json
roomsvc/replica      | events journal life pack room subjects                 | json
roomsvc/image        | room                                                   |
roomsvc/conns        | room subjects                                          | nats.go json
roomsvc/departed     | events journal replica room subjects                   |
roomsvc/ids          | room                                                   | precis
roomsvc/commit       | clock events journal life meter replica room subjects traces | nuid
roomsvc/blocks       | commit events journal life replica room streams subjects | $nats json
roomsvc/space        | health journal life room subjects |
roomsvc/load         | events image journal life projection replica room subjects |
roomsvc/upkeep       | clock commit conns due events feeds lead leases life projection replica room subjects |
roomsvc/past         | events journal messages replica room subjects          | json/jsontext
roomsvc/talk         | clock commit events journal life messages meter replica room subjects traces | nats.go nuid
roomsvc/erase        | commit events lead life messages replica room subjects | nuid
roomsvc/turns        | leases subjects                                        |
roomsvc/guard        | meter room subjects |
roomsvc/post         | | standardwebhooks
roomsvc/seldom       | |
roomsvc/hooks        | life post room seldom subjects                                | nats.go $json nuid
roomsvc/webhooks/letters | events |
roomsvc/webhooks     | events journal lead life post room seldom streams subjects webhooks/letters | $nats nats.go/micro json cloudevents/binding cloudevents/protocol/http
roomsvc/intake       | | nats.go nats.go/micro nuid
roomsvc/api          | answers blocks clock commit departed erase events guard hooks ids intake leases life messages meter past replica room seldom space subjects talk traces turns | $nats nats.go/micro $json nuid
roomsvc/verbs        | api commit erase events hooks journal leases messages past replica room subjects | json
roomsvc              | answers api blocks clock commit conns departed erase events feeds guard health hooks journal lead leases life load messages meter past projection replica room space subjects talk traces upkeep verbs webhooks | nats.go json nuid otel/trace
roomsvc/auth         | events policy room subjects                            | nats.go $json jwkset jwt nats-jwt nkeys rate
roomsvc/client       | client/follow events room subjects traces              | nats.go nats.go/micro $json nuid otel/trace
roomsvc/client/follow | events room subjects                                  | nats.go json/jsontext
docs/contract        | events subjects                                        | nats.go nats.go/micro jsonschema
"

failed=0
broken() { echo "import rule: $*" >&2; failed=1; }
module=$(go list -m)
# One line for each package: its path, what it imports itself, and everything it depends on.
graph=$(go list -f '{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}' ./...)
of() { grep "^$module/$1|" <<<"$graph" | cut -d '|' -f "$2" | tr ' ' '\n'; }

# short turns import paths into the names that the table uses.
short() {
	sed -e "s#^$module/roomsvc/##" -e "s#^$module/##" \
		-e 's#^github.com/go-json-experiment/json#json#' -e 's#^github.com/cloudevents/sdk-go/v2/#cloudevents/#' \
		-e 's#^github.com/nats-io/jwt/v2#nats-jwt#' -e 's#^github.com/golang-jwt/jwt/v5#jwt#' \
		-e 's#^github.com/standard-webhooks/standard-webhooks/libraries/go#standardwebhooks#' -e 's#^github.com/santhosh-tekuri/jsonschema/v6#jsonschema#' -e 's#^github.com/MicahParks/##' -e 's#^github.com/nats-io/##' -e 's#^go.opentelemetry.io/##' -e 's#^golang.org/x/time/rate#rate#' -e 's#^golang.org/x/text/secure/precis#precis#'
}

# imports PACKAGE: what the package imports itself from outside the standard library, one a line.
imports() { of "$1" 2 | grep -E "^$module/|^[^/]*\.[^/]*/" | short | sort || true; }

while IFS='|' read -r package ours others; do
	package=${package// /}
	[ -n "$package" ] || continue
	want=$(printf '%s\n' $ours $others | sed '/^$/d' | sort)
	have=$(imports "$package")
	while read -r import; do
		case $import in
		"<"*) broken "$package no longer imports ${import#< }; remove it from the table in .ci/imports.sh" ;;
		">"*) broken "$package imports ${import#> }" ;;
		esac
	done < <(diff <(echo "$want") <(echo "$have") | grep '^[<>] .' || true)
done <<<"$table"

# without PACKAGE PATTERN: nothing that the package depends on, however indirectly, matches.
without() {
	local dep
	for dep in $(of "$1" 3); do
		[[ ! $dep =~ ^($2)$ ]] || broken "$1 depends on $dep"
	done
}

# blind PACKAGE PATTERN: the package itself imports nothing that matches.
blind() {
	local import
	for import in $(of "$1" 2); do
		[[ ! $import =~ ^($2)$ ]] || broken "$1 imports $import, which it must not know"
	done
}

server='github\.com/nats-io/nats-server/.*'
support="$module/roomsvc/roomtest(/.*)?"
sdk='go\.opentelemetry\.io/otel/(sdk|exporters)(/.*)?' # of OpenTelemetry; the service knows its interface
for package in $(cut -d '|' -f 1 <<<"$graph"); do
	package=${package#"$module"/}
	case $package in
	roomsvc/roomtest | roomsvc/roomtest/* | roomsvc/faults | cmd/*) ;;
	docs/contract/generate)
		without "$package" "$server"
		blind "$package" 'github\.com/nats-io/.*|github\.com/santhosh-tekuri/.*' ;;
	docs | docs/* | examples/*) without "$package" "$server" ;;
	*)
		grep -qE "^$package +\|" <<<"$table" || broken "$package has no row in the table; give it one in .ci/imports.sh"
		without "$package" "$server|$support|$sdk" ;;
	esac
done
for package in $(cut -d '|' -f 1 <<<"$graph" | grep -E "^$module/(cmd|docs|examples)"); do
	blind "${package#"$module"/}" "$support"
done

# What make run builds has nothing of what only traces need.
for dep in $(go list -deps -tags notraces ./cmd/roomd); do
	[[ ! $dep =~ ^(google\.golang\.org/grpc|go\.opentelemetry\.io/otel/(sdk|exporters)|github\.com/grpc-ecosystem)(/.*)?$ ]] || broken "cmd/roomd with the tag notraces depends on $dep"
done

# The core knows no clock, network, randomness, context, log or file.
blind roomsvc/room 'context|crypto/.*|io/.*|log(/.*)?|math/rand(/v2)?|net(/.*)?|os(/.*)?|sync(/.*)?|syscall|time'
for package in subjects events roomsvc/room; do
	without "$package" 'github\.com/nats-io/.*|net|net/http|crypto/tls'
done

# literals WHERE PATTERN: outside tests and WHERE, no string in Go code starts with PATTERN.
literals() {
	local hit
	while read -r hit; do
		broken "$hit: only $1/ may spell this out"
	done < <(find . -name '*.go' ! -name '*_test.go' ! -path "./$1/*" -exec grep -nE "[\"\`]($2)" {} + || true)
}
literals subjects 'room\.(cmd|evt|msg|state|feed|open|journal|msgjournal|sync)\b|\$KV\.|KV_room'
literals events 'io\.natsrooms\.'

exit $failed
