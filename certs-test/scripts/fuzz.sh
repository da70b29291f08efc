#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given (5s).
set -euo pipefail

seconds=${1:-5s}
targets=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

while IFS=: read -r file name; do
	package=$(dirname "$file")
	targets=$((targets + 1))
	if go test -run '^$' -fuzz "^$name\$" -fuzztime "$seconds" -fuzzminimizetime 10x "$package" >"$log" 2>&1; then
		echo "ok   $package $name"
	else
		failed=$((failed + 1))
		echo "FAIL $package $name"
		cat "$log"
	fi
done < <(find . \( -name node_modules -o -name build -o -name .git \) -prune -o -name '*_test.go' -print0 |
	xargs -0 grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/' | sort)

echo "fuzz: targets=$targets failed=$failed"
[[ $targets -gt 0 && $failed -eq 0 ]]
