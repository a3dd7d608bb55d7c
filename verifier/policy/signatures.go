package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// What a file is in a release.
const (
	roleManifest = "MANIFEST"
	roleSource   = "SOURCE"
	roleArtifact = "ARTIFACT"
)

// signatureDetails returns what a policy reads of signatures beside the outcome, in the order of the kind's fields.
func signatureDetails(in Input, signatures []finding.SignatureEvidence) []ref.Val {
	by := coverage{}
	for _, s := range signatures {
		by.add(s)
	}
	values := make([]ref.Val, len(signatures))
	for i, s := range signatures {
		values[i] = oneSignature(s)
	}
	return []ref.Val{list(by[manifestFile]), list(by.files(in)), list(values)}
}

// signedFile names a file of a release, whatever its digest.
type signedFile struct {
	role, name string
	digest     digest.Digest
}

// manifestFile is the manifest: there is one.
var manifestFile = signedFile{role: roleManifest}

// coverage is the anchors by whose signatures, of those that count, a file is covered.
type coverage map[signedFile][]ref.Val

func (c coverage) add(s finding.SignatureEvidence) {
	if !s.Valid {
		return
	}
	for _, f := range covered(s) {
		anchor := text(s.Anchor)
		if !slices.Contains(c[f], anchor) {
			c[f] = append(c[f], anchor)
		}
	}
}

// covered returns the files that a signature covers. Findings from before other files could be signed tell no time, and are about the manifest.
func covered(s finding.SignatureEvidence) []signedFile {
	if s.Time == "" && len(s.Files) == 0 {
		return []signedFile{manifestFile}
	}
	files := make([]signedFile, len(s.Files))
	for i, f := range s.Files {
		if files[i] = (signedFile{f.Role, f.Name, f.Digest}); f.Role == roleManifest {
			files[i] = manifestFile
		}
	}
	return files
}

// files lists the files of the release with those who signed them: the manifest, the sources, the artifacts.
func (c coverage) files(in Input) []ref.Val {
	values := []ref.Val{c.object(manifestFile)}
	if in.Manifest == nil {
		return values
	}
	for _, s := range in.Manifest.Sources {
		values = append(values, c.object(signedFile{roleSource, s.Name, s.Digest}))
	}
	for _, a := range in.Manifest.Artifacts {
		values = append(values, c.object(signedFile{roleArtifact, a.Path, a.Digest}))
	}
	return values
}

func (c coverage) object(f signedFile) ref.Val {
	return signedFileKind.object(text(f.role), text(f.name), text(f.digest.String()), list(c[f]))
}

func oneSignature(s finding.SignatureEvidence) ref.Val {
	covers := make([]ref.Val, 0, len(s.Files))
	for _, f := range covered(s) {
		covers = append(covers, text(f.String()))
	}
	at, _ := time.Parse(time.RFC3339, s.Time) // the zero time where it is not known, which is not set
	return oneSignatureKind.object(text(s.Kind), types.Bool(s.Valid), text(s.Anchor), text(s.Signer), text(s.KeyID),
		list(covers), types.Timestamp{Time: at}, text(s.TimeBy))
}

// String names the file: manifest, source:NAME or artifact:PATH.
func (f signedFile) String() string {
	if f == manifestFile {
		return "manifest"
	}
	return strings.ToLower(f.role) + ":" + f.name
}
