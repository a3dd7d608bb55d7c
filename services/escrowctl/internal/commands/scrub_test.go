package commands

import (
	"errors"
	"strings"
	"testing"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

func TestRate(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "50MiB": 50 << 20, "1KiB/s": 1024, "7B": 7, "2GiB": 2 << 30,
		"50": -1, "50MB": -1, "MiB": -1, "-1MiB": -1, "0MiB": -1, "1.5MiB": -1, "99999999999GiB": -1} {
		got, err := rate(in)
		var usage usageError
		if want < 0 && !errors.As(err, &usage) || want >= 0 && (err != nil || got != want) {
			t.Errorf("rate(%q) = %d, %v", in, got, err)
		}
	}
}

func TestDamageLines(t *testing.T) {
	at := int64(65536)
	d := &pb.ScrubDamage{Holder: "organizations/acme", Digest: "sha256:ab", Kind: pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_DAMAGED, Offset: &at, Uses: []*pb.FileUse{
		{Release: "organizations/acme/products/widget/releases/1.0", Role: pb.FileRole_FILE_ROLE_ARTIFACT, Path: "bin/w\x1b"},
		{Release: "organizations/acme/products/widget/releases/1.1", Role: pb.FileRole_FILE_ROLE_MANIFEST}}}
	want := "DAMAGED acme/widget/1.0 ARTIFACT bin/w\\u001b sha256:ab at byte 65536\nDAMAGED acme/widget/1.1 MANIFEST - sha256:ab at byte 65536"
	if got := strings.Join(damageLines(d), "\n"); got != want {
		t.Errorf("%s", got)
	}
	unread := &pb.ScrubDamage{Kind: pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_UNREADABLE, Uses: []*pb.FileUse{{Release: "organizations/b/products/p/releases/1"}}}
	want = "MEND acme/widget/1.0: the vendor can send the files again: escrowctl release mend RELEASE.YAML|" +
		"MEND acme/widget/1.1: the vendor can send the files again: escrowctl release mend RELEASE.YAML"
	if got := strings.Join(mendLines([]*pb.ScrubDamage{d, unread, d}), "|"); got != want {
		t.Errorf("%s", got)
	}
	d.Uses, d.Offset, d.Kind = nil, nil, pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_MISSING
	if got := strings.Join(damageLines(d), "\n"); got != "MISSING acme - - sha256:ab" {
		t.Errorf("%s", got)
	}
	s := &pb.Scrub{ScrubbedBlobs: 2, ScrubbedBytes: 3, Damaged: 1}
	if got := scrubLine(s); got != "SCRUB blobs=2 bytes=3 damaged=1 missing=0" {
		t.Errorf("%s", got)
	}
	s.Unreadable, s.Unprotected = 4, 5
	if got := scrubLine(s); !strings.HasSuffix(got, " damaged=1 missing=0 unreadable=4 unprotected=5") {
		t.Errorf("%s", got)
	}
}
