#!/usr/bin/env bash
# A real Keycloak for the tests of the console's login by OpenID Connect, listening on
# loopback.
#
#   keycloak.sh fetch            the server by Maven into .testbed/keycloak, built once
#   keycloak.sh start DIR PORT   returns once it answers: http://127.0.0.1:PORT/realms/ops
#   keycloak.sh stop DIR         returns once the process is gone
#
# It knows the realm of deploy/testbed/keycloak.json: the client "console" with the secret
# "console-secret", which demands PKCE, and the people vera (group watchers), otto (oncall),
# ada (leads) and nora, who is in no group; their password is their name and "-secret". For
# access tokens it knows the clients orders-batch, orders-short (tokens of a second), orders-es256, orders-hs256,
# other-batch (another API), orders-app (for people), orders, which may ask about tokens, and
# keeper, which may change the realm; their secret is their name and "-secret", too. Where DIR
# has ca.pem, server.pem and server.key, it listens for HTTPS at PORT+2 besides, and the client
# orders-bound, who shows a certificate of that name by that authority, gets tokens bound to it.
# What it keeps is in memory. With TESTBED_OWNER=PID it also ends with that process,
# however that ends. What goes wrong is said aloud, with the line that helps.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
. "$repo/deploy/testbed/process.sh"
home=$repo/.testbed/keycloak
version=26.7.3
server=$home/keycloak-$version
# What it is built with, before its start, which then takes a third of the time.
options="--db=dev-mem --health-enabled=true --https-client-auth=request"

unpacked() {
  maven || return 1
  mkdir -p "$home"
  local plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
  if ! { (cd "$home" && mvn -B -q $plugin:unpack -DoutputDirectory="$home" -Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip) &&
    chmod a+x "$server"/bin/*.sh; } >"$home/fetch.log" 2>&1; then
    loud "MISSING: Keycloak $version   Maven could not fetch it; try again with: deploy/testbed/keycloak.sh fetch" \
      "what it said: .testbed/keycloak/fetch.log"
    return 1
  fi
  rm -rf "$home/\${project.basedir}" # where the plug-in keeps a mark of what it did
}

fetch() {
  [ "$(cat "$home/.complete" 2>/dev/null)" = "$options" ] && [ -d "$server" ] && return 0
  [ -e "$home/.complete" ] && [ -d "$server" ] || unpacked || return 1
  # shellcheck disable=SC2086 # a list of options
  if ! "$server/bin/kc.sh" build $options >"$home/build.log" 2>&1; then
    loud "MISSING: Keycloak $version   it could not be built: .testbed/keycloak/build.log"
    return 1
  fi
  echo "$options" >"$home/.complete"
}

ready() {
  local answer
  answer=$( (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET /realms/ops/.well-known/openid-configuration HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$1" >&3
    timeout 5 cat <&3
  ) 2>/dev/null) || return 1
  [[ $answer == "HTTP/1."?" 200"* ]]
}

start() {
  local dir=$1 port=$2
  [ -e "$home/.complete" ] || { loud "MISSING: Keycloak   install it with: deploy/testbed/keycloak.sh fetch"; return 1; }
  mkdir -p "$dir" "$server/data/import"
  dir=$(cd "$dir" && pwd)
  running "$dir" && { loud "Keycloak runs already in $dir; stop it with: deploy/testbed/keycloak.sh stop $dir"; return 1; }
  cmp -s "$repo/deploy/testbed/keycloak.json" "$server/data/import/ops-realm.json" ||
    cp "$repo/deploy/testbed/keycloak.json" "$server/data/import/ops-realm.json"
  local tls=()
  [ ! -e "$dir/ca.pem" ] || tls=(--https-port="$((port + 2))" --https-certificate-file="$dir/server.pem"
    --https-certificate-key-file="$dir/server.key" --https-trust-store-file="$dir/ca.pem")
  launch "$dir" "${TESTBED_OWNER:-}" env JAVA_OPTS="-Xms256m -Xmx512m -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.net.preferIPv4Stack=true" \
    "$server/bin/kc.sh" start --optimized --import-realm --http-enabled=true --http-host=127.0.0.1 --http-port="$port" \
    --hostname="http://127.0.0.1:$port" --http-management-port="$((port + 1))" --cache=local "${tls[@]}"
  await Keycloak "$dir" ready "$port"
}

case "${1:-}:$#" in
  fetch:1) fetch ;;
  start:3) start "$2" "$3" ;;
  stop:2) stop "$2" ;;
  *) sed -n '2,19s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
