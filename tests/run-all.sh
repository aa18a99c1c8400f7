#!/usr/bin/env bash
# Everything CI runs, in order; stops at the first failure. `make test` installs what it needs first.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step format
cargo fmt --all --check
step clippy
cargo clippy -p huidu-core --lib --locked -- -D warnings
step tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo nextest run --workspace --locked --no-fail-fast 2>&1 | tee "$log"
step documentation
cargo test --doc --workspace --locked --quiet
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
# The runner's own closing line, once more at the end.
grep -E 'Summary .* tests? run: ' "$log" | tail -1
