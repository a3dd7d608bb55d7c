package attest

import (
	"bytes"
	"crypto"
	"fmt"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/signature"
	formats "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// checkBody compares the entry that the bundle claims with the one that its own envelope makes.
func (v *verification) checkBody() (string, error) {
	claimed := v.entry.GetCanonicalizedBody()
	want, err := newEntry(v.envelope, v.key)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(claimed, want) {
		if again, err := jsoncanonicalizer.Transform(claimed); err != nil || !bytes.Equal(again, claimed) {
			return "", fmt.Errorf("is not canonical JSON")
		}
		return "", fmt.Errorf("is not the log entry of this statement, signature and key")
	}
	return "The log entry is the canonical one of this statement, signature and key.", nil
}

func (v *verification) findLog() (string, error) {
	id := v.entry.GetLogId().GetKeyId()
	log, host, err := logOf(v.trusted, id)
	if err != nil {
		return "", err
	}
	v.log, v.out.Origin = log, host
	return fmt.Sprintf("The log is %s, which the trusted root names, under the id %x.", host, id), nil
}

// checkCheckpoint opens the signed checkpoint and compares it with what the proof says beside it.
func (v *verification) checkCheckpoint() (string, error) {
	verifier, err := signature.LoadVerifier(v.log.PublicKey, crypto.Hash(0))
	if err != nil {
		return "", err
	}
	opener, err := note.NewNoteVerifier(v.out.Origin, verifier)
	if err != nil {
		return "", err
	}
	p := v.entry.GetInclusionProof()
	v.checkpoint, _, _, err = formats.ParseCheckpoint([]byte(p.GetCheckpoint().GetEnvelope()), v.out.Origin, opener)
	if err != nil {
		return "", fmt.Errorf("was not signed by the log %s: %w", v.out.Origin, err)
	}
	if p.GetTreeSize() < 0 || uint64(p.GetTreeSize()) != v.checkpoint.Size {
		return "", fmt.Errorf("the proof speaks of a tree of %d entries, the signed checkpoint of %d", p.GetTreeSize(), v.checkpoint.Size)
	}
	if !bytes.Equal(p.GetRootHash(), v.checkpoint.Hash) {
		return "", fmt.Errorf("the proof speaks of the root hash %x, the signed checkpoint of %x", p.GetRootHash(), v.checkpoint.Hash)
	}
	v.out.TreeSize = v.checkpoint.Size
	return fmt.Sprintf("The checkpoint was signed by %s over a tree of %d entries, and has the proof's root hash.", v.out.Origin, v.checkpoint.Size), nil
}

func (v *verification) checkInclusion() (string, error) {
	p := v.entry.GetInclusionProof()
	index := v.entry.GetLogIndex()
	if index < 0 || p.GetLogIndex() != index {
		return "", fmt.Errorf("the proof is for entry %d, the log entry says %d", p.GetLogIndex(), index)
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(v.entry.GetCanonicalizedBody())
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), v.checkpoint.Size, leaf, p.GetHashes(), v.checkpoint.Hash); err != nil {
		return "", err
	}
	v.out.LogIndex = index
	return fmt.Sprintf("The entry is in the log, at index %d.", index), nil
}
