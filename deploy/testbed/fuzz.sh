#!/usr/bin/env bash
# Runs every fuzz target of the tree: first its corpus as ordinary tests, then
# new inputs for FUZZTIME (default 10s) each. A target that fails does not keep
# the others from running; the exit status tells.
set -euo pipefail
cd "$(dirname "$0")/../.."
time=${FUZZTIME:-10s}
failed=()

# targets prints "folder target", one a line.
targets() {
  { grep -rEo --include='*_test.go' --exclude-dir=testdata --exclude-dir='.?*' '^func Fuzz[A-Za-z0-9_]+' . || true; } |
    sed -E 's|/[^/]*:func | |' | sort -u
}

all=$(targets)
[ -n "$all" ] || { echo "fuzz: no target in the tree"; exit 0; }
# shellcheck disable=SC2046
go test -run '^Fuzz' $(awk '{print $1}' <<<"$all" | sort -u)

# once fuzzes one target. The fuzzer of Go may call its own deadline a failure
# (golang/go#75804): that, without an input to show, is none.
once() {
  local out
  out=$(go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 5s 2>&1) && { tail -n 2 <<<"$out"; return 0; }
  if grep -q 'context deadline exceeded' <<<"$out" && ! grep -q 'Failing input written' <<<"$out"; then
    echo "fuzz: $2 ended at its deadline"
    return 0
  fi
  printf '%s\n' "$out"
  return 1
}

while read -r dir target; do
  echo "fuzz: $dir $target for $time"
  once "$dir" "$target" || failed+=("$dir $target")
done <<<"$all"
echo "fuzz: $(wc -l <<<"$all") targets, ${#failed[@]} failed"
if [ ${#failed[@]} -gt 0 ]; then
  printf 'fuzz: FAILED %s; its input is kept in testdata/fuzz of that folder: commit it with the mend\n' "${failed[@]}"
  exit 1
fi
