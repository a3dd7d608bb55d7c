package commands

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

type verifyFlags struct{ root, key, artifact, kind string }

func (a *app) verifyAttestation() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify BUNDLE --trusted-root FILE --key FILE.pub",
		Short: "Check an attestation offline",
		Long: `Check a bundle without any network: the signature over the statement, the time stamp, the entry in the log and its
proof up to a signed checkpoint, and, if given, that it is about --artifact and of --type. Each step is printed in words,
then the command line by which stock cosign checks the same bundle.`,
		Example: `  escrowctl attestation verify receipt.sigstore.json --trusted-root trust/trusted_root.json --key trust/statement.pub
  escrowctl attestation verify report.sigstore.json --trusted-root trust/trusted_root.json --key trust/statement.pub \
      --artifact dist/widget --type report`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(args[0], f) },
	}
	c.Flags().StringVar(&f.root, "trusted-root", "", "trusted_root.json of the service")
	c.Flags().StringVar(&f.key, "key", "", "public key of the statement's signer, PEM")
	c.Flags().StringVar(&f.artifact, "artifact", "", "the file that it must be about: a path or sha256:…")
	c.Flags().StringVar(&f.kind, "type", "", "the type that it must have: "+typeHelp)
	require(c, "trusted-root", "key")
	return c
}

// maxProof bounds the files that a verification reads.
const maxProof = 16 << 20

func readProof(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProof+1))
	if err == nil && len(b) > maxProof {
		err = fault.Exhaustedf(path, "has more than %d bytes", maxProof)
	}
	return b, err
}

func (a *app) verify(path string, f verifyFlags) error {
	kind, err := predicateType(f.kind)
	if err != nil {
		return err
	}
	policy := attest.Policy{PredicateType: kind}
	if f.artifact != "" {
		if policy.Artifact, err = digestOf(f.artifact); err != nil {
			return err
		}
	}
	bundle, err := readProof(path)
	if err != nil {
		return err
	}
	root, err := readProof(f.root)
	if err != nil {
		return err
	}
	pem, err := readProof(f.key)
	if err != nil {
		return err
	}
	key, err := publickey.Parse(string(pem))
	if err != nil {
		return fault.Invalidf(f.key, "%v", err)
	}
	v, err := attest.Verify(bundle, root, key, policy)
	if err != nil {
		return fmt.Errorf("%s: NOT VERIFIED: %w", path, err)
	}
	return a.showVerified(v, path, f)
}

// cosignCommand is stock cosign's command line for what was just verified. Where there is no file of the artifact here, it
// names the artifact's digest, or that of the first subject.
func cosignCommand(v *attest.Verified, path string, f verifyFlags) string {
	if f.artifact != "" && !strings.HasPrefix(f.artifact, digest.Prefix) {
		return attest.CosignCommand(path, f.root, f.key, v.Statement.PredicateType, f.artifact)
	}
	hex := strings.TrimPrefix(f.artifact, digest.Prefix)
	if hex == "" && len(v.Statement.Subjects) > 0 {
		hex = v.Statement.Subjects[0].Digest.Hex()
	}
	words := attest.CosignArguments(path, f.root, f.key, v.Statement.PredicateType, "")
	words = append(words[:len(words)-1], "--digest", hex, "--digestAlg", "sha256")
	for i, w := range words {
		words[i] = quote(w)
	}
	return "cosign " + strings.Join(words, " ")
}

func (a *app) showVerified(v *attest.Verified, path string, f verifyFlags) error {
	command := cosignCommand(v, path, f)
	subjects := make([]map[string]string, len(v.Statement.Subjects))
	for i, s := range v.Statement.Subjects {
		subjects[i] = map[string]string{"name": s.Name, "digest": s.Digest.String()}
	}
	view := map[string]any{"verified": true, "predicateType": v.Statement.PredicateType, "subjects": subjects, "predicate": v.Statement.Predicate,
		"time": v.Time.UTC().Format(time.RFC3339), "log": v.Origin, "logIndex": v.LogIndex, "treeSize": v.TreeSize, "steps": v.Steps, "cosign": command}
	return a.printer().Value(view, func(w io.Writer) {
		for _, step := range v.Steps {
			fmt.Fprintf(w, "ok  %s\n", output.Clean(step))
		}
		fmt.Fprintf(w, "VERIFIED %s\n\n", path)
		output.Fields(w, "type", v.Statement.PredicateType, "time", v.Time.UTC().Format(time.RFC3339), "log", v.Origin, "log index", fmt.Sprint(v.LogIndex))
		for _, s := range v.Statement.Subjects {
			output.Fields(w, "subject", strings.TrimSpace(s.Name+" "+s.Digest.String()))
		}
		fmt.Fprintf(w, "\nThe same by stock cosign:\n\n  %s\n", command)
	})
}
