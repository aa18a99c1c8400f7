#!/usr/bin/env bash
# A poll takes no more instructions than its budget, benches/instructions.json: a short run of callgrind, the same on a loaded
# machine as on a calm one. Fails on growth of more than 5 % and names the functions that grew.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is missing; tests/setup.sh test installs it" >&2; exit 1; }
exec python3 benches/instructions.py --check
