package signature

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/authenticode"
	"github.com/countersign-escrow/countersign/verifier/signature/cms"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/minisign"
	"github.com/countersign-escrow/countersign/verifier/signature/openpgp"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/rawkey"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

// Trust is trust anchors, ready to judge by. It may be used concurrently.
type Trust struct {
	kinds      map[string]Kind // of signature files, by media type
	carries    map[string]bool // whether such a file always carries what it is over
	git        *gitobject.Verifier
	programs   *authenticode.Verifier
	unreadable error
}

// NewTrust reads anchors. Those that cannot be read are left out, and Unreadable names them.
func NewTrust(anchors []anchor.Anchor) *Trust {
	t := &Trust{kinds: make(map[string]Kind), carries: make(map[string]bool)}
	bundles, err1 := sigstorebundle.New(anchors)
	pgp, err2 := openpgp.New(anchors)
	ssh, err3 := sshsig.New(anchors)
	mini, err4 := minisign.New(anchors)
	x509, err5 := cms.New(anchors)
	raw, err6 := rawkey.New(anchors)
	programs, err7 := authenticode.New(anchors)
	t.unreadable = errors.Join(err1, err2, err3, err4, err5, err6, err7)
	t.git, t.programs = gitobject.New(pgp, inGit{ssh}, x509), programs
	read := map[reader]Kind{byBundle: bundles, byOpenPGP: pgp, bySSH: ssh, byMinisign: mini, byCMS: x509, byKey: raw}
	for _, f := range forms {
		name := canonical(f.mediaType)
		t.kinds[name], t.carries[name] = read[f.reader], f.carries
	}
	return t
}

// inGit is SSH signatures as git makes them.
type inGit struct{ *sshsig.Verifier }

func (g inGit) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	return g.ProveNamespace(ctx, content, of, sshsig.NamespaceGit)
}

// Unreadable returns what was wrong with anchors that were left out, nil if nothing. It names one that several kinds go by more than once.
func (t *Trust) Unreadable() error { return t.unreadable }

// CheckAnchor says what is wrong with an anchor that is to be registered.
func CheckAnchor(a anchor.Anchor) error {
	if _, err := describe(a); err != nil {
		return err
	}
	if len(a.Material) > anchor.MaxMaterial {
		return fmt.Errorf("has %d bytes, %d at most", len(a.Material), anchor.MaxMaterial)
	}
	return NewTrust([]anchor.Anchor{a}).Unreadable()
}

// Describe says in a line what an anchor holds: fingerprints, user ids, subjects. It is "" for one that cannot be read.
func Describe(a anchor.Anchor) string {
	s, err := describe(a)
	if err != nil {
		return ""
	}
	return proof.Text(s, 200)
}

func describe(a anchor.Anchor) (string, error) {
	switch a.Kind {
	case anchor.PublicKey, anchor.SigstoreIdentity, anchor.SigstoreRoot:
		return sigstorebundle.Describe(a)
	case anchor.OpenPGP:
		return openpgp.Describe(a)
	case anchor.SSH:
		return sshsig.Describe(a)
	case anchor.X509:
		return cms.Describe(a)
	case anchor.Minisign:
		return minisign.Describe(a)
	default:
		return "", fmt.Errorf("%q is no kind of anchor", a.Kind)
	}
}
