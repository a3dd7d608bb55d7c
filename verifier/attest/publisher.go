package attest

import (
	"context"
	"crypto"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/tlog"
)

// Log is what a Publisher needs of a transparency log; *tlog.Log is one.
type Log interface {
	// Append returns once a published checkpoint covers the entry. It does not deduplicate.
	Append(ctx context.Context, entry []byte) (index uint64, err error)
	// Proof proves an entry against the newest published checkpoint.
	Proof(ctx context.Context, index uint64) (tlog.Proof, error)
	// ID is the hash of the log's name and key.
	ID() []byte
}

// Publisher turns envelopes into bundles. Its methods may be called concurrently.
type Publisher struct {
	log       Log
	authority *TimestampAuthority
}

// NewPublisher makes a publisher.
func NewPublisher(log Log, authority *TimestampAuthority) *Publisher {
	return &Publisher{log: log, authority: authority}
}

// Published is an attestation that can be given to anyone.
type Published struct {
	Bundle   []byte // a Sigstore bundle, JSON
	LogIndex int64
}

// Stamp returns the RFC 3161 time stamp over the envelope's signature: the statement was signed by then.
func (p *Publisher) Stamp(ctx context.Context, e *Envelope) ([]byte, error) {
	return p.authority.stamp(ctx, e.signature)
}

// Entry returns the log entry of an envelope and its leaf hash, which are the same at each call. It checks that the envelope was
// signed with that key, which may be anybody's.
func (p *Publisher) Entry(e *Envelope, publicKeyPEM string) (entry []byte, leaf digest.Digest, err error) {
	entry, _, err = readyEntry(e, publicKeyPEM)
	if err != nil {
		return nil, digest.Digest{}, err
	}
	return entry, tlog.LeafHash(entry), nil
}

func readyEntry(e *Envelope, publicKeyPEM string) ([]byte, crypto.PublicKey, error) {
	key, err := publickey.Parse(publicKeyPEM)
	if err != nil {
		return nil, nil, err
	}
	entry, err := newEntry(e, key)
	return entry, key, err
}

// Publish appends the envelope's entry to the log and returns the bundle. Calling it twice logs twice: whoever may have called it
// before asks the log first, and calls Assemble for an entry that is there.
func (p *Publisher) Publish(ctx context.Context, e *Envelope, publicKeyPEM string, stamp []byte) (Published, error) {
	entry, key, err := readyEntry(e, publicKeyPEM)
	if err != nil {
		return Published{}, err
	}
	index, err := p.log.Append(ctx, entry)
	if err != nil {
		return Published{}, err
	}
	return p.assemble(ctx, e, key, stamp, entry, index)
}

// Assemble returns the bundle of an envelope whose entry is in the log at index.
func (p *Publisher) Assemble(ctx context.Context, e *Envelope, publicKeyPEM string, stamp []byte, index int64) (Published, error) {
	if index < 0 {
		return Published{}, fault.Invalidf("log index", "is negative")
	}
	entry, key, err := readyEntry(e, publicKeyPEM)
	if err != nil {
		return Published{}, err
	}
	return p.assemble(ctx, e, key, stamp, entry, uint64(index))
}

func (p *Publisher) assemble(ctx context.Context, e *Envelope, key crypto.PublicKey, stamp, entry []byte, index uint64) (Published, error) {
	at, err := p.log.Proof(ctx, index)
	if err != nil {
		return Published{}, err
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, at.Index, at.TreeSize, leaf, at.Hashes, at.RootHash); err != nil {
		return Published{}, fault.Corruptf("", "log entry %d is not that of this statement, or the log's files are damaged: %v", index, err)
	}
	bundle, err := newBundle(e, key, stamp, entry, p.log.ID(), at)
	if err != nil {
		return Published{}, err
	}
	return Published{Bundle: bundle, LogIndex: int64(at.Index)}, nil
}
