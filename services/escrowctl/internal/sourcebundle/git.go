package sourcebundle

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// repository runs stock git in a folder.
type repository struct{ dir string }

// run returns what git prints, without the end of the last line.
func (r repository) run(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", r.dir}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return strings.TrimSuffix(out.String(), "\n"), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", fault.Preconditionf("NO_GIT", "", "there is no git on this machine").WithAdvice("install git and run it again")
	case ctx.Err() != nil || !errors.As(err, &failed):
		return "", errors.Join(ctx.Err(), err)
	case strings.Contains(errs.String(), "Refusing to create empty bundle"):
		return "", fault.Preconditionf("NOTHING_NEW", "", "the bases hold all of the tag already").WithAdvice("deposit the earlier bundle again with this tag in it, or leave the bases out")
	}
	return "", fault.Preconditionf("GIT_FAILED", r.dir, "git: %s", strings.TrimSpace(errs.String()))
}

// LFSObjects returns the folder in which the repository keeps Git LFS objects, whether it is there or not.
func LFSObjects(ctx context.Context, dir string) (string, error) {
	common, err := repository{dir}.run(ctx, "", "rev-parse", "--path-format=absolute", "--git-common-dir")
	return common + "/lfs/objects", err
}
