package deposit

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/signature"
)

// Caps on what is said of a signature file. Those on what it holds are the verifier's.
const (
	maxMediaType = 256 // bytes
	maxFileName  = 255 // bytes
)

// readSignatures reads the signature files of a release. What they are worth is judged later; that they can be judged is made sure of here.
func readSignatures(m *manifest.Manifest, list []*pb.Signature) ([]catalog.Signature, error) {
	if n := len(list); n > signature.MaxSignatures {
		return nil, fault.Exhaustedf("signatures", "has %d entries, %d at most", n, signature.MaxSignatures).
			WithAdvice("sign one list of checksums in the place of many files")
	}
	files, total := signable(m), 0
	out := make([]catalog.Signature, len(list))
	for i, in := range list {
		if total += len(in.GetContent()) + len(in.GetList()); total > signature.MaxTotalBytes {
			return nil, fault.Exhaustedf("signatures", "have, with their lists, more than %d bytes", signature.MaxTotalBytes)
		}
		var err error
		if out[i], err = readSignature(fmt.Sprintf("signatures[%d].", i), files, in); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readSignature(field string, files map[digest.Digest]bool, in *pb.Signature) (s catalog.Signature, err error) {
	s = catalog.Signature{MediaType: in.GetMediaType(), Content: in.GetContent(), Name: in.GetName(), List: in.GetList(), ListName: in.GetListName()}
	if err := checkSizes(field, in); err != nil {
		return s, err
	}
	if len(s.MediaType) > maxMediaType {
		return s, fault.Invalidf(field+"media_type", "is no media type")
	}
	if err := checkFileName(field+"name", s.Name); err != nil {
		return s, err
	}
	if err := checkFileName(field+"list_name", s.ListName); err != nil {
		return s, err
	}
	if len(s.List) == 0 && s.ListName != "" {
		return s, fault.Invalidf(field+"list_name", "names a list, and there is none").WithAdvice("send the list itself as list")
	}
	s.Subject, err = readSubject(field+"subject", files, in)
	return s, err
}

func checkSizes(field string, in *pb.Signature) error {
	if n := len(in.GetContent()); n > signature.MaxSignatureBytes {
		return fault.Exhaustedf(field+"content", "has %d bytes, %d at most", n, signature.MaxSignatureBytes)
	}
	if n := len(in.GetList()); n > signature.MaxListBytes {
		return fault.Exhaustedf(field+"list", "has %d bytes, %d at most", n, signature.MaxListBytes)
	}
	return nil
}

func checkFileName(field, name string) error {
	if len(name) > maxFileName {
		return fault.Invalidf(field, "has %d bytes, %d at most", len(name), maxFileName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.Invalidf(field, "has control characters in it")
	}
	return nil
}

// readSubject reads the file that a signature is over; the zero digest stands for the manifest.
func readSubject(field string, files map[digest.Digest]bool, in *pb.Signature) (d digest.Digest, err error) {
	if in.GetSubject() == "" {
		return d, nil
	}
	if len(in.GetList()) > 0 {
		return d, fault.Invalidf(field, "must be empty where the signature is over a list").
			WithAdvice("the list itself says by digest which files it covers")
	}
	if d, err = digest.Parse(in.GetSubject()); err != nil {
		return d, fault.Invalidf(field, "%v", err)
	}
	if !files[d] {
		return d, fault.Invalidf(field, "%s is no source and no artifact of the manifest", d).
			WithAdvice("send a signature only with the very file that it is over; one over the manifest has no subject")
	}
	return d, nil
}

// signable is the files of a release that a signature may be over.
func signable(m *manifest.Manifest) map[digest.Digest]bool {
	files := make(map[digest.Digest]bool, len(m.Sources)+len(m.Artifacts))
	for _, s := range m.Sources {
		files[s.Digest] = true
	}
	for _, a := range m.Artifacts {
		files[a.Digest] = true
	}
	return files
}
