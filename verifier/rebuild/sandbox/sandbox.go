// Package sandbox runs rebuild plans in an OCI runtime: no network, no host files, no privileges, bounded in everything.
// It knows nothing of releases, artifacts or verdicts about them.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/scratch"
)

// idPrefix starts the ids of containers, which are the names of their bundle folders and control groups too.
const idPrefix = "countersign-"

// Config says which runtime to use and where.
type Config struct {
	Runtime      string // the runtime's name or path; "" for runc
	StateDir     string // the runtime's state and the bundles of running containers
	CacheDir     string // unpacked images, one folder per digest
	CgroupParent string // the control group above those of the runs; "" for /countersign
}

// Sandbox implements rebuild.Sandbox.
type Sandbox struct {
	runtime engine
	name    string // of the runtime, with its version
	images  *images
	bundles string
	parent  string
	groups  hierarchy
}

// New makes a Sandbox and ends what dead processes left running. The error says in one line what is missing where
// plans cannot be confined here.
func New(cfg Config) (*Sandbox, error) {
	if cfg.Runtime == "" {
		cfg.Runtime = "runc"
	}
	if cfg.CgroupParent == "" {
		cfg.CgroupParent = "/countersign"
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the sandbox must run as root: only root can set the limits of a build")
	}
	state, err := filepath.Abs(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	cache, err := filepath.Abs(cfg.CacheDir)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{bundles: filepath.Join(state, "bundles"), parent: cfg.CgroupParent}
	if s.runtime, err = findRuntime(cfg.Runtime, filepath.Join(state, "runtime")); err != nil {
		return nil, err
	}
	if s.name, err = s.runtime.version(); err != nil {
		return nil, err
	}
	if s.groups, err = findHierarchy("/sys/fs/cgroup", s.parent); err != nil {
		return nil, err
	}
	if s.images, err = newImages(cache); err != nil {
		return nil, err
	}
	if err := scratch.Sweep(s.bundles, idPrefix, s.end); err != nil {
		return nil, fmt.Errorf("ending what an earlier process left running: %w", err)
	}
	return s, nil
}

// Runtime returns name and version of the runtime.
func (s *Sandbox) Runtime() string { return s.name }

// end removes the container of a bundle folder, and its control group with every process in it.
func (s *Sandbox) end(bundle string) error {
	id := filepath.Base(bundle)
	s.group(id).kill()
	err := s.runtime.delete(id)
	return errors.Join(s.group(id).remove(), err)
}

func (s *Sandbox) group(id string) group { return s.groups.group(filepath.Join(s.parent, id)) }

// Run implements rebuild.Sandbox.
func (s *Sandbox) Run(ctx context.Context, p *rebuild.Plan, w rebuild.Workspace) (res rebuild.Result, err error) {
	rootfs, err := s.images.folder(ctx, p.Image, w.Blob)
	if err != nil {
		return res, err
	}
	if problem := checkDir(p, w); problem != "" {
		return rebuild.Result{Stopped: finding.BuildFailed, ExitCode: notFound, Reached: problem}, nil
	}
	if err := own(w.Dir, int(p.Conditions.UID), int(p.Conditions.GID)); err != nil {
		return res, err
	}
	f, err := scratch.Make(s.bundles, idPrefix)
	if err != nil {
		return res, err
	}
	defer func() {
		gone := s.end(f.Path)
		if gone == nil {
			gone = f.Remove() // where the container could not be ended, the folder stays for the next sweep
		}
		err = errors.Join(err, gone)
	}()
	b := bundle{plan: p, rootfs: rootfs, build: w.Dir, group: s.group(f.Name())}
	if err := b.write(f.Path); err != nil {
		return res, err
	}
	c := &container{runtime: s.runtime, id: f.Name(), bundle: f.Path, group: b.group, plan: p, build: w.Dir}
	return c.run(ctx)
}

// notFound is the exit code by which shells say that a command or a folder is not there.
const notFound = 127

// checkDir says what is wrong with the working folder, which the vendor's source must hold.
func checkDir(p *rebuild.Plan, w rebuild.Workspace) string {
	root, err := os.OpenRoot(w.Dir)
	if err != nil {
		return err.Error()
	}
	defer root.Close()
	rel := strings.TrimPrefix(strings.TrimPrefix(p.Dir, "/build"), "/")
	if fi, err := root.Stat(filepath.Join(".", rel)); err != nil || !fi.IsDir() {
		return fmt.Sprintf("the working folder %s does not exist", p.Dir)
	}
	return ""
}

// own gives the tree to the user that the build runs as. Nothing else touches it yet, and links are not followed.
func own(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// engine is an OCI runtime's program with the folder of its state.
type engine struct {
	program string
	root    string
}

func findRuntime(name, root string) (engine, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return engine{}, fmt.Errorf("no OCI runtime %q on this machine: install it, on Debian with: apt-get install runc", name)
	}
	r := engine{program: program, root: root}
	if help, _ := exec.Command(program, "run", "--help").CombinedOutput(); !strings.Contains(string(help), "--keep") {
		return r, fmt.Errorf("the OCI runtime %q cannot keep a stopped container (run --keep): use runc 1.1 or later", name)
	}
	return r, os.MkdirAll(root, 0o700)
}

func (r engine) command(args ...string) *exec.Cmd {
	return exec.Command(r.program, append([]string{"--root", r.root}, args...)...)
}

// version returns name and version, such as "runc 1.1.5".
func (r engine) version() (string, error) {
	out, err := r.command("--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", r.program, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.Replace(line, " version ", " ", 1), nil
}

// exists says whether the runtime knows a container, running or stopped.
func (r engine) exists(id string) bool { return r.command("state", id).Run() == nil }

// delete ends and removes a container; one that is not there is none.
func (r engine) delete(id string) error {
	out, err := r.command("delete", "--force", id).CombinedOutput()
	if err != nil && r.exists(id) {
		return fmt.Errorf("removing container %s: %w: %s", id, err, out)
	}
	return nil
}
