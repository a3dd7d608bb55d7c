# Sourced by run.sh: makes release folders below $OUT/vendor from the published Go distribution. Needs $HERE, this folder,
# and escrowctl on the path. Call distribution first, then the release that is wanted; altered needs published.
TOOLCHAIN=golang.org/toolchain@v0.0.1-go1.26.5.linux-amd64

# The go command downloads the module and checks it against the checksum database. Sets $module to its folder.
distribution() {
	local answer
	answer=$(cd "$OUT" && go mod download -json "$TOOLCHAIN") || { echo "could not download $TOOLCHAIN: $answer" >&2; return 1; }
	module=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$answer")
	vendor=$OUT/vendor
	mkdir -p "$vendor"
}

# Source: the module's tree without any of its compiled programs. Module files are named _go.mod in the module's form.
go_source() {
	tar -C "$module" --exclude=./bin --exclude=./pkg/tool --transform='s,/_go\.mod$,/go.mod,' \
		--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+w -cf "$vendor/go-src.tar" .
}

# Environment: the distribution's own compiler, without the tools that are to be rebuilt, as /usr/local/go.
# Its src and lib lead to the deposited source: the standard library that is compiled is the one in the release.
go_environment() {
	local toolchain=$vendor/toolchain
	mkdir -p "$toolchain/bin" "$toolchain/pkg"
	cp "$module/bin/go" "$toolchain/bin/"
	cp -r "$module/pkg/include" "$module/pkg/tool" "$toolchain/pkg/"
	cp "$module/VERSION" "$module/go.env" "$toolchain/"
	chmod -R u+w "$toolchain"
	rm "$toolchain/pkg/tool/linux_amd64/vet"
	chmod 755 "$toolchain"/bin/* "$toolchain"/pkg/tool/*/*
	ln -s /build/source/src "$toolchain/src"
	ln -s /build/source/lib "$toolchain/lib"
	escrowctl environment build --folder "$toolchain=/usr/local/go" --platform linux/amd64 --out "$vendor/go1.26.5.oci.tar"
}

# The release as published.
published() {
	mkdir -p "$vendor/published"
	cp "$module/bin/gofmt" "$module/pkg/tool/linux_amd64/vet" "$module/pkg/tool/linux_amd64/asm" "$vendor/published/"
	chmod 644 "$vendor"/published/*
	cp "$HERE/release.yaml" "$vendor/published/release.yaml"
}

# The same with one byte of vet changed.
altered() {
	local vet=$vendor/altered/vet
	cp -r "$vendor/published" "$vendor/altered"
	printf '\x90' | dd of="$vet" bs=1 seek=2000000 conv=notrunc status=none
	if cmp -s "$vendor/published/vet" "$vet"; then printf '\x91' | dd of="$vet" bs=1 seek=2000000 conv=notrunc status=none; fi
	sed -i 's/^version: .*/version: 1.26.5-altered/' "$vendor/altered/release.yaml"
}

# A recipe that writes the time of day into its output.
stamped() {
	mkdir -p "$vendor/stamped/source"
	cat >"$vendor/stamped/source/stamp.go" <<'GO'
// Writes a file that says when it was made, as many a build does.
package main

import (
	"os"
	"time"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte("built at "+time.Now().Format(time.RFC3339Nano)+"\n"), 0o644); err != nil {
		panic(err)
	}
}
GO
	tar -C "$vendor/stamped/source" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$vendor/stamped/stamp.tar" .
	(cd "$vendor/stamped/source" && GOFLAGS= go run stamp.go "$vendor/stamped/build-info.txt")
	cp "$HERE/release-stamped.yaml" "$vendor/stamped/release.yaml"
}
