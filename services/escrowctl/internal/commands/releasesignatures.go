package commands

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/forecast"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/verifier/finding"
)

func (a *app) signaturesCommand() *cobra.Command {
	s := &submission{app: a}
	c := &cobra.Command{
		Use:   "signatures RELEASE.YAML",
		Short: "Tell which signatures of a release will count (vendors)",
		Long: `Judge the signatures of a release here, before it is deposited, by the trust anchors that the service has: those that the
release file names, those that lie beside sources and artifacts, and those in git tags, commits and programs. Nothing is
sent. There is a line for each:

    SIGNATURE <file> <kind> over <what> will count: by <anchor>
    SIGNATURE <file> <kind> over <what> will not count: <why>

It is a forecast: the service judges again when the release is sealed. The exit code is 1 if no signature over the manifest
will count.`,
		Example: "  escrowctl release signatures release.yaml",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.onlyJudge(cmd.Context(), args[0]) },
	}
	s.bindSignatures(c)
	return c
}

// bindSignatures gives a command the flag for which signatures are looked at.
func (s *submission) bindSignatures(c *cobra.Command) {
	c.Flags().BoolVar(&s.noFound, "no-found-signatures", false, "leave out signatures that lie beside the files and that the release file does not name")
}

func (s *submission) onlyJudge(ctx context.Context, path string) (err error) {
	if err := s.load(ctx, path); err != nil {
		return err
	}
	defer s.deposit.Close()
	if s.client, err = s.connect(); err != nil {
		return err
	}
	defer s.client.Close()
	if err := s.requireOwn(); err != nil {
		return err
	}
	return s.judge(ctx)
}

// loadSignatures reads the signatures and tells which were found beside the files.
func (s *submission) loadSignatures() (err error) {
	receipts := []string{s.receipt, filepath.Join(filepath.Dir(s.file.Path()), defaultReceipt)}
	if s.signatures, err = s.file.Signatures(s.deposit, !s.noFound, receipts...); err != nil {
		return err
	}
	for _, sig := range s.signatures {
		if !sig.Found {
			continue
		}
		view := map[string]string{"found": sig.Path, "mediaType": sig.MediaType, "over": sig.Over}
		over := ""
		if sig.Over != "" {
			over = " over " + sig.Over
		}
		if err := s.printer().Event(view, fmt.Sprintf("FOUND %s%s", output.Clean(sig.Path), output.Clean(over))); err != nil {
			return err
		}
	}
	return nil
}

// judge tells which signatures will count, and refuses a release whose manifest none will cover.
func (s *submission) judge(ctx context.Context) error {
	anchors, err := trustAnchors(ctx, s.client, s.deposit.Release.Product.Vendor)
	if err != nil {
		return err
	}
	f, err := forecast.Judge(ctx, forecast.Request{Deposit: s.deposit, Signatures: s.signatures, Anchors: anchors, Now: time.Now()})
	if err != nil {
		return err
	}
	if err := s.tellForecast(f); err != nil {
		return err
	}
	if f.Passes() || s.withoutCounting {
		return nil
	}
	return fault.Preconditionf("NO_COUNTING_SIGNATURE", s.deposit.Release.String(), "no signature over the manifest will count: %s", f.Finding.Summary).
		WithAdvice("%s; then see: escrowctl release signatures %s", s.advice(f), quote(s.file.Path()))
}

func (s *submission) tellForecast(f *forecast.Forecast) error {
	for _, e := range f.Finding.Evidence.Signatures {
		if err := s.printer().Event(map[string]any{"signature": e, "willCount": e.Valid}, forecastLine(e)); err != nil {
			return err
		}
	}
	for _, n := range f.Notes {
		if err := s.printer().Event(map[string]string{"note": n}, "NOTE "+output.Clean(n)); err != nil {
			return err
		}
	}
	return nil
}

// registerWith is the command that registers whoever made a signature of that kind.
var registerWith = map[string]string{
	"openpgp":  "escrowctl trust-anchor add --openpgp KEYRING.asc",
	"ssh":      "escrowctl trust-anchor add --key KEY.pub",
	"minisign": "escrowctl trust-anchor add --minisign KEY.pub",
	"signify":  "escrowctl trust-anchor add --minisign KEY.pub",
	"cms":      "escrowctl trust-anchor add --x509 CA.pem --subject NAME",
}

// advice says how to register the maker of a signature over the manifest.
func (s *submission) advice(f *forecast.Forecast) string {
	command := "escrowctl trust-anchor add --key release.key.pub"
	for _, e := range f.Finding.Evidence.Signatures {
		if with, ok := registerWith[e.Kind]; ok && s.overManifest(e) {
			command = with
		}
	}
	return "sign it with a key that is registered, or register the one that signed it: " + command
}

// overManifest says whether a signature is over the manifest, good or bad, by the file that it came in.
func (s *submission) overManifest(e finding.SignatureEvidence) bool {
	return slices.ContainsFunc(s.signatures, func(sig releasefile.Signature) bool { return sig.Name == e.File && sig.Over == "manifest" })
}
