# Sourced by run.sh: makes an auditor's folder and checks a verdict in it: by our own verifier, and by stock cosign
# where that is on the path.
folder=$OUT/auditor
mkdir -p "$folder"
cp "$OUT/vendor/published/gofmt" "$folder/gofmt"
as audit attestation trusted-root --out "$folder"
comparison=$(as audit --output json attestation list --release gopher/go/1.26.5 --type comparison --signer operator \
	--subject "sha256:$(sha256sum "$folder/gofmt" | cut -d' ' -f1)" | sed -n 's/.*"name": *"\(attestations\/[^"]*\)".*/\1/p' | head -n 1)
[ -n "$comparison" ] || die "no comparison of gofmt was found"
as audit attestation get "$comparison" --out "$folder/comparison.sigstore.json"
escrowctl attestation verify "$folder/comparison.sigstore.json" --trusted-root "$folder/trusted_root.json" \
	--key "$folder/statement.pub" --artifact "$folder/gofmt" | tee "$folder/verified.txt"

if command -v cosign >/dev/null; then
	say "Stock cosign on the same folder"
	sed -n 's/^ *\(cosign verify-blob-attestation .*\)/\1/p' "$folder/verified.txt" | tail -n 1 | sh -x
else
	say "Stock cosign is not on the path: the command line above is the one to run where it is"
fi
