#!/usr/bin/env bash
# Says in one line what to do when the local Go cannot fetch the toolchain that
# go.mod names.
set -euo pipefail

found=$(GOTOOLCHAIN=local go version 2>/dev/null | awk '{ print $3 }') || true
minor=$(sed -nE 's/^go1\.([0-9]+).*/\1/p' <<<"$found")
if [[ -z $found ]]; then
	echo "signet: needs Go 1.21 or newer, found none: install it from go.dev/dl and put it first in PATH" >&2
	exit 1
fi
if [[ -n $minor && $minor -lt 21 ]]; then
	echo "signet: needs Go 1.21 or newer, found $found (Debian 12's own is too old): install it from go.dev/dl and put it first in PATH" >&2
	exit 1
fi
