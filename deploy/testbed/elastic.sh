#!/usr/bin/env bash
# A real Elasticsearch for the tests: one node, with all it writes below one folder,
# listening on loopback.
#
#   elastic.sh fetch           the server by Maven into .testbed/elastic
#   elastic.sh start DIR PORT [SECURITY]   returns once it answers on PORT (PORT+1 is its own)
#   elastic.sh stop DIR        returns once the process is gone; what DIR holds stays
#   elastic.sh kill DIR        the same with kill -9
#
# With SECURITY "true" it wants a login: user "elastic", password "elastic-secret";
# and TLS with client certificates where DIR holds node.pem, node.key and ca.pem.
# With TESTBED_OWNER=PID it also ends with that process, however that ends. What goes
# wrong is said aloud, with the line that helps.
#
# It is the core that Elastic publishes for the tests of plug-ins, and the module of
# ES|QL beside it: security, composable templates, bulk, search and aggregations are in
# it; data streams, ILM, ingest processors, painless and "GET /" are not. It refuses to run as root: then "nobody"
# runs it, who may read and write past the file modes, so that DIR can be anywhere.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
. "$repo/deploy/testbed/process.sh"
home=$repo/.testbed/elastic
version=8.19.21
server=$home/elasticsearch-$version
user=elastic password=elastic-secret
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

