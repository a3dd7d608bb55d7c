package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// Git makes repositories of bundles with the git that is installed.
type Git struct {
	program string
	folder  *os.Root
	Bare    bool // leave out the working copy
}

// NewGit looks for git.
func NewGit(folder *os.Root) (*Git, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fault.Preconditionf("NO_GIT", "", "there is no git on the path").WithAdvice("install git, or use --source folder or --source files")
	}
	return &Git{program: program, folder: folder}, nil
}

// Repository makes a repository of a fetched bundle and of those that it builds on, with the tag of the manifest checked out.
// It returns where it is. Where it is there already it is left as it is, and made is false.
//
// Git's own checks of objects are on. Of the bundle's references only branches and tags are taken, for others can change what
// an object seems to hold; and no configuration or hook of this machine takes part.
func (g *Git) Repository(ctx context.Context, s manifest.Source, bundle string) (where string, made bool, err error) {
	where = path.Join(GitFolder, strings.TrimSuffix(path.Base(bundle), ".bundle"))
	if dir, err := enter(g.folder, where); err != nil {
		return where, false, err
	} else if err := dir.Close(); err != nil {
		return where, false, err
	}
	made, err = whole(g.folder, where, func(partial string) error { return g.make(ctx, s, bundle, partial) })
	if err != nil {
		err = fmt.Errorf("%s: %w", bundle, err)
	}
	return where, made, err
}

func (g *Git) make(ctx context.Context, s manifest.Source, bundle, dir string) error {
	if err := g.run(ctx, dir, append([]string{"init", "--quiet", "--template="}, g.bareFlag()...)...); err != nil {
		return err
	}
	for i, b := range s.Bases {
		into := fmt.Sprintf("refs/bases/%d/", i+1)
		if err := g.fetch(ctx, dir, BasePath(b.Digest), into+"heads/", into+"tags/"); err != nil {
			return fmt.Errorf("base %d: %w", i+1, err)
		}
	}
	if err := g.fetch(ctx, dir, bundle, "refs/heads/", "refs/tags/"); err != nil {
		return err
	}
	if err := g.placeLFS(s, dir); err != nil || g.Bare {
		return err
	}
	return g.run(ctx, dir, "checkout", "--quiet", "--detach", "refs/tags/"+strings.TrimPrefix(s.Tag, "refs/tags/"))
}

func (g *Git) bareFlag() []string {
	if g.Bare {
		return []string{"--bare"}
	}
	return nil
}

// fetch takes branches and tags out of a bundle.
func (g *Git) fetch(ctx context.Context, dir, bundle, heads, tags string) error {
	return g.run(ctx, dir, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok", "--no-auto-maintenance", "--recurse-submodules=no",
		g.path(bundle), "+refs/heads/*:"+heads+"*", "+refs/tags/*:"+tags+"*")
}

func (g *Git) path(p string) string { return filepath.Join(g.folder.Name(), filepath.FromSlash(p)) }

var gitOptions = []string{
	"-c", "transfer.fsckObjects=true", "-c", "fetch.fsckObjects=true", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.useReplaceRefs=false",
	"-c", "core.protectHFS=true", "-c", "core.protectNTFS=true", "-c", "core.fsync=committed", "-c", "protocol.allow=never", "-c", "protocol.file.allow=always",
	"-c", "advice.detachedHead=false",
}

// run runs git in a folder. What it says goes into the error.
func (g *Git) run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, g.program, append(append([]string{}, gitOptions...), args...)...)
	cmd.Dir = g.path(dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(cmd.Dir), "LC_ALL=C"}
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &limited{&said, 4 << 10}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		refused := fault.Invalidf("git "+args[0], "%s", strings.TrimSpace(said.String()))
		refused.Reason, refused.Err = "GIT_REFUSED", err
		return refused.WithAdvice("the file is as it was deposited; --source folder reads it without git")
	}
	return nil
}

// limited keeps the first bytes of what is written to it.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.to.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// placeLFS copies Git LFS objects to where git-lfs looks for them.
func (g *Git) placeLFS(s manifest.Source, dir string) error {
	if !g.Bare {
		dir = path.Join(dir, ".git")
	}
	for _, f := range s.LFS {
		hex := f.Digest.Hex()
		to := path.Join(dir, "lfs", "objects", hex[:2], hex[2:4])
		if err := g.folder.MkdirAll(to, folderMode); err != nil {
			return err
		}
		if err := g.copy(LFSPath(f.Digest), path.Join(to, hex), f.Digest); err != nil {
			return err
		}
	}
	return nil
}

func (g *Git) copy(from, to string, d digest.Digest) (err error) {
	in, err := g.folder.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := g.folder.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("Git LFS object %s: %w", d, err)
	}
	return nil
}
