// Package finding holds the vocabulary of what checks find: checks, outcomes, verdicts and causes.
// It knows nothing of how they are found, signed or judged.
package finding

import "github.com/countersign-escrow/countersign/escrow/digest"

// Check is one thing that is verified of a release.
type Check string

// The checks.
const (
	Signature   Check = "SIGNATURE"
	Source      Check = "SOURCE"
	Environment Check = "ENVIRONMENT"
	Rebuild     Check = "REBUILD"
	Comparison  Check = "COMPARISON"
)

// Outcome says how a check ended.
type Outcome string

// The outcomes.
const (
	Passed    Outcome = "PASSED"
	Failed    Outcome = "FAILED"
	Undecided Outcome = "UNDECIDED"
)

// Verdict is the outcome for one artifact from one rebuilder.
type Verdict string

// The verdicts, as in the design's table.
const (
	Match            Verdict = "MATCH"
	MatchNormalized  Verdict = "MATCH_NORMALIZED"
	DiffersStable    Verdict = "DIFFERS_STABLE"
	DiffersUnstable  Verdict = "DIFFERS_UNSTABLE"
	BuildFailed      Verdict = "BUILD_FAILED"
	TimedOut         Verdict = "TIMED_OUT"
	ResourceExceeded Verdict = "RESOURCE_EXCEEDED"
	NotProduced      Verdict = "NOT_PRODUCED"
	Incomplete       Verdict = "INCOMPLETE"
)

// Outcome returns how a comparison with that verdict ended. Only MATCH passes; what says nothing about
// whether the artifact comes from the source is undecided.
func (v Verdict) Outcome() Outcome {
	switch v {
	case Match:
		return Passed
	case DiffersStable, DiffersUnstable, NotProduced:
		return Failed
	default:
		return Undecided
	}
}

// Cause says in what a shipped and a rebuilt file differ, and where.
type Cause struct {
	Type           CauseType `json:"type"`
	Place          string    `json:"place"`  // such as an ELF section, for people
	Offset         int64     `json:"offset"` // bytes from the start of the shipped file
	Length         int64     `json:"length"` // bytes concerned
	ShippedExcerpt string    `json:"shippedExcerpt,omitempty"`
	RebuiltExcerpt string    `json:"rebuiltExcerpt,omitempty"`
}

// CauseType is what sort of difference it is.
type CauseType string

// The types told apart so far.
const (
	Content CauseType = "CONTENT" // bytes differ
	Size    CauseType = "SIZE"    // one file ends earlier
)

// Finding is what one check found, good or bad.
type Finding struct {
	Check    Check    `json:"check"`
	Outcome  Outcome  `json:"outcome"`
	Verdict  Verdict  `json:"verdict,omitempty"`  // for comparisons
	Artifact string   `json:"artifact,omitempty"` // for comparisons: the artifact's path in the manifest
	Summary  string   `json:"summary"`            // one line for people
	Evidence Evidence `json:"evidence"`
	Causes   []Cause  `json:"causes,omitempty"`
}

// Evidence is what a finding rests on. Which fields are there depends on the check.
type Evidence struct {
	Signatures  []SignatureEvidence  `json:"signatures,omitempty"`
	Sources     []SourceEvidence     `json:"sources,omitempty"`
	Environment *EnvironmentEvidence `json:"environment,omitempty"`
	Runs        []RunEvidence        `json:"runs,omitempty"`       // rebuild and comparison
	Comparison  *ComparisonEvidence  `json:"comparison,omitempty"` // comparison
}

