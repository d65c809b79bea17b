#!/usr/bin/env bash
# A real Kafka for the tests: one node, or three, each broker and controller (KRaft),
# with all they write below one folder, listening on loopback.
#
#   kafka.sh fetch            jars by Maven into .testbed/kafka/lib
#   kafka.sh start DIR PORT   returns once it answers: PLAINTEXT on PORT, SASL on
#                             PORT+1 (PLAIN and SCRAM), SASL over TLS on PORT+2 where
#                             DIR holds broker.pem (key and certificate), controller
#                             on PORT+3; user "reader", password "reader-secret"
#   kafka.sh stop DIR         returns once the process is gone; what DIR holds stays
#   kafka.sh kill DIR         the same with kill -9
#   kafka.sh start3, stop3, kill3
#                             the same for a cluster of three: node N has the folder
#                             DIR/N and four ports from PORT+4*(N-1); topics have
#                             three replicas, two of which must have what is
#                             acknowledged; start3 starts those that do not run
#   kafka.sh node DIR PORT N  starts one node of the three again; stop DIR/N or
#                             kill DIR/N ends it
#
# With TESTBED_OWNER=PID Kafka also ends with that process, however it ends.
# What goes wrong is said aloud, with the line that helps. No container engine is
# needed: https://kafka.apache.org/documentation/#kraft_config
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
. "$repo/deploy/testbed/process.sh"
home=$repo/.testbed/kafka
version=4.1.0
log4j=2.24.3 # what Kafka 4.1.0 ships with
user=reader password=reader-secret

fetch() {
  [ -e "$home/lib/.complete" ] && return 0
  maven || return 1
  mkdir -p "$home"
  cat >"$home/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>portcullis</groupId>
  <artifactId>testbed</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$log4j</version></dependency>
  </dependencies>
</project>
POM
  if ! (cd "$home" && mvn -B -q dependency:copy-dependencies -DoutputDirectory="$home/lib") >"$home/fetch.log" 2>&1; then
    loud "MISSING: Kafka $version   Maven could not fetch its jars; try again with: deploy/testbed/kafka.sh fetch" \
      "what Maven said: .testbed/kafka/fetch.log"
    return 1
  fi
  touch "$home/lib/.complete"
}

# settings DIR PORT NODE NODES TLS writes the configuration of a node, TLS being the
# folder that may hold its certificate.
settings() {
  local dir=$1 port=$2 node=$3 nodes=$4 certificate=$5/broker.pem tls="" voters="" n
  local listeners="PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$((port + 1))"
  if [ -e "$certificate" ]; then
    tls=",SASL_SSL://127.0.0.1:$((port + 2))"
  fi
  for ((n = 1; n <= nodes; n++)); do
    voters+=${voters:+,}$n@127.0.0.1:$((port + 4 * (n - node) + 3))
  done
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
listeners=$listeners$tls,CONTROLLER://127.0.0.1:$((port + 3))
advertised.listeners=$listeners$tls
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
default.replication.factor=$nodes
min.insync.replicas=$((nodes / 2 + 1))
offsets.topic.replication.factor=$nodes
transaction.state.log.replication.factor=$nodes
transaction.state.log.min.isr=$((nodes / 2 + 1))
broker.session.timeout.ms=6000
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=8388608
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
file.delete.delay.ms=100
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
PROPERTIES
  [ ! -e "$5/acls" ] || cat >>"$dir/server.properties" <<PROPERTIES
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
PROPERTIES
  local listener mechanism
  for listener in sasl_plaintext sasl_ssl; do
    echo "listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$user=\"$password\";"
    for mechanism in scram-sha-256 scram-sha-512; do
      echo "listener.name.$listener.$mechanism.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
    done
  done >>"$dir/server.properties"
  [ -z "$tls" ] || cat >>"$dir/server.properties" <<PROPERTIES
ssl.keystore.type=PEM
ssl.keystore.location=$certificate
ssl.truststore.type=PEM
ssl.truststore.location=$5/ca.pem
listener.name.sasl_ssl.ssl.client.auth=required
PROPERTIES
}

# logging writes what Kafka says to its output: "started" is what start waits for.
logging() {
  cat >"$1/log4j2.properties" <<PROPERTIES
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
PROPERTIES
}

ready() { grep -q "Kafka Server started" "$1/out.log" && (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; }

# begin DIR PORT NODE NODES TLS starts a node and does not wait for it.
begin() {
  local dir=$1
  [ -e "$home/lib/.complete" ] || { loud "MISSING: Kafka's jars   install them with: deploy/testbed/kafka.sh fetch"; return 1; }
  running "$dir" && { loud "Kafka runs already in $dir; stop it with: deploy/testbed/kafka.sh stop $dir"; return 1; }
  mkdir -p "$dir"
  settings "$@"
  logging "$dir"
  if [ ! -e "$dir/data/meta.properties" ]; then
    java -XX:TieredStopAtLevel=1 -cp "$home/lib/*" kafka.tools.StorageTool format -t portcullisTestbed00000 -c "$dir/server.properties" \
      --add-scram "SCRAM-SHA-256=[name=$user,password=$password]" \
      --add-scram "SCRAM-SHA-512=[name=$user,password=$password]" >"$dir/format.log" 2>&1 ||
      { loud "Kafka could not format its folder:" "$(tail -5 "$dir/format.log")"; return 1; }
  fi
  launch "$dir" "${TESTBED_OWNER:-}" java -Xms128m -Xmx512m -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
    -Dlog4j2.configurationFile="$dir/log4j2.properties" -cp "$home/lib/*" kafka.Kafka "$dir/server.properties"
}

start() {
  local dir
  dir=$(made "$1")
  begin "$dir" "$2" 1 1 "$dir"
  await Kafka "$dir" ready "$dir" "$2"
}

node() {
  local dir port=$(($2 + 4 * ($3 - 1)))
  dir=$(made "$1")
  begin "$dir/$3" "$port" "$3" 3 "$dir"
  await Kafka "$dir/$3" ready "$dir/$3" "$port"
}

start3() {
  local dir port=$2 n
  dir=$(made "$1")
  for n in 1 2 3; do
    running "$dir/$n" || begin "$dir/$n" $((port + 4 * (n - 1))) $n 3 "$dir"
  done
  for n in 1 2 3; do
    await Kafka "$dir/$n" ready "$dir/$n" $((port + 4 * (n - 1))) || { kill3 "$dir"; return 1; }
  done
}

# made DIR makes a folder and says its full path.
made() { mkdir -p "$1" && (cd "$1" && pwd); }

# stop3 stops the nodes one by one. A node that is alone would wait for a quorum that
# never comes, so the last one is killed: what it acknowledged is with the others too.
stop3() {
  local dir=$1 n left
  for n in 1 2 3; do
    left=0
    ! running "$dir/1" || left=$((left + 1))
    ! running "$dir/2" || left=$((left + 1))
    ! running "$dir/3" || left=$((left + 1))
    if [ $left -gt 1 ]; then stop "$dir/$n"; else halt "$dir/$n"; fi
  done
}

kill3() { for n in 1 2 3; do halt "$1/$n"; done; }

case "${1:-}:$#" in
  fetch:1) fetch ;;
  start:3) start "$2" "$3" ;;
  stop:2) stop "$2" ;;
  kill:2) halt "$2" ;;
  start3:3) start3 "$2" "$3" ;;
  stop3:2) stop3 "$2" ;;
  kill3:2) kill3 "$2" ;;
  node:4) node "$2" "$3" "$4" ;;
  *) sed -n '2,26s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
