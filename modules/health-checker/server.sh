#!/bin/sh
# One Consul server as a cell.
#
#   server.sh sidecar HOMEOSTAT ...  the first process of a cell that is a process of
#                                    this machine: finds its ports by its number
#   server.sh run                    the cell's application
#   server.sh leave                  the drain command
#
# It is told by its environment:
#   SERVER_JOIN     servers that exist, separated by blanks: what -retry-join takes
#   SERVER_CONSUL   the program consul; the one on PATH by default
#   SERVER_CONFIG   a file of Consul's configuration, such as one with its secrets
#   SERVER_DATA     the folder in which each cell has one for its data, where the
#                   sidecar names none; /var/lib/consul by default
#   SERVER_PORT     for processes of one machine: the first of three ports that each
#                   server has for itself; the ports are Consul's own without it
set -eu

consul=${SERVER_CONSUL:-consul}
number=${HOMEOSTAT_CELL##*-}
data=${HOMEOSTAT_DATA_DIRECTORY:-${SERVER_DATA:-/var/lib/consul}/$HOMEOSTAT_CELL}

# Which life of the cell leaves, with the process that sees to it, or has left. Another
# life joins again.
mark=$data/left
marked() { cat "$mark" 2>/dev/null || :; }
put() { echo "$HOMEOSTAT_INCARNATION $1" >"$mark.new" && mv "$mark.new" "$mark"; }

case ${1:-} in
sidecar)
  shift
  exec "$@" -port $((SERVER_PORT + 3 * (number - 1))) -- sh "$0" run
  ;;

run)
  # The sidecar starts what has ended, a server that leaves among it. It is about to
  # be told to end, too, unless leaving was cut.
  trap 'exit 0' TERM INT
  while :; do
    now=$(marked)
    case $now in
    "$HOMEOSTAT_INCARNATION left") ;;
    "$HOMEOSTAT_INCARNATION leaving "*) [ -d "/proc/${now##* }" ] || break ;;
    *) break ;;
    esac
    sleep 1 &
    wait $!
  done
  if [ -z "${SERVER_JOIN:-}" ]; then
    echo "SERVER_JOIN names no server that exists: begin the first one by hand" >&2
    exit 1
  fi
  umask 077
  mkdir -p "$data"
  rm -f "$mark"
  set -- -server -node "$HOMEOSTAT_CELL" -data-dir "$data" -bind "$HOMEOSTAT_ADDRESS" \
    -client "$HOMEOSTAT_ADDRESS" -http-port "$HOMEOSTAT_PORT"
  for server in $SERVER_JOIN; do
    set -- "$@" -retry-join "$server"
  done
  if [ -n "${SERVER_CONFIG:-}" ]; then
    set -- "$@" -config-format hcl -config-file "$SERVER_CONFIG"
  fi
  if [ -n "${SERVER_PORT:-}" ]; then
    set -- "$@" -serf-lan-port $((HOMEOSTAT_PORT + 1)) -server-port $((HOMEOSTAT_PORT + 2)) \
      -serf-wan-port -1 -dns-port -1 -grpc-port -1 -grpc-tls-port -1
  fi
  # One that is told to end stays a member: it comes back. It never begins a
  # cluster of its own.
  exec "$consul" agent "$@" -hcl 'leave_on_terminate = false' -hcl 'bootstrap = false' -hcl 'bootstrap_expect = 0'
  ;;

leave)
  CONSUL_HTTP_ADDR=http://$HOMEOSTAT_ADDRESS:$HOMEOSTAT_PORT
  export CONSUL_HTTP_ADDR
  if [ "$(marked)" = "$HOMEOSTAT_INCARNATION left" ]; then
    exit 0
  fi
  if ! "$consul" operator autopilot state | grep -q '^Healthy: *true'; then
    echo "not all servers are well: one that left now could take the majority with it" >&2
    exit 1
  fi
  trap 'rm -f "$mark"; exit 1' TERM INT # the cell stays after all
  put "leaving $$"
  if ! "$consul" leave; then
    rm -f "$mark"
    exit 1
  fi
  put left
  ;;

*)
  echo "usage: server.sh sidecar HOMEOSTAT ... | run | leave" >&2
  exit 64
  ;;
esac
