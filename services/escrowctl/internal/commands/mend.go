package commands

import (
	"bytes"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/releasefile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/upload"
)

// mendWith is the command that mends a release.
const mendWith = "escrowctl release mend RELEASE.YAML"

func (a *app) mendCommand() *cobra.Command {
	s := &submission{app: a}
	c := &cobra.Command{
		Use:   "mend RELEASE.YAML",
		Short: "Send again what was damaged or lost in custody (vendors)",
		Long: `Send those files of a sealed release again that the service found damaged or missing, and no others. The release file and
the files that it names must be those that were deposited; the service checks every byte against the digest under which it
was deposited. The release stays sealed and nothing about it changes.

Stopped in the middle and run again, it sends only the rest. There is a line for each file that was mended, up to
a hundred:

    MENDED <product>/<version> <role> <path> <digest>`,
		Example: "  escrowctl release mend release.yaml",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.mend(cmd.Context(), args[0]) },
	}
	c.Flags().IntVar(&s.parallel, "parallel", 4, "files to send at a time")
	return c
}

func (s *submission) mend(ctx context.Context, path string) (err error) {
	if s.parallel < 1 {
		return usagef("--parallel %d: must be at least 1", s.parallel)
	}
	s.goOn = fmt.Sprintf("escrowctl release mend %s (only the rest is sent)", quote(path))
	if s.file, err = releasefile.Read(path); err != nil {
		return err
	}
	if s.deposit, err = s.file.Prepare(ctx); err != nil {
		return err
	}
	defer s.deposit.Close()
	if s.client, err = s.connect(); err != nil {
		return err
	}
	defer s.client.Close()
	r, err := s.sealed(ctx)
	if err != nil {
		return err
	}
	if len(r.GetDamagedFiles()) == 0 {
		return s.printer().Event(r, fmt.Sprintf("WHOLE %s: nothing of it is known to be damaged", output.Release(r.GetName())))
	}
	return s.sendAgain(ctx, r)
}

// sealed returns the release that was sealed with this very manifest.
func (s *submission) sealed(ctx context.Context) (*pb.Release, error) {
	if err := s.requireOwn(); err != nil {
		return nil, err
	}
	resp, err := s.client.Deposit.GetRelease(ctx, &pb.GetReleaseRequest{Name: s.deposit.Release.String()})
	if err != nil {
		return nil, err
	}
	r := resp.GetRelease()
	if r.GetState() != pb.ReleaseState_RELEASE_STATE_SEALED {
		return nil, fault.Preconditionf("RELEASE_OPEN", r.GetName(), "%s is not sealed yet", output.Release(r.GetName())).
			WithAdvice("deposit it: escrowctl release submit %s", quote(s.file.Path()))
	}
	return r, s.requireSame(r, "have the release file and every file that it names as they were when they were deposited")
}

// sendAgain sends what the service lacks of a release, and tells what is mended and what is not.
func (s *submission) sendAgain(ctx context.Context, before *pb.Release) error {
	blobs := append(s.blobs(), upload.Blob{Name: "manifest", Digest: s.deposit.Digest, Size: int64(len(s.deposit.Bytes)),
		Open: func() (upload.Content, error) { return memory{bytes.NewReader(s.deposit.Bytes)}, nil }})
	if _, err := s.upload(ctx, s.client, s.deposit.Release.Product.Vendor, s.parallel, blobs); err != nil {
		return err
	}
	after, err := s.sealed(ctx)
	if err != nil {
		return err
	}
	still := map[string]bool{}
	for _, f := range after.GetDamagedFiles() {
		still[f.GetDigest()] = true
	}
	for _, f := range before.GetDamagedFiles() {
		if still[f.GetDigest()] {
			continue
		}
		if err := s.printer().Event(f, fmt.Sprintf("MENDED %s %s", output.Release(before.GetName()), damagedFile(f))); err != nil {
			return err
		}
	}
	return stillDamaged(after)
}

// memory is a blob that is not a file.
type memory struct{ *bytes.Reader }

// Close has nothing to give up.
func (memory) Close() error { return nil }

// stillDamaged is the error of a release of which not all could be sent from here.
func stillDamaged(r *pb.Release) error {
	rest := r.GetDamagedFiles()
	if len(rest) == 0 {
		return nil
	}
	advice := "have the release file name it as a file here, and run the same command again"
	if rest[0].GetRole() == pb.FileRole_FILE_ROLE_ENVIRONMENT {
		advice = "send the image again: escrowctl environment add IMAGE"
	}
	return fault.Preconditionf("STILL_DAMAGED", r.GetName(), "%d files are damaged still, which are not among the files here: %s", len(rest), damagedFile(rest[0])).
		WithAdvice("%s", advice)
}

// damagedFile names a file: role, path and digest.
func damagedFile(f *pb.DamagedFile) string {
	path := f.GetPath()
	if path == "" {
		path = "-"
	}
	return fmt.Sprintf("%s %s %s", output.Enum(f.GetRole(), "FILE_ROLE_"), output.Clean(path), output.Clean(f.GetDigest()))
}

// tellDamaged tells the vendor, beside what was asked for, that files of a release are damaged and what can be done.
func (a *app) tellDamaged(r *pb.Release) {
	if n := len(r.GetDamagedFiles()); n > 0 {
		fmt.Fprintf(a.Err, "DAMAGED %s: %d files, among them %s (send them again: %s)\n",
			output.Release(r.GetName()), n, damagedFile(r.GetDamagedFiles()[0]), mendWith)
	}
}
