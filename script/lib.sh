# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: the top of the tree, packages, times.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config libssl-dev libjansson-dev libsqlite3-dev
  libyaml-dev libcurl4-openssl-dev libcrypt-dev)

as_root() {
  if [[ $EUID == 0 ]]; then "$@"; else sudo "$@"; fi
}

retry() {
  local n
  for n in 1 2 3 4 5; do
    "$@" && return 0
    echo "$1 failed (try $n), again in $((n * 2)) s" >&2
    sleep $((n * 2))
  done
  return 1
}

# Quiet: what it says is shown when it failed.
apt() {
  local log code=0
  log=$(mktemp)
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@" >"$log" 2>&1 || code=$?
  ((code == 0)) || tail -n 40 "$log" >&2
  rm -f "$log"
  return $code
}

# Servers among the packages are for the tests to start, on ports of their own: their installation
# starts none of them (invoke-rc.d asks policy-rc.d).
quietly() {
  local policy=/usr/sbin/policy-rc.d made=0 code=0
  if [[ -d /run/systemd/system && ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made=1
  fi
  "$@" || code=$?
  ((made == 0)) || as_root rm -f "$policy"
  return $code
}

# need PACKAGE...: installs those that are missing; without any it costs one dpkg-query.
need() {
  local missing=() p
  if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: please install yourself what these packages hold: $*" >&2
    return 0
  fi
  declare -A there=()
  while read -r p; do there[${p%%:*}]=1; done < <(
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p')
  for p in "$@"; do [[ ${there[$p]:-} ]] || missing+=("$p"); done
  ((${#missing[@]})) || return 0
  echo "installing: ${missing[*]}" >&2
  retry apt update
  quietly retry apt install --no-install-recommends "${missing[@]}"
}

jobs_n() { nproc 2>/dev/null || echo 2; }
