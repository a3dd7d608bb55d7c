package catalog

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// BlobRef is a file by its content.
type BlobRef struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // bytes
}

func scanBlob(r row) (*BlobRef, error) {
	var b BlobRef
	return &b, r.Scan(digestInto(&b.Digest), &b.Size)
}

// InsertBlob records that a holder has deposited a blob, which must be whole and durable by then. Doing so again is harmless,
// and takes the mark from a blob that was damaged.
func (t *Tx) InsertBlob(holder resource.Organization, b BlobRef, now time.Time) error {
	if unmarked, err := t.unmark(Place{holder, b.Digest}, now); unmarked || err != nil {
		return err
	}
	_, err := t.exec("blob "+b.Digest.String(), `
		INSERT INTO blobs (holder, digest, size, created) VALUES ($1, $2, $3, $4) ON CONFLICT (holder, digest) DO NOTHING`,
		holder.String(), b.Digest.String(), b.Size, stamp(now))
	return err
}

// Deposited is a blob that a holder has deposited.
type Deposited struct {
	Size    int64     // bytes
	Damaged time.Time // when it was found damaged or gone; zero: it is held
}

// Deposited returns what is known of a blob that a holder has deposited.
func (t *Tx) Deposited(holder resource.Organization, d digest.Digest) (*Deposited, error) {
	return queryOne(t, fmt.Sprintf("blob %s of %s", d, holder), func(r row) (*Deposited, error) {
		var b Deposited
		return &b, r.Scan(&b.Size, timeInto(&b.Damaged))
	}, `SELECT size, damaged FROM blobs WHERE holder = $1 AND digest = $2`, holder.String(), d.String())
}

// MissingBlobs returns those of wanted that the holder has not deposited in this size or that are damaged, in their order,
// each once.
func (t *Tx) MissingBlobs(holder resource.Organization, wanted []BlobRef) ([]BlobRef, error) {
	const perQuery = 500 // below every database's bound on arguments
	seen := make(map[BlobRef]bool, len(wanted))
	for some := range slices.Chunk(wanted, perQuery) {
		held, err := t.heldBlobs(holder, some)
		if err != nil {
			return nil, err
		}
		for _, b := range held {
			seen[b] = true
		}
	}
	var missing []BlobRef
	for _, b := range wanted {
		if !seen[b] {
			seen[b] = true
			missing = append(missing, b)
		}
	}
	return missing, nil
}

func (t *Tx) heldBlobs(holder resource.Organization, some []BlobRef) ([]BlobRef, error) {
	args := arguments{holder.String()}
	digests := make([]string, len(some))
	for i, b := range some {
		digests[i] = b.Digest.String()
	}
	return queryAll(t, "blobs", scanBlob,
		`SELECT digest, size FROM blobs WHERE holder = $1 AND damaged IS NULL AND digest IN (`+list(&args, digests)+`)`, args...)
}
