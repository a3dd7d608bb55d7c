package catalog

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Role says what a file is to its release.
type Role string

// The roles of files.
const (
	RoleSource      Role = "SOURCE"
	RoleArtifact    Role = "ARTIFACT"
	RoleEnvironment Role = "ENVIRONMENT" // a blob of the environment's image
	RoleManifest    Role = "MANIFEST"
)

// ReleaseFile is a file of a sealed release.
type ReleaseFile struct {
	BlobRef
	Role Role
	Path string // an artifact's path in the manifest, a source's name; may be empty
}

const fileColumns = `digest, size, role, path`

func scanFile(r row) (*ReleaseFile, error) {
	var f ReleaseFile
	return &f, r.Scan(digestInto(&f.Digest), &f.Size, &f.Role, &f.Path)
}

func (t *Tx) insertReleaseFile(name resource.Release, f ReleaseFile) error {
	_, err := t.exec(name.String()+"/files/"+f.Path, `INSERT INTO release_files (release, `+fileColumns+`) VALUES ($1, $2, $3, $4, $5)`,
		name.String(), f.Digest.String(), f.Size, string(f.Role), f.Path)
	return err
}

// ReleaseFiles returns all files of a release, by role and path.
func (t *Tx) ReleaseFiles(name resource.Release) ([]ReleaseFile, error) {
	return queryAll(t, "files of "+name.String(), scanFile,
		`SELECT `+fileColumns+` FROM release_files WHERE release = $1 ORDER BY role, path, digest`, name.String())
}

// ReleaseFile returns a file of a release by its digest; where the release has several with the same bytes, one of them.
func (t *Tx) ReleaseFile(name resource.Release, d digest.Digest) (*ReleaseFile, error) {
	return queryOne(t, name.String()+"/files/"+d.Hex(), scanFile,
		`SELECT `+fileColumns+` FROM release_files WHERE release = $1 AND digest = $2 ORDER BY role, path LIMIT 1`, name.String(), d.String())
}

// ArtifactPlace is one place where a file is shipped.
type ArtifactPlace struct {
	Release resource.Release
	Path    string // the artifact's path in the manifest
}

func scanPlace(r row) (*ArtifactPlace, error) {
	var p ArtifactPlace
	return &p, r.Scan(releaseInto(&p.Release), &p.Path)
}

// ReleasesByArtifact returns where an artifact with that digest is shipped, in releases that are the viewer's own or that
// it has a live grant for at the time now, by name.
func (t *Tx) ReleasesByArtifact(d digest.Digest, viewer resource.Organization, now time.Time, limit int) ([]ArtifactPlace, error) {
	args := arguments{d.String(), string(RoleArtifact)}
	own := args.add(viewer.String())
	return queryAll(t, "artifacts", scanPlace, `
		SELECT f.release, f.path FROM release_files f
		JOIN releases r ON r.name = f.release
		JOIN products p ON p.name = r.product
		WHERE f.digest = $1 AND f.role = $2 AND (p.vendor = `+own+` OR EXISTS (`+liveGrant(&args, "r.product", viewer, now)+`))
		ORDER BY f.release, f.path LIMIT `+args.add(bound(limit)), args...)
}
