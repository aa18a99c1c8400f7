#!/usr/bin/env bash
# Every fuzz target (or those named) for FUZZ_SECONDS (45) each, two at a time, from the kept corpus. Prints the runs
# per target; exits 1 when a target crashed and names its input.
#
# Three ways, the first that can be had; FUZZ_WITH=asan, coverage or proptest insists on one:
#   asan      libFuzzer on a nightly toolchain, with AddressSanitizer: what `cargo fuzz` builds
#   coverage  libFuzzer on the stable toolchain: guided by coverage, without the sanitizer (there is no unsafe code of ours)
#   proptest  the same harnesses over the same corpus, not guided by anything: where libfuzzer-sys cannot be built
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-45}
targets=(poll rulefile record archive stamp range verify paper feedback)
[ $# -gt 0 ] && targets=("$@")
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-tests/fuzz/target}/fuzz

say() { printf 'fuzz: %s\n' "$*"; }

# What cargo-fuzz hands to the compiler, so that cargo-fuzz need not be there.
flags="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions"
for flag in -level=4 -inline-8bit-counters -pc-table -trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage$flag"
done

build() { # way
  case $1 in
    asan)
      rustup run nightly rustc --version >/dev/null 2>&1 || return 1
      RUSTFLAGS="$flags -Zsanitizer=address" cargo +nightly build --release --locked --bins --target "$host" \
        --manifest-path tests/fuzz/Cargo.toml --target-dir "$target_dir/asan" ;;
    coverage)
      RUSTFLAGS="$flags" cargo build --release --locked --bins --target "$host" \
        --manifest-path tests/fuzz/Cargo.toml --target-dir "$target_dir/coverage" ;;
    proptest) cargo test --quiet --locked --workspace --test fuzz --no-run ;;
    *) say "unknown way \`$1\`; say asan, coverage or proptest" >&2; exit 2 ;;
  esac
}

way=
for try in ${FUZZ_WITH:-asan coverage proptest}; do
  if build "$try" 2>"$logs/build"; then way=$try; break; fi
  say "cannot build with \`$try\` here:" >&2
  tail -15 "$logs/build" >&2
  # What does not build at all is our mistake, and no reason to look less closely.
  if [ "$try" = coverage ] && ! grep -q libfuzzer "$logs/build"; then exit 1; fi
done
[ -n "$way" ] || exit 1
case $way in
  asan) say "libFuzzer with AddressSanitizer, $seconds s for each target" ;;
  coverage) say "NO NIGHTLY TOOLCHAIN HERE: libFuzzer guided by coverage, but WITHOUT AddressSanitizer, $seconds s for each target" ;;
  proptest) say "NO LIBFUZZER HERE: the same harnesses run under proptest, NOT GUIDED BY COVERAGE, $seconds s for each target" ;;
esac

run() { # target
  if [ "$way" = proptest ]; then
    FUZZ_SECONDS=$seconds cargo test --quiet --locked --workspace --test fuzz -- --exact "$1" --nocapture
    return
  fi
  # What is found goes to a scratch folder; the kept corpus is only read.
  local found=$target_dir/corpus/$1
  # An answer with its papers is longer than anything else that is read here.
  local longest=4096
  [ "$1" = verify ] && longest=8192
  mkdir -p "$found" "tests/fuzz/artifacts/$1"
  "$target_dir/$way/$host/release/$1" "$found" "tests/fuzz/corpus/$1" "-artifact_prefix=tests/fuzz/artifacts/$1/" \
    "-max_total_time=$seconds" "-max_len=$longest" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
}

one() { # target
  if run "$1" >"$logs/$1" 2>&1; then
    local runs
    runs=$(sed -nE 's/^stat::number_of_executed_units: //p; s/^fuzz: .*: ([0-9]+) runs.*/\1/p' "$logs/$1" | tail -1)
    if [ "${runs:-0}" -gt 0 ]; then
      say "$1: $runs runs in $seconds s, no crash"
      return
    fi
    say "$1: NO RUN WAS COUNTED"
  else
    say "$1: CRASHED"
  fi
  grep -vE '^(#[0-9]+\s|INFO)' "$logs/$1" | grep -vE '^ +#[0-9]+ 0x' | tail -40
  return 1
}

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
