#!/usr/bin/env bash
# Every fuzz target for FUZZ_SECONDS (60) each, two at a time, from the kept corpus. Prints the runs per target; exits
# 1 when a target crashed and names its input. Without cargo-fuzz and a nightly toolchain the same harnesses run under
# proptest for the same time, and the output says so. FUZZ_WITH=libfuzzer or proptest insists on one.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-60}
targets=(poll rulefile record archive stamp range)
[ $# -gt 0 ] && targets=("$@")
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

have_libfuzzer() {
  [ "${FUZZ_WITH:-}" = proptest ] && return 1
  # Also catches a toolchain that is there but cannot build.
  cargo +nightly fuzz build --fuzz-dir tests/fuzz 2>"$logs/build" && return 0
  [ "${FUZZ_WITH:-}" = libfuzzer ] && { tail -40 "$logs/build" >&2; exit 1; }
  # An error of ours is an error; only missing tools are a reason to fall back.
  if grep -qE '^error(\[E[0-9]+\])?: ' "$logs/build" &&
    ! grep -qE 'toolchain .* is not installed|no such command|is not installed' "$logs/build"; then
    tail -40 "$logs/build" >&2
    exit 1
  fi
  return 1
}

libfuzzer() { # target
  local scratch=tests/fuzz/target/corpus/$1
  mkdir -p "$scratch" "tests/fuzz/artifacts/$1"
  "tests/fuzz/target/$(rustc +nightly -vV | sed -n 's/^host: //p')/release/$1" \
    "$scratch" "tests/fuzz/corpus/$1" "-artifact_prefix=tests/fuzz/artifacts/$1/" \
    "-max_total_time=$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1
}

with_proptest() { # target
  FUZZ_SECONDS=$seconds cargo test --quiet --locked --workspace --test fuzz -- --exact "$1" --nocapture
}

one() { # target
  if "$how" "$1" >"$logs/$1" 2>&1; then
    local runs
    runs=$(sed -nE 's/^stat::number_of_executed_units: //p; s/^fuzz: .*: ([0-9]+) runs.*/\1/p' "$logs/$1" | tail -1)
    [ "${runs:-0}" -gt 0 ] || { echo "fuzz: $1: no run was counted"; tail -20 "$logs/$1"; return 1; }
    echo "fuzz: $1: $runs runs in ${seconds} s, no crash"
  else
    echo "fuzz: $1: CRASHED"
    grep -vE '^#[0-9]+\s' "$logs/$1" | tail -40
    return 1
  fi
}

if have_libfuzzer; then
  how=libfuzzer
else
  how=with_proptest
  echo "fuzz: NO LIBFUZZER HERE (cargo-fuzz or the nightly toolchain is missing): the same harnesses run under proptest," >&2
  echo "fuzz: without coverage to guide them. \`tests/setup.sh fuzz\` says what it could not install." >&2
  cargo test --quiet --locked --workspace --test fuzz --no-run
fi

# Not `wait -n` on a list: a plain pair at a time is enough and keeps every exit code.
failed=0
for ((at = 0; at < ${#targets[@]}; at += 2)); do
  pids=()
  for target in "${targets[@]:at:2}"; do
    one "$target" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
done
exit $failed
