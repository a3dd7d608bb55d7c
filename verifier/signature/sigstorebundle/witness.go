package sigstorebundle

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// witness is what the logs and time-stamping authorities of one trusted root say of a signature.
type witness struct {
	times   []proof.Time
	logged  bool     // a log holds the signature
	heard   bool     // one of the root's logs or authorities spoke at all
	unheard []string // what is by others
}

// hear verifies all that a bundle brings along by the logs and authorities of a root. What those of the root should have said and did not
// is an error; what others say stays unheard.
func (r *trustedRoot) hear(s *signed, key crypto.PublicKey) (witness, error) {
	var w witness
	for _, e := range s.entries {
		if err := w.addEntry(r, s, e, key); err != nil {
			return w, err
		}
	}
	for _, stamp := range s.stamps {
		t, err := r.stamped(stamp, s.signature)
		switch {
		case errors.As(err, new(unknownError)):
			w.unheard = append(w.unheard, err.Error())
		case err != nil:
			return w, err
		default:
			w.times, w.heard = append(w.times, t), true
		}
	}
	slices.SortStableFunc(w.times, func(a, b proof.Time) int { return a.At.Compare(b.At) })
	return w, nil
}

// unknownError says that nobody whom the root knows has said a thing.
type unknownError string

func (e unknownError) Error() string { return string(e) }

func (w *witness) addEntry(r *trustedRoot, s *signed, e *tlog.Entry, key crypto.PublicKey) error {
	id := hex.EncodeToString([]byte(e.LogKeyID()))
	log, ok := r.RekorLogs()[id]
	if !ok {
		w.unheard = append(w.unheard, fmt.Sprintf("an entry in the log with the id %.64s", id))
		return nil
	}
	times, err := r.logged(s, e, key)
	if err != nil {
		return fmt.Errorf("its entry in the log %s does not hold by %s: %s", host(log.BaseURL), r.name(), proof.Text(err.Error(), 200))
	}
	w.logged, w.heard = true, true
	for _, t := range times {
		w.times = append(w.times, proof.Time{At: t.Time, By: "the log " + host(log.BaseURL)})
	}
	return nil
}

// logged verifies an entry in a log that the root knows. A time is proved only by the log's signature over it, the inclusion promise.
func (r *trustedRoot) logged(s *signed, e *tlog.Entry, key crypto.PublicKey) ([]root.Timestamp, error) {
	old := s.GetMediaType() == MediaTypeV01
	switch {
	case old && !e.HasInclusionPromise():
		return nil, fmt.Errorf("an inclusion promise is missing, which version 0.1 requires")
	case !old && !e.HasInclusionProof():
		return nil, fmt.Errorf("an inclusion proof is missing, which the version of the bundle requires")
	case e.HasInclusionPromise() && e.IsRekorV2():
		return nil, fmt.Errorf("an inclusion promise is not of an entry of this version")
	case e.HasInclusionPromise():
		if err := tlog.VerifySET(e, r.RekorLogs()); err != nil {
			return nil, fmt.Errorf("the inclusion promise: %w", err)
		}
	}
	return verify.VerifyTlogEntry(alone{s, e}, material{r, key}, 1, true)
}

// material gives sigstore-go the key that made the signature, whatever the bundle's hint.
type material struct {
	*trustedRoot
	key crypto.PublicKey
}

func (m material) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return keyHolder{m.key}, nil
}

// keyHolder only says which key it is: the signature was verified before, and the key's term is judged by others.
type keyHolder struct{ key crypto.PublicKey }

func (k keyHolder) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return k.key, nil
}
func (keyHolder) ValidAtTime(time.Time) bool { return true }
func (keyHolder) VerifySignature(io.Reader, io.Reader, ...signature.VerifyOption) error {
	return errors.New("is no verifier")
}
