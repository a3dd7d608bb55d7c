package intake

import (
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/pjbgf/sha1cd"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// objectID is the id of one git object in both of git's object formats.
type objectID struct {
	sha1   [20]byte
	sha256 [32]byte
}

// objectHash computes both ids in one pass. Its SHA-1 detects the known ways to make collisions.
type objectHash struct {
	sha1   sha1cd.CollisionResistantHash
	sha256 hash.Hash
}

func newObjectHash() *objectHash {
	return &objectHash{sha1: sha1cd.New().(sha1cd.CollisionResistantHash), sha256: sha256.New()}
}

// begin starts an object of that type and size.
func (h *objectHash) begin(kind string, size int64) {
	h.sha1.Reset()
	h.sha256.Reset()
	fmt.Fprintf(h, "%s %d\x00", kind, size)
}

// Write adds content. It does not fail.
func (h *objectHash) Write(p []byte) (int, error) {
	if n, err := h.sha1.Write(p); err != nil {
		return n, err
	}
	return h.sha256.Write(p)
}

// end returns the ids; at names the object in errors.
func (h *objectHash) end(at string) (objectID, error) {
	var id objectID
	sum, collision := h.sha1.CollisionResistantSum(nil)
	if collision {
		return id, fault.Invalidf(member(at, -1), "is part of a SHA-1 collision attack")
	}
	copy(id.sha1[:], sum)
	h.sha256.Sum(id.sha256[:0])
	return id, nil
}

// object returns the ids of an object held whole.
func (h *objectHash) object(at, kind string, content []byte) (objectID, error) {
	h.begin(kind, int64(len(content)))
	if _, err := h.Write(content); err != nil {
		return objectID{}, err
	}
	return h.end(at)
}

// tree returns the ids of a tree object, whose content differs between the formats.
func (h *objectHash) tree(forSHA1, forSHA256 []byte) (objectID, error) {
	id, err := h.object("folder", "tree", forSHA1)
	if err != nil {
		return id, err
	}
	of256, err := h.object("folder", "tree", forSHA256)
	id.sha256 = of256.sha256
	return id, err
}
