#!/usr/bin/env bash
# Lists the Go files that are not formatted; fails if there are any.
set -euo pipefail

gofmt=$(go env GOROOT)/bin/gofmt # of the toolchain that go.mod names
unformatted=$(find . \( -name node_modules -o -name build -o -name .git \) -prune -o -name '*.go' -print0 | xargs -0 "$gofmt" -l)
if [[ -n $unformatted ]]; then
	echo "not formatted: gofmt -w ${unformatted//$'\n'/ }" >&2
	exit 1
fi
