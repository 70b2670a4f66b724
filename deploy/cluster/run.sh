#!/bin/sh
# Runs three NATS servers and three roomd on this machine until it is interrupted, to try what
# a cluster does: kill one, and look. Usage: run.sh [DIRECTORY]
#
# Everything is kept in DIRECTORY (./cluster): logs, stores, and NAME.pid for each of n1, n2, n3,
# r1, r2 and r3. Clients connect to ports 4222, 4223 and 4224; roomd answers over HTTP at 9101,
# 9102 and 9103. CLIENT_PORTS, CLUSTER_PORTS and HTTP_PORTS are other ports, three each. NATS_SERVER
# and ROOMD are programs to use; without them they are built, which needs Go.
set -eu

mkdir -p "${1:-cluster}"
dir=$(cd "${1:-cluster}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
clients=${CLIENT_PORTS:-4222 4223 4224}
routes=${CLUSTER_PORTS:-6222 6223 6224}
https=${HTTP_PORTS:-9101 9102 9103}

if [ -z "${NATS_SERVER:-}" ] || [ -z "${ROOMD:-}" ]; then
	(cd "$here/../.." && go build -o "$dir/bin/nats-server" github.com/nats-io/nats-server/v2 && go build -o "$dir/bin/roomd" ./cmd/roomd)
fi
nats_server=${NATS_SERVER:-$dir/bin/nats-server}
roomd=${ROOMD:-$dir/bin/roomd}

umask 077
SYSTEM_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "system:$SYSTEM_PASSWORD" >"$dir/system.creds"
# In quotes, or what begins with a digit would be taken for a number.
SYSTEM_PASSWORD="\"$SYSTEM_PASSWORD\""

# each LIST N is the nth of three.
each() { echo "$1" | cut -d ' ' -f "$2"; }

ROUTES= urls=
for n in 1 2 3; do
	ROUTES="$ROUTES${ROUTES:+, }\"nats://127.0.0.1:$(each "$routes" $n)\""
	urls="$urls${urls:+,}nats://127.0.0.1:$(each "$clients" $n)"
done
ROUTES="[ $ROUTES ]"
export ROUTES SYSTEM_PASSWORD

pids=
stop() {
	trap - EXIT INT TERM
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	wait
}
trap stop EXIT
trap 'exit 0' INT TERM

# start NAME COMMAND...: in the background, with its output in NAME.log.
start() {
	name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 &
	pids="$pids $!"
	echo $! >"$dir/$name.pid"
}

# says NAME TEXT waits until its log says so.
says() {
	until grep -q "$2" "$dir/$1.log"; do
		kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null || { echo "$1 has ended:" >&2; cat "$dir/$1.log" >&2; exit 1; }
		sleep 0.2
	done
}

for n in 1 2 3; do
	start n$n env NAME=n$n LISTEN=127.0.0.1 PORT="$(each "$clients" $n)" CLUSTER_PORT="$(each "$routes" $n)" STORE="$dir/n$n" \
		"$nats_server" -c "$here/nats.conf"
done
for n in 1 2 3; do
	says n$n 'Server is ready'
done
for n in 1 2 3; do
	start r$n env ROOMD_NATS="$urls" ROOMD_HTTP=":$(each "$https" $n)" ROOMD_IMAGE="$dir/r$n.image" ROOMD_SYSTEM_CREDS="$dir/system.creds" \
		"$roomd" --config "$here/roomd.yaml"
done
for n in 1 2 3; do
	says r$n '^ready '
done
echo "ready $urls"
wait
