#!/usr/bin/env bash
# The whole pipeline on one machine, for a person to look at: an NGINX before a small
# API, Kafka, Elasticsearch, and Portcullis as separate processes: collect, detect
# twice, enforce, console; then ordinary clients and attackers. Ctrl-C stops all.
#
#   stack.sh            all of it; needs bin/portcullis ("make build")
#   stack.sh services   Kafka, Elasticsearch and the site with its traffic only
#
# Ports of loopback: STACK_KAFKA (9092 and three more), STACK_ELASTIC (9200, 9201) and
# STACK_CONSOLE (8470; the other roles follow). Everything is in STACK_DIR
# (.testbed/stack), which is emptied at the start and kept at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/testbed/process.sh
dir=${STACK_DIR:-$PWD/.testbed/stack}
kafka=${STACK_KAFKA:-9092} elastic=${STACK_ELASTIC:-9200} console=${STACK_CONSOLE:-8470}
export TESTBED_OWNER=$$
export PATH=$PWD/.testbed/bin:$PATH:/usr/sbin:/sbin
roles=() # folders of what runs beside the services

# begin NAME COMMAND... starts something beside the services.
begin() {
  mkdir -p "$dir/$1"
  roles+=("$dir/$1")
  launch "$dir/$1" $$ "${@:2}"
}

# finish stops what was started, the clients first and Kafka last.
finish() {
  trap - EXIT
  trap '' INT TERM
  echo "stack: stopping"
  local i
  for ((i = 0; i < ${#roles[@]}; i++)); do stop "${roles[i]}"; done
  deploy/testbed/elastic.sh stop "$dir/elastic"
  deploy/testbed/kafka.sh stop "$dir/kafka"
  echo "stack: all stopped; what they said and wrote is in $dir"
}

# until_true SECONDS COMMAND... waits, while everything that was begun runs.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    alive || return 1
    [ $SECONDS -lt $deadline ] || { loud "waited too long for: $*"; return 1; }
    sleep 0.2
  done
}

# alive says what ended by itself.
alive() {
  local one ok=0
  for one in "${roles[@]}" "$dir/kafka" "$dir/elastic"; do
    running "$one" && continue
    loud "${one##*/} ended; its last words ($one/out.log):" "$(tail -n 5 "$one/out.log")"
    ok=1
  done
  return $ok
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

# settings fills the template in.
settings() {
  local text name
  text=$(<deploy/testbed/stack.yaml)
  . "$dir/site.env"
  KAFKA=127.0.0.1:$kafka ELASTIC=http://127.0.0.1:$elastic
  for name in KAFKA ELASTIC SITE_LOG SITE_CONF SITE_INCLUDE SITE_PID SITE_NGINX; do
    text=${text//@$name@/${!name}}
  done
  printf '%s\n' "$text" >"$dir/portcullis.yaml"
}

# role NAME PORT COMMAND starts Portcullis in a role. All have the same installation
# key: they must agree on who a client is.
role() {
  mkdir -p "$dir/$1/state"
  cp -p "$dir/installation.key" "$dir/$1/state/"
  begin "$1" env PORTCULLIS_STATE_DIR="$dir/$1/state" PORTCULLIS_CONSOLE_LISTEN="127.0.0.1:$2" \
    bin/portcullis "$3" -c "$dir/portcullis.yaml"
}

portcullis() {
  (umask 077 && od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$dir/installation.key")
  role collect $((console + 1)) collect
  role detect-1 $((console + 2)) detect
  role detect-2 $((console + 3)) detect
  role enforce $((console + 4)) enforce
  role console "$console" console
  until_true 60 listens "$console"
}

what=${1:-all}
case "$what:$#" in
  all:0 | services:1) ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
if [ "$what" = all ] && [ ! -x bin/portcullis ]; then
  loud "MISSING: bin/portcullis   build it with: make build"
  exit 1
fi
rm -rf "$dir"
mkdir -p "$dir"
chmod 755 "$dir"
dir=$(cd "$dir" && pwd)
trap finish EXIT
trap 'exit 130' INT TERM
go build -o "$dir/site.bin" ./deploy/testbed/site
echo "stack: starting Kafka and Elasticsearch (half a minute)"
deploy/testbed/kafka.sh start "$dir/kafka" "$kafka"
deploy/testbed/elastic.sh start "$dir/elastic" "$elastic"
begin site "$dir/site.bin" -dir "$dir" -write "$dir/site.env" -go "$dir/go"
until_true 30 test -e "$dir/site.env"
settings
[ "$what" = services ] || portcullis
touch "$dir/go"
cat <<ADDRESSES

  gateway        $SITE_URL   log $SITE_LOG
  Kafka          127.0.0.1:$kafka
  Elasticsearch  http://127.0.0.1:$elastic/_cat/indices?v
  settings       $dir/portcullis.yaml
  traffic        tail -f $dir/site/out.log
ADDRESSES
[ "$what" = services ] || cat <<ADDRESSES
  console        http://127.0.0.1:$console
  what they say  tail -f $dir/{collect,detect-1,detect-2,enforce,console}/out.log
ADDRESSES
printf '\n  Ctrl-C stops all.\n\n'
while alive; do sleep 1; done
exit 1
