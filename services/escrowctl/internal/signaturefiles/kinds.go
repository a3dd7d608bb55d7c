package signaturefiles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// maxLines bounds the attestations in one file of them.
const maxLines = 64

// over takes a signature file beside the file that it is over.
func (w *walk) over(file, path string) {
	b, ok := w.take(path, w.MaxSignature)
	if !ok {
		return
	}
	mediaType := w.Detect(b)
	switch attestation, is := parseAttestation(b); {
	case mediaType == "":
	case is && !w.wanted(attestation):
		w.seen[path] = true
	case is:
		w.add(path, Found{MediaType: mediaType, Content: b})
	default:
		w.add(path, Found{MediaType: mediaType, Content: b, Over: file})
	}
}

// list takes the signatures beside a list of checksums, or a list that is clear-signed itself.
func (w *walk) list(path string) {
	b, ok := w.take(path, w.MaxList)
	if !ok {
		return
	}
	if mediaType := w.Detect(b); mediaType != "" {
		if int64(len(b)) <= w.MaxSignature && isClearSigned(b) {
			w.add(path, Found{MediaType: mediaType, Content: b})
		}
		return
	}
	for _, suffix := range suffixes {
		sig, ok := w.take(path+suffix, w.MaxSignature)
		if mediaType := w.Detect(sig); ok && mediaType != "" {
			w.add(path+suffix, Found{MediaType: mediaType, Content: sig, List: path, ListBytes: b})
		}
	}
}

// carried takes attestations about the release's files, and files that are clear-signed.
func (w *walk) carried(path string) {
	b, ok := w.take(path, w.MaxSignature*maxLines)
	if !ok {
		return
	}
	if strings.HasSuffix(strings.ToLower(path), ".jsonl") {
		w.lines(path, b)
		return
	}
	mediaType := w.Detect(b)
	if mediaType == "" || int64(len(b)) > w.MaxSignature {
		return
	}
	if attestation, is := parseAttestation(b); is && w.wanted(attestation) || isClearSigned(b) {
		w.add(path, Found{MediaType: mediaType, Content: b})
	}
}

// lines takes the attestations about the release's files out of a file with one in each line.
func (w *walk) lines(path string, b []byte) {
	n := 0
	for line := range bytes.Lines(b) {
		n++
		line = bytes.TrimSpace(line)
		attestation, is := parseAttestation(line)
		mediaType := w.Detect(line)
		if n > maxLines || !is || mediaType == "" || int64(len(line)) > w.MaxSignature || !w.wanted(attestation) {
			continue
		}
		w.add(path, Found{Name: fmt.Sprintf("%s:%d", filepath.Base(path), n), MediaType: mediaType, Content: line})
	}
}

func isClearSigned(b []byte) bool {
	return bytes.Contains(b[:min(len(b), 4096)], []byte("-----BEGIN PGP SIGNED MESSAGE-----"))
}

// ours is how the types of the attestations that a service like this one gives out begin. They are not the vendor's word.
const ours = "https://github.com/countersign-escrow/countersign/docs/predicates/"

// attestation is what is needed to know of one to take it.
type attestation struct {
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// parseAttestation reads the statement in a bundle around a DSSE envelope. One that cannot be read has no subject.
func parseAttestation(b []byte) (a attestation, is bool) {
	var bundle struct {
		Envelope *struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(b, &bundle); err != nil || bundle.Envelope == nil {
		return a, false
	}
	if err := json.Unmarshal(bundle.Envelope.Payload, &a); err != nil {
		return attestation{}, true
	}
	return a, true
}

// wanted says whether an attestation is about a file of the release, and somebody else's than a service's.
func (w *walk) wanted(a attestation) bool {
	if strings.HasPrefix(a.PredicateType, ours) {
		return false
	}
	for _, s := range a.Subject {
		d, err := digest.Parse(digest.Prefix + s.Digest["sha256"])
		if err == nil && (d == w.Manifest || slices.ContainsFunc(w.Files, func(f File) bool { return f.Digest == d })) {
			return true
		}
		if s.Digest["sha512"] != "" && s.Digest["sha256"] == "" { // whose that is, is for the judge to say
			return true
		}
	}
	return false
}
