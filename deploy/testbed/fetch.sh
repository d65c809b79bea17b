#!/usr/bin/env bash
# Fetches the real parts that the tests and the demo start: nginx, chromium, zsh
# and fish; and gcc, which the race detector needs.
#
#   fetch.sh [nginx] [chromium] [gcc] [zsh] [fish]      (default: all but gcc)
#
# A part that is on the PATH is left alone. nginx is unpacked from the
# distribution's package into .testbed, which needs no root and starts no
# service; the others are installed by apt when root.
# What cannot be had is said aloud with the line that installs it. That is an
# error only with CI=true, where no test may be skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
testbed=$PWD/.testbed
mkdir -p "$testbed/bin"
PATH=$testbed/bin:$PATH:/usr/sbin:/sbin
log=$testbed/fetch.log
missing=()

have() { command -v "$1" >/dev/null 2>&1; }

# refresh reads the package lists once, where they are empty and we may.
refresh() {
  [ -n "$(apt-cache madison "$1" 2>/dev/null)" ] && return 0
  [ "$(id -u)" = 0 ] && apt-get update >>"$log" 2>&1
}

# unpack_nginx takes the program out of its package: "nginx" in Debian 12 and
# later, "nginx-core" or "nginx-light" before.
unpack_nginx() {
  have apt-get && have dpkg-deb || return 1
  refresh nginx || return 1
  local work=$testbed/nginx package
  rm -rf "$work"
  mkdir -p "$work"
  for package in nginx nginx-core nginx-light; do
    (cd "$work" && apt-get download "$package" >>"$log" 2>&1) || continue
    dpkg-deb -x "$work/$package"_*.deb "$work" >>"$log" 2>&1 || continue
    if "$work/usr/sbin/nginx" -v >>"$log" 2>&1; then
      ln -sf ../nginx/usr/sbin/nginx "$testbed/bin/nginx"
      return 0
    fi
  done
  return 1
}

# install has apt put packages on the system; package lists that are missing or
# too old are read anew.
install() {
  [ "$(id -u)" = 0 ] && have apt-get || return 1
  local try=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
  "${try[@]}" >>"$log" 2>&1 && return 0
  apt-get update >>"$log" 2>&1 && "${try[@]}" >>"$log" 2>&1
}

part() {
  case $1 in
    nginx)
      have nginx || unpack_nginx || install nginx-light || missing+=("nginx|apt-get install nginx-light") ;;
    chromium)
      have chromium || have google-chrome || install chromium || missing+=("chromium|apt-get install chromium") ;;
    gcc)
      have gcc || install gcc libc6-dev || missing+=("gcc|apt-get install gcc libc6-dev") ;;
    zsh | fish) # whose completion is tried for real
      have "$1" || install "$1" || missing+=("$1|apt-get install $1") ;;
    *)
      echo "fetch.sh: no such part: $1 (nginx, chromium, gcc, zsh, fish)" >&2
      exit 2 ;;
  esac
}

[ $# -gt 0 ] || set -- nginx chromium zsh fish
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
