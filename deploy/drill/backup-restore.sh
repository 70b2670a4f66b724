#!/usr/bin/env bash
# A drill for operators: users come and go, the streams are backed up meanwhile, the store is
# deleted, the backup restored, and what is there then is compared with what was there. It uses a
# roomd and a store of its own, on free ports of this machine, and leaves nothing behind.
# make drill builds what it needs; docs/operations.md says what it shows.
set -euo pipefail
bin=$(cd "$(dirname "$0")/../../bin" && pwd)
for tool in roomd roomctl nats nats-server; do
	[ -x "$bin/$tool" ] || { echo "$bin/$tool is missing; run make drill" >&2; exit 2; }
done
work=$(mktemp -d)
server='' # process that stores, roomd or nats-server
guests='' # process that has users come and go
finish() {
	for process in $guests $server; do
		kill "$process" 2>/dev/null && wait "$process" || true
	done
	rm -rf "$work"
}
trap finish EXIT

say() { echo "== $*"; }
fail() {
	echo "FAILED: $*" >&2
	tail -n 20 "$work"/*.log >&2
	exit 1
}
# within SECONDS COMMAND: until the command succeeds.
within() {
	local left=$(($1 * 10))
	shift
	until "$@"; do
		[ $((left -= 1)) -gt 0 ] || fail "waited too long for: $*"
		sleep 0.1
	done
}
rooms() { "$bin/roomctl" -s "$url" "$@"; }
streams() { XDG_CONFIG_HOME=$work "$bin/nats" -s "$url" "$@"; }
stop() {
	kill "$server"
	wait "$server" || fail "it did not stop in order"
	server=''
}
start_roomd() {
	"$bin/roomd" --port -1 --store-dir "$work/store" >"$work/ready" 2>>"$work/roomd.log" &
	server=$!
	within 60 grep -q '^ready ' "$work/ready"
	url=$(cut -d' ' -f2 "$work/ready")
}
# start_server: a NATS server without roomd, on roomd's store.
start_server() {
	"$bin/nats-server" --addr 127.0.0.1 --port -1 --jetstream --store_dir "$work/store" --ports_file_dir "$work" >>"$work/server.log" 2>&1 &
	server=$!
	within 60 test -s "$work/nats-server_$server.ports"
	url=$(grep -o 'nats://[0-9.:]*' "$work/nats-server_$server.ports" | head -n 1)
}
# look: what has to be there again after the restore.
look() {
	rooms members lobby
	rooms history lobby --count 0
	rooms history lobby --count 0 --messages
}
come_and_go() {
	while :; do
		rooms enter busy --as guest >/dev/null 2>&1 || true
		rooms leave busy --as guest >/dev/null 2>&1 || true
	done
}

say "a roomd with some rooms, and users who come and go"
start_roomd
rooms enter lobby --as alice --destroy-delay 3600 >/dev/null
rooms enter lobby --as bob >/dev/null
for n in 1 2 3; do rooms send lobby "message $n" --as alice >/dev/null; done
rooms block eve >/dev/null
come_and_go &
guests=$!
within 30 rooms get busy >/dev/null 2>&1

say "a backup while they do, the bucket of rooms first"
for stream in KV_rooms ROOMS ROOM_MESSAGES KV_room_blocks; do
	streams backup stream --no-progress "$stream" "$work/backup/$stream" >>"$work/nats.log" 2>&1 || fail "the backup of $stream"
done
look >"$work/before"

say "what comes later is to be lost"
rooms enter lobby --as late >/dev/null
rooms send lobby "a late message" --as late >/dev/null
rooms create late >/dev/null
kill "$guests"
wait "$guests" 2>/dev/null || true
guests=''

say "the store is deleted"
stop
rm -rf "$work/store"

say "the backup is restored into a NATS server on the same store, without roomd"
start_server
for stream in KV_rooms ROOMS ROOM_MESSAGES KV_room_blocks; do
	streams backup restore stream --no-progress "$work/backup/$stream" >>"$work/nats.log" 2>&1 || fail "the restore of $stream"
done
stop

say "roomd starts on it"
start_roomd
look >"$work/after"
diff "$work/before" "$work/after" || fail "the lobby is not as it was"
grep -q 'message 3' "$work/after" || fail "the messages are gone"
rooms get late >/dev/null 2>&1 && fail "a room is there that was made after the backup"
rooms enter lobby --as eve >/dev/null 2>&1 && fail "eve is not blocked any more"
rooms enter lobby --as carol >/dev/null || fail "nobody can come in"
say "passed: rooms, members, messages and blocks are as they were at the backup, and people come in"
