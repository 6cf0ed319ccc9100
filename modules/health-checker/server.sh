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

# The life of the cell that has left for good. Another life joins again.
left=$data/left
has_left() { [ "$(cat "$left" 2>/dev/null)" = "$HOMEOSTAT_INCARNATION" ]; }

case ${1:-} in
sidecar)
  shift
  exec "$@" -port $((SERVER_PORT + 3 * (number - 1))) -- sh "$0" run
  ;;

run)
  if has_left; then
    # The sidecar starts what has ended. It is about to be told to end, too.
    trap 'exit 0' TERM INT
    while :; do
      sleep 60 &
      wait $!
    done
  fi
  if [ -z "${SERVER_JOIN:-}" ]; then
    echo "SERVER_JOIN names no server that exists: begin the first one by hand" >&2
    exit 1
  fi
  umask 077
  mkdir -p "$data"
  rm -f "$left"
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
  if has_left; then
    exit 0
  fi
  if ! "$consul" operator autopilot state | grep -q '^Healthy: *true'; then
    echo "not all servers are well: one that left now could take the majority with it" >&2
    exit 1
  fi
  trap 'rm -f "$left"; exit 1' TERM INT # the cell stays after all
  echo "$HOMEOSTAT_INCARNATION" >"$left"
  if ! "$consul" leave; then
    rm -f "$left"
    exit 1
  fi
  ;;

*)
  echo "usage: server.sh sidecar HOMEOSTAT ... | run | leave" >&2
  exit 64
  ;;
esac