fetch() {
  [ -e "$home/.complete" ] && [ -d "$server/modules/x-pack-esql" ] && return 0
  maven || return 1
  mkdir -p "$home"
  if ! (cd "$home" && mvn -B -q $plugin:unpack -DoutputDirectory="$home" \
    -Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip) >"$home/fetch.log" 2>&1; then
    loud "MISSING: Elasticsearch $version   Maven could not fetch it; try again with: deploy/testbed/elastic.sh fetch" \
      "what Maven said: .testbed/elastic/fetch.log"
    return 1
  fi
  rm -rf "$home/\${project.basedir}" # where the plug-in keeps a mark of what it did
  esql || return 1
  chmod -R a+rX "$server"
  chmod a+x "$server"/bin/*
  touch "$home/.complete"
}

# esql adds the module of ES|QL, which the core lacks. Of its parents, painless and machine
# learning are not published: what takes them (CATEGORIZE) fails. The library of hexagons
# has the newest version that there is.
esql() {
  local module=$server/modules/x-pack-esql part group name number
  mkdir -p "$home/esql"
  {
    printf '<project><modelVersion>4.0.0</modelVersion><groupId>portcullis</groupId><artifactId>esql</artifactId><version>1</version><dependencies>\n'
    for part in \
      org.elasticsearch.plugin:x-pack-{esql,esql-core,esql-compute,esql-compute-ann,kql,mapper-version}:$version \
      org.elasticsearch.plugin:arrow:$version org.elasticsearch:elasticsearch-dissect:$version org.elasticsearch:elasticsearch-h3:8.19.4 \
      org.apache.arrow:arrow-{vector,format,memory-core}:18.3.0 com.google.flatbuffers:flatbuffers-java:23.5.26 \
      com.fasterxml.jackson.core:jackson-{annotations,core,databind}:2.18.9 \
      org.antlr:antlr4-runtime:4.13.1 org.apache.lucene:lucene-spatial3d:9.12.2; do
      IFS=: read -r group name number <<<"$part"
      printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>' "$group" "$name" "$number"
      printf '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>\n'
    done
    printf '</dependencies></project>\n'
  } >"$home/esql/pom.xml"
  if ! (cd "$home/esql" && mvn -B -q $plugin:copy-dependencies -DoutputDirectory="$module") >>"$home/fetch.log" 2>&1; then
    loud "MISSING: ES|QL for Elasticsearch $version   Maven could not fetch it; try again with: deploy/testbed/elastic.sh fetch" \
      "what Maven said: .testbed/elastic/fetch.log"
    return 1
  fi
  cat >"$module/plugin-descriptor.properties" <<TEXT
name=x-pack-esql
description=ES|QL
version=$version
elasticsearch.version=$version
java.version=17
classname=org.elasticsearch.xpack.esql.plugin.EsqlPlugin
extended.plugins=x-pack-core
TEXT
}

# settings writes the node's configuration for a folder and a port. The disk is not
# watched: a nearly full machine would make every index read-only.
settings() {
  local dir=$1 port=$2 security=$3 file=$1/config/elasticsearch.yml
  rm -rf "$dir/config"
  mkdir -p "$dir/config" "$dir/data" "$dir/logs" "$dir/tmp"
  cp -R "$server/config/." "$dir/config/"
  cat >"$file" <<YAML
cluster.name: portcullis-testbed
node.name: node-1
node.processors: 2
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
transport.port: $((port + 1))
path.data: "$dir/data"
path.logs: "$dir/logs"
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: $security
YAML
  [ "$security" = true ] || return 0
  ! tls "$dir" || cat >>"$file" <<YAML
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: node.pem
xpack.security.http.ssl.key: node.key
xpack.security.http.ssl.certificate_authorities: ca.pem
xpack.security.http.ssl.client_authentication: required
YAML
  ! tls "$dir" || cp "$dir/node.pem" "$dir/node.key" "$dir/ca.pem" "$dir/config/"
  # The keystore survives a restart, as the password in the cluster's state does.
  if [ ! -e "$dir/elasticsearch.keystore" ]; then
    { ES_PATH_CONF=$dir/config "$server/bin/elasticsearch-keystore" create &&
      printf %s "$password" | ES_PATH_CONF=$dir/config "$server/bin/elasticsearch-keystore" add -x bootstrap.password; } \
      >"$dir/keystore.log" 2>&1 ||
      { loud "Elasticsearch made no keystore:" "$(tail -5 "$dir/keystore.log")"; return 1; }
    mv "$dir/config/elasticsearch.keystore" "$dir/"
  fi
  cp "$dir/elasticsearch.keystore" "$dir/config/"
}

tls() { [ -e "$1/node.pem" ]; }

# ready asks for the cluster's health. Where that takes TLS and a login, a port that
# is open must do: it is opened when everything else is done.
ready() {
  local dir=$1 port=$2 login answer
  if [ "$3" = true ] && tls "$dir"; then
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
    return
  fi
  login=$(printf %s "$user:$password" | base64)
  answer=$( (
    exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
    printf 'GET /_cluster/health?wait_for_status=yellow&timeout=1s HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n' "$login" >&3
    timeout 5 cat <&3
  ) 2>/dev/null) || return 1
  [[ $answer == "HTTP/1."?" 200"* ]]
}

start() {
  local dir=$1 port=$2 security=$3 as=()
  [ -e "$home/.complete" ] || { loud "MISSING: Elasticsearch   install it with: deploy/testbed/elastic.sh fetch"; return 1; }
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  running "$dir" && { loud "Elasticsearch runs already in $dir; stop it with: deploy/testbed/elastic.sh stop $dir"; return 1; }
  ES_JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
  export ES_JAVA_HOME
  unset JAVA_HOME
  settings "$dir" "$port" "$security"
  if [ "$(id -u)" = 0 ]; then
    chown -R nobody "$dir/config" "$dir/data" "$dir/logs" "$dir/tmp"
    as=(setpriv --reuid=nobody --clear-groups --securebits=+no_setuid_fixup --inh-caps=+dac_override --ambient-caps=+dac_override)
  fi
  # It lives for minutes, and mostly starts: the quick compiler alone takes a third off
  # the CPU time of that. What is measured gets both.
  local compiler=-XX:TieredStopAtLevel=1
  [ -z "${PORTCULLIS_BENCH:-}" ] || compiler=-XX:+TieredCompilation
  # The folder is named on the command line, so that one can see whose process it is.
  launch "$dir" "${TESTBED_OWNER:-}" "${as[@]}" env ES_PATH_CONF="$dir/config" ES_TMPDIR="$dir/tmp" HOME="$dir/tmp" \
    CLI_JAVA_OPTS="-XX:TieredStopAtLevel=1 -XX:-UsePerfData" \
    ES_JAVA_OPTS="-Xms512m -Xmx512m $compiler -XX:-UsePerfData -XX:ErrorFile=$dir/logs/jvm.log -Xlog:disable" \
    "$server/bin/elasticsearch"
  await Elasticsearch "$dir" ready "$dir" "$port" "$security"
}

case "${1:-}:$#" in
  fetch:1) fetch ;;
  start:3) start "$2" "$3" false ;;
  start:4) start "$2" "$3" "$4" ;;
  stop:2) stop "$2" ;;
  kill:2) halt "$2" ;;
  *) sed -n '2,19s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