// SignatureEvidence is what one signature is worth.
type SignatureEvidence struct {
	Kind    string        `json:"kind"`              // such as sigstore-bundle
	File    string        `json:"file,omitempty"`    // the signature file, or the file of the release that it stands in
	Valid   bool          `json:"valid"`             // made by an anchor that counted at Time, over these bytes
	Anchor  string        `json:"anchor,omitempty"`  // the trust anchor's resource name
	Roots   []string      `json:"roots,omitempty"`   // other trust anchors that it rests on: trusted roots, time-stamping authorities
	KeyID   string        `json:"keyId,omitempty"`   // the key in the usual form of the kind; for plain keys SHA-256 of the SubjectPublicKeyInfo, hexadecimal
	Signer  string        `json:"signer,omitempty"`  // whom anchor or certificate name as the signer
	Covers  string        `json:"covers"`            // what exactly it covers
	Files   []CoveredFile `json:"files,omitempty"`   // the files of the release that it covers
	Time    string        `json:"time,omitempty"`    // RFC 3339: when it was there for certain, the instant at which it is judged
	TimeBy  string        `json:"timeBy,omitempty"`  // how that is known
	Claimed string        `json:"claimed,omitempty"` // RFC 3339: when its signer says it was made
	Weak    []string      `json:"weak,omitempty"`    // weak algorithms in it
	Notes   []string      `json:"notes,omitempty"`   // what should be known besides
	Problem string        `json:"problem,omitempty"`
}

// CoveredFile is a file of the release that a signature covers.
type CoveredFile struct {
	Role   string        `json:"role"` // MANIFEST, SOURCE or ARTIFACT
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// SourceEvidence is the identity of one source.
type SourceEvidence struct {
	Name     string        `json:"name"`
	File     digest.Digest `json:"file"`               // of the file as deposited
	Tree     string        `json:"tree,omitempty"`     // SHA-256 id of the canonical tree: git's, in the SHA-256 object format
	Unpacked string        `json:"unpacked,omitempty"` // that of the files as unpacked, where it is another one
	SWHIDs   []string      `json:"swhids,omitempty"`   // SoftWare Hash IDentifiers (ISO/IEC 18670)
	Commit   string        `json:"commit,omitempty"`   // for git
	Files    int64         `json:"files"`
	Bytes    int64         `json:"bytes"`
	Problem  string        `json:"problem,omitempty"`
}

// EnvironmentEvidence is the identity of the toolchain image.
type EnvironmentEvidence struct {
	Image    digest.Digest `json:"image"`
	Platform string        `json:"platform,omitempty"`
	Blobs    int           `json:"blobs"`
	Bytes    int64         `json:"bytes"`
	Problem  string        `json:"problem,omitempty"`
}

// RunEvidence is one run of the recipe.
type RunEvidence struct {
	Plan       digest.Digest     `json:"plan"`    // of the plan's canonical JSON
	Runtime    string            `json:"runtime"` // name and version of the OCI runtime
	Conditions map[string]string `json:"conditions"`
	Result     string            `json:"result"` // ENDED, or the verdict that stopped it
	ExitCode   int               `json:"exitCode"`
	Reached    string            `json:"reached,omitempty"`    // the figure reached when a limit stopped it
	Started    string            `json:"started"`              // RFC 3339
	WallMillis int64             `json:"wallMillis"`           // milliseconds
	CPUMillis  int64             `json:"cpuMillis,omitempty"`  // milliseconds, of all processes
	PeakMemory int64             `json:"peakMemory,omitempty"` // bytes
	LogTail    string            `json:"logTail,omitempty"`    // the end of what it printed, bounded
	Outputs    []OutputEvidence  `json:"outputs,omitempty"`
}

// OutputEvidence is one rebuilt twin of one run.
type OutputEvidence struct {
	Artifact string        `json:"artifact"`
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"`
	Problem  string        `json:"problem,omitempty"` // why there is none
}

// ComparisonEvidence is what was compared.
type ComparisonEvidence struct {
	Shipped         digest.Digest   `json:"shipped"`
	Rebuilt         []digest.Digest `json:"rebuilt"` // one for each run that left a file
	DifferingBytes  int64           `json:"differingBytes"`
	DifferingRanges int             `json:"differingRanges"`
}
