#!/usr/bin/env bash
# A private PostgreSQL cluster in a folder: start DIR | stop DIR | dsn DIR | kill DIR.
# Listens on a free port of 127.0.0.1 and on a socket in DIR. As root it runs as an unprivileged user.
# It never touches another cluster.
set -euo pipefail

verb=${1:-} dir=${2:-}
[ -n "$verb" ] && [ -n "$dir" ] || { echo "usage: $0 start|stop|dsn|kill DIR" >&2; exit 2; }
case "$dir" in /*) ;; *) dir=$PWD/$dir ;; esac
data=$dir/data
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "PostgreSQL's server programs are not installed (package postgresql-15)" >&2; exit 3; }

as_user() { # runs a command as the cluster's owner
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid="$(id -u "$owner")" --regid="$(id -g "$owner")" --clear-groups env HOME="$dir" "$@"
  else
    "$@"
  fi
}
owner=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
  owner=nobody
  id postgres >/dev/null 2>&1 && owner=postgres
fi

free_port() {
  python3 - <<'PY' 2>/dev/null || echo $((20000 + RANDOM % 20000))
import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])
PY
}

# The socket lies in a short folder of its own: its path may be 107 bytes long at most.
socket_dir() { cat "$dir/socket"; }

make_cluster() {
  mkdir -p "$dir"
  if [ "$(id -u)" -eq 0 ]; then
    # the owner must reach the folder through its parents, which may be closed to it
    local at=$dir
    while [ "$at" != / ]; do
      as_user test -x "$at" || { dir_is_closed=$at; }
      at=$(dirname "$at")
    done
    if [ -n "${dir_is_closed:-}" ]; then
      data=$(mktemp -d /tmp/muster-pg.XXXXXX)/data
      chown "$owner" "$(dirname "$data")"
    else
      mkdir -p "$data"
      chown "$owner" "$data"
      chmod 700 "$data"
    fi
  fi
  echo "$data" >"$dir/data.path"
  mktemp -d /tmp/muster-sock.XXXXXX >"$dir/socket"
  [ "$(id -u)" -ne 0 ] || chown "$owner" "$(socket_dir)"
  as_user "$bin/initdb" -D "$data" -U muster -A trust -E UTF8 --locale=C --no-sync >/dev/null
  free_port >"$dir/port"
}

settings() {
  cat <<CONF
listen_addresses = '127.0.0.1'
port = $(cat "$dir/port")
unix_socket_directories = '$(socket_dir)'
fsync = ${PG_FSYNC:-on}
shared_buffers = ${PG_SHARED_BUFFERS:-64MB}
max_connections = 30
max_wal_size = 512MB
log_min_messages = warning
restart_after_crash = on
CONF
}

start() {
  [ -f "$dir/data.path" ] || make_cluster
  data=$(cat "$dir/data.path")
  [ -d "$(socket_dir)" ] || { mkdir -p "$(socket_dir)"; [ "$(id -u)" -ne 0 ] || chown "$owner" "$(socket_dir)"; }
  for _ in 1 2 3 4 5; do
    settings | as_user tee "$data/postgresql.auto.conf" >/dev/null
    if as_user "$bin/pg_ctl" -D "$data" -w -t 30 -l "$data/server.log" start >/dev/null 2>&1; then
      "$bin/psql" -X -q -h "$(socket_dir)" -p "$(cat "$dir/port")" -U muster -d postgres -tAc \
        "select 1 from pg_database where datname = 'muster'" | grep -q 1 ||
        "$bin/createdb" -h "$(socket_dir)" -p "$(cat "$dir/port")" -U muster muster
      return 0
    fi
    as_user "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1 && return 0
    grep -q "could not bind\|Address already in use" "$data/server.log" && free_port >"$dir/port"
    sleep 0.3
  done
  tail -n 20 "$data/server.log" >&2
  return 1
}

case "$verb" in
start) start ;;
stop)
  [ -f "$dir/data.path" ] || exit 0
  data=$(cat "$dir/data.path")
  as_user "$bin/pg_ctl" -D "$data" -m fast -w -t 30 stop >/dev/null 2>&1 || true
  rm -rf "$(socket_dir)"
  case "$data" in /tmp/muster-pg.*) rm -rf "$(dirname "$data")" "$dir/data.path" "$dir/port" ;; esac
  ;;
kill)
  data=$(cat "$dir/data.path")
  pid=$(head -n 1 "$data/postmaster.pid")
  kill -9 "$pid"
  # gone, or a zombie that nobody reaps: either way its lock file means nothing any more
  for _ in $(seq 50); do
    case "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null || echo Z)" in Z*) break ;; esac
    sleep 0.05
  done
  rm -f "$data/postmaster.pid"
  ;;
dsn) echo "host=127.0.0.1 port=$(cat "$dir/port") user=muster dbname=muster" ;;
*) echo "usage: $0 start|stop|dsn|kill DIR" >&2; exit 2 ;;
esac
