package signature

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/checksums"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/statement"
)

// coverage is what of a release a signature is over.
type coverage struct {
	files   []proof.Covered
	text    string // for people
	notes   []string
	problem string // why it covers nothing of the release
}

// ofFile is the coverage of a signature over one file of the release.
func ofFile(f proof.File, scope string) coverage {
	what := "the manifest"
	switch f.Role {
	case proof.Source:
		what = "the source " + f.Name
	case proof.Artifact:
		what = "the artifact " + f.Name
	}
	text := fmt.Sprintf("%s, %s", what, f.Digest)
	if scope != "" {
		text += ": " + scope
	}
	return coverage{files: []proof.Covered{{Role: f.Role, Name: f.Name, Digest: f.Digest}}, text: text}
}

// ofContent is the coverage of a signature that carries what it is over: a statement, a file of the release, or a list of files.
func (c *check) ofContent(ctx context.Context, s *proof.Signed) (coverage, error) {
	if s.MediaType == proof.StatementType {
		return c.ofStatement(ctx, s.Content)
	}
	sum := digest.Of(s.Content)
	var out coverage
	for _, f := range c.files {
		if f.Digest == sum {
			one := ofFile(f, "")
			out.files, out.text = append(out.files, one.files...), one.text
		}
	}
	if len(out.files) > 0 {
		return out, nil
	}
	return c.ofList(ctx, "the text that it carries", s.Content)
}

func (c *check) ofStatement(ctx context.Context, content []byte) (coverage, error) {
	s, err := statement.Parse(content)
	if err != nil {
		return coverage{text: "an in-toto statement", problem: fmt.Sprintf("the statement that it carries cannot be used: %v", err)}, nil
	}
	var out coverage
	out.files, out.notes, out.problem, err = s.Cover(statement.Release{
		Product: c.release.Name.Product.String(), Version: c.release.Name.Version, Files: c.files, Git: c.release.Git,
		Hash512: func(f proof.File) ([64]byte, error) { return c.sha512(ctx, f) },
	})
	out.text = fmt.Sprintf("%s that an in-toto statement of the type %.200q names", count(len(out.files)), s.PredicateType)
	if out.problem == "" && len(out.files) == 0 {
		out.problem = "the statement names no file of the release"
	}
	return out, err
}

// ofList is the coverage of a signature over a list of checksums.
func (c *check) ofList(ctx context.Context, name string, content []byte) (coverage, error) {
	out := coverage{text: name}
	list, err := checksums.Parse(content)
	if err != nil {
		out.problem = fmt.Sprintf("%s is no file of the release and no list of checksums: %v", name, err)
		return out, nil
	}
	out.files, out.notes, err = list.Cover(c.files, func(f proof.File) ([64]byte, error) { return c.sha512(ctx, f) })
	out.notes = few(append(list.Notes, out.notes...))
	out.text = count(len(out.files)) + " that " + name + " names"
	if len(out.files) == 0 {
		out.problem = name + " names no file of the release with its checksum"
	}
	return out, err
}

// sha512 hashes a file of the release, once.
func (c *check) sha512(ctx context.Context, f proof.File) (sum [64]byte, err error) {
	if sum, ok := c.sums[f.Digest]; ok {
		return sum, nil
	}
	err = f.Read(ctx, func(r io.Reader) error {
		h := sha512.New()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		h.Sum(sum[:0])
		return nil
	})
	if err == nil {
		c.sums[f.Digest] = sum
	}
	return sum, err
}

func count(files int) string {
	if files == 1 {
		return "one file of the release"
	}
	return fmt.Sprintf("%d files of the release", files)
}
