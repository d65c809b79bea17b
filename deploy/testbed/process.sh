# What kafka.sh, elastic.sh and keycloak.sh share: a server is a process group of its own, whose
# number is in DIR/pid. Sourced, not run.

loud() {
  {
    echo "=================================================================="
    printf '  %s\n' "$@"
    echo "=================================================================="
  } >&2
}

# launch DIR OWNER COMMAND...: starts a server in a session of its own, since an
# interrupt of the caller must not end it half way. What it says goes to DIR/out.log.
# With OWNER, a guard kills the whole group once that process is gone, such as a
# test that was killed.
launch() {
  local dir=$1 owner=$2
  shift 2
  setsid "$@" >"$dir/out.log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  [ -n "$owner" ] || return 0
  setsid bash -c 'while kill -0 "$2"; do kill -0 -- "-$1" || kill -0 "$1" || exit 0; sleep 0.5; done; kill -9 -- "-$1"' \
    guard "$!" "$owner" </dev/null >/dev/null 2>&1 &
}

# running DIR: is a process of the group left? Until setsid has made the group there
# is only its first process.
running() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  kill -0 -- "-$pid" 2>/dev/null || kill -0 "$pid" 2>/dev/null
}

# stop DIR: asks the group to end, insists after 30 s, and returns once it is gone.
stop() {
  local dir=$1 pid deadline=$((SECONDS + 30))
  pid=$(cat "$dir/pid" 2>/dev/null) || return 0
  kill -- "-$pid" 2>/dev/null || true
  while running "$dir"; do
    [ $SECONDS -lt $deadline ] || kill -9 -- "-$pid" 2>/dev/null || true
    sleep 0.1
  done
  rm -f "$dir/pid"
}

# halt DIR: kill -9, as a machine that loses its power.
halt() {
  local dir=$1 pid
  pid=$(cat "$dir/pid" 2>/dev/null) || return 0
  while running "$dir"; do
    kill -9 -- "-$pid" 2>/dev/null || true
    sleep 0.05
  done
  rm -f "$dir/pid"
}

# await NAME DIR COMMAND... returns once the command succeeds. A server that ended, or
# takes longer than TESTBED_WAIT seconds (240), is killed, and its last words are said.
await() {
  local name=$1 dir=$2 deadline=$((SECONDS + ${TESTBED_WAIT:-240}))
  shift 2
  until "$@"; do
    if ! running "$dir" || [ $SECONDS -ge $deadline ]; then
      loud "$name did not start; its last words ($dir/out.log):" "$(tail -n 5 "$dir/out.log")"
      halt "$dir"
      return 1
    fi
    sleep 0.2
  done
}

# maven: is what fetches here?
maven() {
  local need
  for need in java mvn; do
    command -v "$need" >/dev/null 2>&1 && continue
    loud "MISSING: $need   install it with: apt-get install default-jre-headless maven"
    return 1
  done
}
