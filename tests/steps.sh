# What tests/run is made of: setting the machine up, running steps, counting tests, and the list at the end.
# shellcheck shell=bash

tiers=(quick clients campaigns)

# Debian packages: tools, a browser, and the servers that the load tester is tried against.
packages=(gcc curl git openssl python3 python3-venv chromium nats-server nginx-light libnginx-mod-nchan mosquitto
  python3-socketio python3-aiohttp node-ws protobuf-compiler libprotobuf-dev e2fsprogs mount util-linux libfaketime
  valgrind)

# Without them nothing can be tried: a machine that does not get them ends the run.
install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if ((${#missing[@]})); then
    printf '== installing %s\n' "${missing[*]}"
    local as_root
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
      { echo "these Debian packages could not be installed: ${missing[*]}" >&2; exit 1; }
  fi
  local part
  for part in rustfmt clippy; do
    cargo "${part/rust/}" --version >/dev/null 2>&1 || rustup component add "$part" || exit 1
  done
}

# A lock file's packages, with their own install scripts; nothing when they are there already.
node_packages() { # folder
  [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] || npm --prefix "$1" ci --silent --no-fund --no-audit
}

# Runs tests; fails if they do, or if there were none. What is needed and missing may be skipped, but not where CI is set.
count() { # command...
  local log status=0 passed skipped
  log=$(mktemp)
  "$@" 2>&1 | tee "$log" || status=$?
  # The summaries of cargo and of node: "test result: ok. 5 passed; 0 failed; 1 ignored", "# pass 5", "ℹ pass 5".
  passed=$(awk '/^test result:/ { n += $4 } /^(#|ℹ) pass / { n += $3 } END { print n + 0 }' "$log")
  skipped=$(awk '/^(#|ℹ) skipped / { n += $3 } END { print n + 0 }' "$log")
  rm -f "$log"
  echo "$passed passed, $skipped skipped" >"$counted"
  if [ "$status" = 0 ] && [ "$passed" = 0 ]; then
    echo "no test was run" >&2
    status=1
  fi
  if [ -n "${CI:-}" ] && [ "$skipped" != 0 ]; then
    echo "CI is set, so no test may be skipped: $skipped were" >&2
    status=1
  fi
  return "$status"
}

count_npm() { # folder
  node_packages "$1" && count npm --prefix "$1" test --silent
}

# Runs the steps of some tiers, all of them by default, and lists how they ended.
run_tiers() { # tier...
  local tier wanted=("$@") list=() failures=0 step of name command began result seen=""
  ((${#wanted[@]})) || wanted=("${tiers[@]}")
  for tier in "${wanted[@]}"; do
    [[ " ${tiers[*]} " = *" $tier "* ]] || { echo "there is no tier '$tier': ${tiers[*]}" >&2; exit 2; }
  done
  counted=$(mktemp)
  for tier in "${wanted[@]}"; do
    for step in "${steps[@]}"; do
      IFS='|' read -r of name command <<<"$step"
      [ "${of// /}" = "$tier" ] || continue
      name=$(sed 's/ *$//; s/^ *//' <<<"$name")
      # Two tiers may need the same step.
      [[ "$seen" != *"|$name|"* ]] || continue
      seen+="|$name|"
      printf '\n== %s (%s, %s s)\n' "$name" "$tier" "$SECONDS"
      began=$SECONDS
      : >"$counted"
      # Not in a condition, where `set -e` would mean nothing.
      (set -e; eval "$command")
      if [ $? = 0 ]; then result=ok; else result=FAILED failures=$((failures + 1)); fi
      list+=("$(printf '%-6s %5s s  %-9s %s  %s' "$result" $((SECONDS - began)) "$tier" "$name" "$(cat "$counted")")")
    done
  done
  rm -f "$counted"
  printf '\n== %s\n' "tests/run ${wanted[*]}: $failures of ${#list[@]} steps failed, $SECONDS s"
  printf '%s\n' "${list[@]}"
  ((failures == 0))
}
