#!/usr/bin/env bash
# Runs a command and fails if it changed, made or removed a file that git does
# not ignore.
set -euo pipefail

# state prints the name and hash of every file.
state() {
	git ls-files -z --cached --others --exclude-standard | sort -zu |
		while IFS= read -r -d '' file; do
			if [[ -f $file ]]; then sha256sum -- "$file"; else echo "no $file"; fi
		done
}

before=$(state)
"$@"
if ! diff <(echo "$before") <(state); then
	echo "changed by: $*" >&2
	exit 1
fi
