#!/usr/bin/env bash
# Installs what a folder's package-lock.json names, and says in one line what to
# do when that does not work.
set -euo pipefail

dir=$1
found=$(node --version 2>/dev/null) || true
major=${found#v}
major=${major%%.*}
if [[ -z $found || $major -lt 20 ]] || ! command -v npm >/dev/null; then
	echo "signet: $dir needs Node.js 20 or newer with npm, found ${found:-none}: install it from nodejs.org or Debian 13 and put it first in PATH" >&2
	exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! (cd "$dir" && npm ci --no-audit --no-fund) >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "signet: npm ci in $dir did not work: the npm registry must be reached once" >&2
	exit 1
fi
