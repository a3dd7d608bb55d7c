#!/usr/bin/env bash
# The main job on real input: the published Go distribution is deposited three times (as published, with one byte of a
# tool changed, and with a recipe that writes the time of day), rebuilt by the service and by a lab's own rebuilder,
# judged by three countries under three validation models, and one verdict is checked offline by an auditor.
# Needs Go and runc; installs runc where it may. Leaves what an auditor needs in demo-out/.
set -euo pipefail
cd "$(dirname "$0")/../.."
ROOT=$PWD
HERE=$ROOT/deploy/demo
OUT=${DEMO_OUT:-$ROOT/demo-out}
export GOTOOLCHAIN=local LC_ALL=C.UTF-8 TZ=UTC
umask 022

say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

. "$HERE/prerequisites.sh"
. "$HERE/releases.sh"

rm -rf "$OUT"
mkdir -p "$OUT/logs" "$OUT/vendor"
STARTED=()
stop() {
	local pid
	for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${STARTED[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap stop EXIT

say "Building escrowd and escrowctl"
go build -o "$OUT/bin/" ./services/escrowd ./services/escrowctl
PATH=$OUT/bin:$PATH

say "Starting escrowd (mTLS on a free port, everything embedded)"
escrowd serve --data "$OUT/data" --operator-country CH --listen 127.0.0.1:0 --http 127.0.0.1:0 >"$OUT/logs/escrowd.out" 2>"$OUT/logs/escrowd.log" &
STARTED+=($!)
for _ in $(seq 300); do
	grep -q '^READY' "$OUT/logs/escrowd.out" && break
	kill -0 "${STARTED[0]}" 2>/dev/null || { tail -5 "$OUT/logs/escrowd.log" >&2; die "escrowd did not start"; }
	sleep 0.1
done
cat "$OUT/logs/escrowd.out"
ADDRESS=$(sed -n 's/^LISTENING grpc //p' "$OUT/logs/escrowd.out")
OPERATOR=$(sed -n 's/^PROFILE //p' "$OUT/logs/escrowd.out")

as() { # as WHO COMMAND...: escrowctl with that organization's profile
	local who=$1
	shift
	escrowctl --profile "$OUT/profiles/$who/profile.yaml" "$@"
}

join() { # join ID KIND COUNTRY NAME: registers an organization and enrols its first member
	local token
	escrowctl --profile "$OPERATOR" organization create "$1" --kind "$2" --country "$3" --display-name "$4" >>"$OUT/logs/setup.log"
	token=$(escrowctl --profile "$OPERATOR" --output json enrol token --organization "$1" --member admin | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
	escrowctl enrol --address "$ADDRESS" --ca "$(dirname "$OPERATOR")/ca.pem" --token "$token" --profile "$OUT/profiles/$1" >>"$OUT/logs/setup.log"
}

say "Enrolling one vendor, three countries' labs and an auditor (keys made at the client, one-time tokens)"
join gopher vendor US "Publisher of the Go distribution"
join lab-fi evaluator FI "Lab of country FI"
join lab-de evaluator DE "Lab of country DE"
join lab-jp evaluator JP "Lab of country JP"
join audit auditor CH "Auditor"

escrowctl key generate --out "$OUT/vendor/release.key"
as gopher trust-anchor add --purpose release --key "$OUT/vendor/release.key.pub"
as gopher product create go --display-name "The Go distribution"
for who in lab-fi lab-de lab-jp audit; do
	as gopher grant create --grantee "$who" --product go --until 90d >>"$OUT/logs/setup.log"
done

say "Three validation models"
for pair in lab-fi:signature-and-rebuild lab-de:match-only lab-jp:two-countries; do
	as "${pair%%:*}" policy set "$ROOT/deploy/policies/${pair#*:}.yaml"
done

say "Country JP starts its own rebuilder"
escrowctl key generate --out "$OUT/profiles/lab-jp/rebuild.key"
as lab-jp trust-anchor add --purpose rebuild --key "$OUT/profiles/lab-jp/rebuild.key.pub"
escrowctl rebuilder run --profile "$OUT/profiles/lab-jp/profile.yaml" --key "$OUT/profiles/lab-jp/rebuild.key" \
	--work "$OUT/lab-jp" >"$OUT/logs/rebuilder-jp.log" 2>&1 &
STARTED+=($!)

say "Every country opens its report stream"
escrowctl report board --profile "$OUT/profiles/lab-fi/profile.yaml" --profile "$OUT/profiles/lab-de/profile.yaml" \
	--profile "$OUT/profiles/lab-jp/profile.yaml" --until-decided 9 --timeout 15m 2>"$OUT/logs/board.err" &
BOARD=$!
STARTED+=("$BOARD")

say "The vendor prepares, signs and submits three releases of $TOOLCHAIN"
distribution
go_source
go_environment
for release in published altered stamped; do
	"$release"
	as gopher sign "$OUT/vendor/$release/release.yaml" --key "$OUT/vendor/release.key"
	as gopher release submit "$OUT/vendor/$release/release.yaml"
done

wait "$BOARD" || { cat "$OUT/logs/board.err" >&2; tail -5 "$OUT/logs/escrowd.log" "$OUT/logs/rebuilder-jp.log" >&2; die "not every report arrived"; }

say "Verdicts"
for version in 1.26.5 1.26.5-altered 1.26.5-stamped; do
	as gopher release verdicts "go/$version"
done
say "The auditor checks one verdict offline"
. "$HERE/audit.sh"
