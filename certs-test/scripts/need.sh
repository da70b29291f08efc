#!/usr/bin/env bash
# Installs from Debian and npm what the tests need and this machine lacks. Where it may
# not, it says in one line what to install: the tests that need it are then
# skipped and say so, except under CI, where that is a failure.
set -euo pipefail

missing=()

# need PACKAGES COMMAND...: PACKAGES are missing unless each command is found.
need() {
	local packages=$1 command
	shift
	for command in "$@"; do
		if ! command -v "$command" >/dev/null; then
			read -ra packages <<<"$packages"
			missing+=("${packages[@]}")
			return
		fi
	done
}

# look fills missing.
look() {
	missing=()
	need "zbar-tools" zbarimg
	need "softhsm2" softhsm2-util
	need "openssl" openssl
	need "gnutls-bin" certtool
	need "curl" curl
	need "util-linux" unshare
	if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
		missing+=("chromium")
	fi
	# Pages are Chinese: a browser without its glyphs draws boxes.
	if [[ -z $(fc-list :lang=zh 2>/dev/null) ]]; then
		missing+=("fonts-wqy-microhei" "fontconfig")
	fi
	need "gcc libc6-dev" cc # PKCS#11 and the race detector need cgo
	if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
		missing+=("postgresql-15")
	fi
}

# quietly COMMAND...: shows the output only if the command fails.
quietly() {
	local log
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# install_missing installs what is missing; package lists may be old or absent.
install_missing() {
	export DEBIAN_FRONTEND=noninteractive
	local get=(apt-get -qq -o DPkg::Lock::Timeout=300)
	local install=("${get[@]}" install -y --no-install-recommends "${missing[@]}")
	"${install[@]}" >/dev/null 2>&1 || { quietly "${get[@]}" update && quietly "${install[@]}"; }
}

# modules installs what npm must, where it is not there yet. Without it, checks of
# pages and of sign-in are skipped.
modules() {
	local dir
	for dir in certs-test/web verify/scanner; do
		[[ -f $dir/package-lock.json ]] || continue
		[[ $dir/node_modules/.package-lock.json -nt $dir/package-lock.json ]] && continue
		"${BASH_SOURCE[0]%/*}/npm.sh" "$dir" || return 1
		touch "$dir/node_modules/.package-lock.json"
	done
}

ok=true
look
if [[ ${#missing[@]} -gt 0 && $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
	echo "installing for the tests: ${missing[*]}" >&2
	install_missing || true
	look
fi
if [[ ${#missing[@]} -gt 0 ]]; then
	echo "signet: the tests also need: apt-get install ${missing[*]}" >&2
	ok=false
fi
modules || ok=false
$ok || [[ -z ${CI:-} ]]
