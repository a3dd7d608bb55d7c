# Sourced by run.sh: makes an auditor's folder and checks a verdict in it, with stock cosign where it is on the path.
folder=$OUT/auditor
mkdir -p "$folder"
cp "$OUT/vendor/published/gofmt" "$folder/gofmt"
digest=sha256:$(sha256sum "$folder/gofmt" | cut -d' ' -f1)
as audit attestation trusted-root --out "$folder"
bundle=$(as audit --output json attestation list --release go/1.26.5 --vendor gopher --subject "$digest" --type comparison |
	sed -n 's/.*"name": *"\(attestations\/[^"]*\)".*/\1/p' | head -n 1)
[ -n "$bundle" ] || die "no comparison of gofmt was found"
as audit attestation get "$bundle" --out "$folder/comparison.sigstore.json"
escrowctl attestation verify "$folder/comparison.sigstore.json" --trusted-root "$folder/trusted_root.json" \
	--key "$folder/statement.pub" --artifact "$folder/gofmt"
