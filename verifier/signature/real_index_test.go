package signature_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// TestArchiveIndex has the signed index of Debian's archive: one list with several signatures, by keys of different kinds.
func TestArchiveIndex(t *testing.T) {
	folder := realThing(t, "debian", "index")
	rings := realThing(t, "debian", "keyrings")
	file := proof.Bytes(proof.Source, "Sources", read(t, folder, "Sources"))
	index := read(t, folder, "InRelease")
	at := dated(t, index).AddDate(0, 0, 1)
	all, one := keyring("archive", read(t, rings, "archive-keyring.asc")), keyring("stable", read(t, rings, "archive-bookworm-stable.asc"))
	judged := func(file proof.File, anchors ...anchor.Anchor) []finding.SignatureEvidence {
		d := deposit{at: at, anchors: anchors, file: file}
		d.sigs = []signature.Signature{{Name: "InRelease", MediaType: pgpClearsigned, Content: index}}
		return d.check(t)
	}
	t.Run("every signature counts", func(t *testing.T) {
		list := judged(file, all)
		for _, e := range list {
			counts(t, e, "archive", file)
		}
		if len(list) < 2 {
			t.Errorf("%d signatures, want those of several keys", len(list))
		}
	})
	t.Run("only one of the signers is known", func(t *testing.T) {
		known := 0
		for _, e := range judged(file, one) {
			if e.Valid {
				known++
				counts(t, e, "stable", file)
			} else {
				fails(t, e, "trust anchor")
			}
		}
		if known > 1 {
			t.Errorf("%d signatures count, by one key", known)
		}
	})
	t.Run("one bit of the listed file", func(t *testing.T) {
		for _, e := range judged(flipped(t, file, 0), all) {
			fails(t, e, "names no file of the release with its checksum")
		}
	})
}

// dated returns the date in an index.
func dated(t *testing.T, index []byte) time.Time {
	t.Helper()
	line := regexp.MustCompile(`(?m)^Date: (.*)$`).FindSubmatch(index)
	if line == nil {
		t.Fatal("the index has no date")
	}
	at, err := time.Parse(time.RFC1123, string(line[1]))
	if err != nil {
		t.Fatal(err)
	}
	return at
}
