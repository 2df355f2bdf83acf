#!/usr/bin/env bash
# The main job on embedded defaults: a private PostgreSQL, an embedded Kafka, a labelled stream, rules that one
# person signed, the engine, the alert queue and one alert explained. `demo.sh demo` does it once and cleans up;
# `demo.sh up` keeps it running, `demo.sh down` stops it. Everything lives under build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

muster=${MUSTER:-build/muster}
home=build/demo
events=${DEMO_EVENTS:-50000}
partitions=3
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
note() { printf '   %s\n' "$*"; }

stop_process() { # PIDFILE WHAT: ends what this script started, and only that
  local file=$1 pid
  [ -f "$file" ] || return 0
  pid=$(cat "$file")
  if [ -d "/proc/$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q muster; then
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
    [ -d "/proc/$pid" ] && kill -9 "$pid" 2>/dev/null || true
  fi
  rm -f "$file"
}

down() {
  stop_process "$home/engine.pid"
  stop_process "$home/kafka.pid"
  [ -d "$home/postgres" ] && docker/postgres.sh stop "$home/postgres" >/dev/null 2>&1 || true
}

wait_for() { # SECONDS COMMAND…: until the command is true
  local left=$(($1 * 10)); shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 0.1
  done
}

write_settings() {
  cat >"$home/muster.yaml" <<YAML
# Written by docker/demo.sh; every setting is explained in engine/SETTINGS.md.
kafka_brokers: "$(cat "$home/kafka.address")"
kafka_topics:
  payments.bank-1: bank-1
  payments.bank-2: bank-2
postgres_dsn: "$(docker/postgres.sh dsn "$home/postgres")"
rules_keys: $home/trusted
rules_signatures: 1
rates_file: rules/packs/rates.csv
state_dir: $home/state
log_dir: $home/log
log_key_dir: $home/keys
master_key_file: $home/master.key
threads: 2
http_port: 0
YAML
}

start_servers() {
  say "1. A private PostgreSQL and an embedded Kafka on loopback (under $home)"
  docker/postgres.sh start "$home/postgres" >"$home/postgres.log" 2>&1 ||
    { cat "$home/postgres.log" >&2; return 1; }
  note "PostgreSQL: $(docker/postgres.sh dsn "$home/postgres")"
  "$muster" mock-kafka --topic "payments.bank-1:$partitions" --topic "payments.bank-2:$partitions" \
    --port-file "$home/kafka.address" >"$home/kafka.log" 2>&1 &
  echo $! >"$home/kafka.pid"
  wait_for 20 test -s "$home/kafka.address" || { cat "$home/kafka.log" >&2; return 1; }
  note "Kafka:      $(cat "$home/kafka.address"), topics payments.bank-1 and payments.bank-2"
  write_settings
  "$muster" db migrate --config "$home/muster.yaml" | sed 's/^/   /'
}

feed_stream() {
  say "2. Three labelled months of payments from two banks, with planted schemes and innocent look-alikes"
  "$muster" gen --events "$events" --seed 7 --sources 2 --out "$home/stream.ndjson" --labels "$home/labels.csv" | sed 's/^/   /'
  "$muster" feed --config "$home/muster.yaml" "$home/stream.ndjson"
}

start_engine() { # with the shipped rules, which one person signs and hands over through PostgreSQL
  say "3. The engine: Kafka -> rules on 2 threads -> PostgreSQL"
  local answer=$home/rules.answer asking
  mkdir "$home/trusted"
  cp -r rules/packs/trafficking "$home/rules"
  "$muster" rules keygen "$home/desk" >/dev/null
  mv "$home/desk.pub" "$home/trusted/"
  "$muster" rules sign "$home/rules" --key "$home/desk.key" | sed 's/^/   /'
  "$muster" rules load "$home/rules" --config "$home/muster.yaml" --wait 60 >"$answer" 2>&1 &
  asking=$!
  wait_for 20 grep -q request "$answer" || { cat "$answer" >&2; return 1; }
  "$muster" run --config "$home/muster.yaml" >"$home/engine.out" 2>"$home/engine.log" &
  echo $! >"$home/engine.pid"
  wait "$asking" || { cat "$answer" "$home/engine.log" >&2; return 1; }
  sed 's/^/   /' "$answer"
}

drained() { # every message that was fed has a stored position
  local stored
  stored=$("$muster" db status --config "$home/muster.yaml" --json | tr ',{}' '\n' | sed -n 's/.*"next_offset": *\([0-9]*\).*/\1/p' |
    awk '{s += $1} END {print s + 0}')
  [ "$stored" -ge "$(wc -l <"$home/stream.ndjson")" ]
}

show_alerts() {
  say "4. The alert queue"
  "$muster" alerts list --config "$home/muster.yaml"
  local id
  id=$("$muster" alerts list --config "$home/muster.yaml" --json | sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' | head -n 1)
  [ -n "$id" ] || { echo "no alert was raised" >&2; return 1; }
  say "5. One alert, explained in full"
  "$muster" alerts show --config "$home/muster.yaml" "$id"
}

up() {
  down
  rm -rf "$home"
  mkdir -p "$home"
  start_servers
  feed_stream
  start_engine
  wait_for 120 drained || { tail -n 20 "$home/engine.log" >&2; return 1; }
  note "$(wc -l <"$home/stream.ndjson") messages scored and committed"
  show_alerts
}

case "${1:-demo}" in
demo)
  trap down EXIT
  up
  say "Done. The engine, Kafka and PostgreSQL that this started are stopped; 'make up' keeps them running."
  ;;
up)
  up
  say "Running. Settings: $home/muster.yaml. Try: $muster alerts list --config $home/muster.yaml; then 'make down'."
  note "Rules of your own: muster rules load; whose keys count lies in $home/trusted (rules/README.md)."
  ;;
down) down ;;
*)
  echo "usage: $0 demo|up|down" >&2
  exit 2
  ;;
esac
