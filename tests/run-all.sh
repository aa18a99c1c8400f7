#!/usr/bin/env bash
# Everything CI runs, in order; stops at the first step that fails. `make test` installs what it needs first.
# The runner's closing Summary line is printed once more at the very end.
set -euo pipefail
cd "$(dirname "$0")/.."

begun=$SECONDS
step() { printf '\n== %s (%d s so far)\n' "$*" "$((SECONDS - begun))"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

step format
cargo fmt --all --check
# What is ignored is made by a tool, and often by others: it was committed once, and looks of the tests pass it by.
made=$(git ls-files --cached --ignored --exclude-standard 2>/dev/null || true)
[ -z "$made" ] || { printf 'committed although ignored; git rm -r --cached:\n%s\n' "$made" | head -20; exit 1; }
step clippy
cargo clippy --workspace --all-targets --locked -- -D warnings
step tests
cargo nextest run --workspace --locked 2>&1 | tee "$log"
step figures
python3 tests/figures.py --from "$log"
step examples in the documentation
cargo test --doc --workspace --locked --quiet
step documentation
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
step fuzz
tests/fuzz/run.sh
step "done"
grep -E 'Summary .* tests? run: ' "$log" | tail -1
