package commands

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/progress"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/upload"
)

// submission is one run of release submit.
type submission struct {
	*app
	client        *client.Client
	file          *releasefile.File
	deposit       *releasefile.Deposit
	signatures    []releasefile.Signature
	parallel      int
	receipt       string
	wait          bool
	failOnDiffers bool

	noFound         bool // take no signatures that the release file does not name
	withoutCounting bool // although no signature over the manifest will count
}

// defaultReceipt is the receipt's file beside the release file.
const defaultReceipt = "receipt.sigstore.json"

func (a *app) submitCommand() *cobra.Command {
	s := &submission{app: a}
	c := &cobra.Command{
		Use:   "submit RELEASE.YAML",
		Short: "Deposit a release: upload, seal, get the receipt (vendors)",
		Long: `Deposit the release that a release file describes (docs/release-yaml.md): check the file, open the release, upload what
the service lacks, seal it with the signed manifest, and save the receipt beside the release file.

Signatures that lie beside sources and artifacts go along, too. Before anything is sent, it is told which of all signatures
will count, as escrowctl release signatures tells it; where none over the manifest will, nothing is sent.

Stopped in the middle and run again, it sends only the rest. Run again after it was sealed, it fetches the same receipt.
With --wait it then prints the findings as they come, and at the end one line for each artifact and rebuilder:

    VERDICT <product>/<version> <artifact> <verdict> by <rebuilder>`,
		Example: `  escrowctl release submit release.yaml --wait
  escrowctl release submit release.yaml --parallel 8 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0]) },
	}
	c.Flags().BoolVar(&s.wait, "wait", false, "wait until the checks are complete and print findings and verdicts")
	c.Flags().BoolVar(&s.failOnDiffers, "fail-on-differs", false, "with --wait: exit with 3 if a verdict is not MATCH")
	c.Flags().IntVar(&s.parallel, "parallel", 4, "files to send at a time")
	s.bindSignatures(c)
	c.Flags().BoolVar(&s.withoutCounting, "without-counting-signature-unsafe", false, "deposit although no signature over the manifest will count: the release will be held as signed by nobody")
	c.Flags().StringVar(&s.receipt, "receipt", "", "file for the receipt (default receipt.sigstore.json beside the release file)")
	return c
}

func (s *submission) run(ctx context.Context, path string) error {
	if s.parallel < 1 {
		return usagef("--parallel %d: must be at least 1", s.parallel)
	}
	s.goOn = fmt.Sprintf("escrowctl release submit %s (only the rest is sent)", quote(path))
	if err := s.load(ctx, path); err != nil {
		return err
	}
	defer s.deposit.Close()
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	s.client = c
	sealed, err := s.isSealed(ctx)
	if err != nil {
		return err
	}
	if !sealed {
		if err := s.openAndSend(ctx); err != nil {
			return err
		}
	}
	if err := s.seal(ctx); err != nil {
		return err
	}
	if !s.wait {
		return nil
	}
	return s.verdicts(ctx)
}

func (s *submission) load(ctx context.Context, path string) error {
	var err error
	if s.file, err = releasefile.Read(path); err != nil {
		return err
	}
	if s.deposit, err = s.file.Prepare(ctx); err != nil {
		return err
	}
	if s.receipt == "" {
		s.receipt = filepath.Join(filepath.Dir(path), defaultReceipt)
	}
	if err = s.loadSignatures(); err != nil {
		s.deposit.Close()
	}
	return err
}

// isSealed says whether the release is sealed with this very manifest, and done. One with another manifest is refused.
func (s *submission) isSealed(ctx context.Context) (bool, error) {
	if err := s.requireOwn(); err != nil {
		return false, err
	}
	resp, err := s.client.Deposit.GetRelease(ctx, &pb.GetReleaseRequest{Name: s.deposit.Release.String()})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil || resp.GetRelease().GetState() != pb.ReleaseState_RELEASE_STATE_SEALED {
		return false, err
	}
	s.tellDamaged(resp.GetRelease())
	return true, s.requireSame(resp.GetRelease(), "a sealed release never changes: give the new one a new version")
}

// openAndSend looks at the signatures, opens the release or goes on with one that is open, and uploads what the service lacks.
func (s *submission) openAndSend(ctx context.Context) error {
	if err := s.judge(ctx); err != nil {
		return err
	}
	name := s.deposit.Release
	_, err := s.client.Deposit.CreateRelease(ctx, &pb.CreateReleaseRequest{Parent: name.Product.String(), ReleaseId: name.Version})
	if err != nil && !fault.Is(err, fault.Exists) {
		return err
	}
	return s.send(ctx)
}

func (s *submission) requireOwn() error {
	vendor, org := s.deposit.Release.Product.Vendor, s.client.Profile.Organization
	if vendor == org {
		return nil
	}
	return fault.Deniedf("NOT_YOURS", "%s deposits for %s, and the profile speaks for %s", s.file.Path(), vendor, org).
		WithAdvice("use the profile of a member of %s", vendor)
}

// requireSame refuses a release that was sealed with another manifest.
func (s *submission) requireSame(r *pb.Release, advice string) error {
	if r.GetManifestDigest() == s.deposit.Digest.String() {
		return nil
	}
	return fault.Preconditionf("RELEASE_SEALED", r.GetName(), "%s was sealed on %s with another manifest, %s; this one is %s",
		output.Release(r.GetName()), output.Time(r.GetSealTime()), r.GetManifestDigest(), s.deposit.Digest).
		WithAdvice("%s", advice)
}

// blobs are the files of the release that are here.
func (s *submission) blobs() (blobs []upload.Blob) {
	for _, f := range s.deposit.Files {
		blobs = append(blobs, upload.Blob{Name: filepath.Base(f.Path), Digest: f.Digest, Size: f.Size,
			Open: func() (upload.Content, error) { return os.Open(f.Path) }})
	}
	if s.deposit.Image != nil {
		blobs = append(blobs, imageBlobs(s.deposit.Image)...)
	}
	return blobs
}

func (s *submission) send(ctx context.Context) error {
	vendor := s.deposit.Release.Product.Vendor
	if _, err := s.upload(ctx, s.client, vendor, s.parallel, s.blobs()); err != nil {
		return err
	}
	if s.deposit.Image == nil {
		return nil
	}
	_, err := register(ctx, s.client, vendor, s.deposit.Image.Digest, "")
	return err
}

// upload sends blobs with a progress bar on the error stream.
func (a *app) upload(ctx context.Context, c *client.Client, vendor resource.Organization, parallel int, blobs []upload.Blob) (upload.Summary, error) {
	meter := a.meter("UPLOAD")
	defer meter.Finish()
	sender := &upload.Sender{Service: c.Deposit, Vendor: vendor, Parallel: parallel, Progress: meter}
	sum, err := sender.Send(ctx, blobs)
	if err == nil {
		line := fmt.Sprintf("UPLOADED %s of %d blobs; %s were held before", output.Bytes(sum.Sent), sum.Blobs, output.Bytes(sum.HeldBytes+sum.Resumed))
		if sum.Again > 0 {
			line += fmt.Sprintf("; %s had to be sent again", output.Bytes(sum.Again))
		}
		meter.Note(line)
	}
	return sum, err
}

// meter shows the progress of a transfer on the error stream.
func (a *app) meter(verb string) *progress.Meter {
	switch {
	case a.outputFlag == "json":
		return progress.New(a.Err, progress.JSON, verb)
	case terminal(a.Err):
		return progress.New(a.Err, progress.Bar, verb)
	default:
		return progress.New(a.Err, progress.Lines, verb)
	}
}

// sealID derives a UUID from what is sealed, so that a repeated seal is known as such and gets the same receipt.
func sealID(d digest.Digest) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("countersign:seal:"+d.String())).String()
}

func (s *submission) seal(ctx context.Context) error {
	req := &pb.SealReleaseRequest{Name: s.deposit.Release.String(), Manifest: s.deposit.Bytes, RequestId: sealID(s.deposit.Digest)}
	for _, sig := range s.signatures {
		req.Signatures = append(req.Signatures, signatureMessage(sig))
	}
	resp, err := s.client.Deposit.SealRelease(ctx, req)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.receipt, resp.GetReceiptBundle(), 0o644); err != nil {
		return err
	}
	view := map[string]string{"release": s.deposit.Release.String(), "manifestDigest": s.deposit.Digest.String(),
		"receipt": resp.GetRelease().GetReceipt(), "receiptFile": s.receipt}
	return s.printer().Event(view, fmt.Sprintf("SEALED %s manifest %s\nRECEIPT %s %s", output.Release(s.deposit.Release.String()), s.deposit.Digest,
		output.Clean(resp.GetRelease().GetReceipt()), s.receipt))
}

func signatureMessage(s releasefile.Signature) *pb.Signature {
	m := &pb.Signature{Name: s.Name, MediaType: s.MediaType, Content: s.Content, List: s.List, ListName: s.ListName}
	if !s.Subject.IsZero() {
		m.Subject = s.Subject.String()
	}
	return m
}

func (s *submission) verdicts(ctx context.Context) error {
	name := s.deposit.Release.String()
	all, err := s.watch(ctx, s.client, name)
	if err != nil {
		return err
	}
	differs, err := s.printVerdicts(name, all)
	if err != nil {
		return err
	}
	if s.failOnDiffers && differs {
		return codeError(exitDiffers)
	}
	return nil
}
