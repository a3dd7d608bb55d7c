# Sourced by run.sh: what the demo needs beyond Go, installed where that is possible.
command -v go >/dev/null || die "needs Go 1.26 or later on the path"
if ! command -v runc >/dev/null; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "Installing runc"
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends runc; } >/dev/null 2>&1 || true
	fi
	command -v runc >/dev/null || die "needs runc: install the package runc (Debian: apt-get install runc)"
fi
[ "$(id -u)" = 0 ] || die "needs root: the sandbox makes cgroups and mounts"
