package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

// container is one run of the runtime.
type container struct {
	runtime engine
	id      string
	bundle  string
	group   group
	plan    *rebuild.Plan
	build   string
	log     logBuffer
}

// write writes the configuration into the bundle's folder.
func (b bundle) write(dir string) error {
	s, err := b.spec()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600)
}

// run starts the container, watches it until it ends or a limit ends it, and says what it did.
func (c *container) run(ctx context.Context) (rebuild.Result, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return rebuild.Result{}, err
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(&c.log, out) // the buffer never fails, and the pipe ends with its writers
	}()
	cmd := c.runtime.command("--log", c.logFile(), "--log-format", "json", "run", "--keep", "--bundle", c.bundle, c.id)
	cmd.Stdout, cmd.Stderr = in, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's interrupt is for us to pass on
	res := rebuild.Result{Started: time.Now()}
	err = cmd.Start()
	in.Close()
	if err != nil {
		return res, errors.Join(fmt.Errorf("starting %s: %w", c.runtime.program, err), out.Close())
	}
	why := c.watch(ctx, cmd)
	res.Wall = time.Since(res.Started)
	used := c.group.read()
	c.drain(drained)
	out.Close()
	res.ExitCode, res.CPU, res.PeakMemory, res.Log = cmd.ProcessState.ExitCode(), used.cpu, used.peak, c.log.String()
	if err := ctx.Err(); err != nil {
		return res, err
	}
	c.judge(&res, why, used)
	if message := c.runtimeError(); res.Stopped == finding.BuildFailed && message != "" {
		return c.notStarted(res, message)
	}
	return res, nil
}

// drain waits for the end of the log, which comes when nothing is left that could write to it. What the runtime has
// left running, if it had to be ended itself, goes now.
func (c *container) drain(drained <-chan struct{}) {
	for {
		c.group.kill()
		select {
		case <-drained:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c *container) logFile() string { return filepath.Join(c.bundle, "runtime.log") }

// judge fills in how the run ended.
func (c *container) judge(res *rebuild.Result, why reason, u used) {
	l := c.plan.Limits
	failed := res.ExitCode != 0 || why.verdict != ""
	switch {
	case why.verdict == finding.ResourceExceeded:
	case u.oomKills > 0:
		why = exceeded("memory of %d bytes, %d allowed", max(u.peak, l.MemoryBytes), l.MemoryBytes)
	case failed && u.forkFails > 0:
		why = exceeded("%d processes at once, which is what is allowed", l.Processes)
	case why.verdict == finding.TimedOut:
	case failed && u.cpu >= seconds(l.CPUSeconds):
		why = c.cpuExceeded(u.cpu)
	case failed:
		if why = c.checkDisk(); why.verdict == "" {
			why.verdict = finding.BuildFailed
		}
	}
	res.Stopped, res.Reached = why.verdict, why.reached
}

// notStarted tells a command that is not there, which is the recipe's fault, from a failure of the runtime.
func (c *container) notStarted(res rebuild.Result, message string) (rebuild.Result, error) {
	if i := strings.Index(message, fmt.Sprintf("exec: %q: ", c.plan.Argv[0])); i >= 0 {
		res.ExitCode, res.Reached = notFound, plain([]byte(message[i:]))
		return res, nil
	}
	return res, fmt.Errorf("%s did not start the container: %s", filepath.Base(c.runtime.program), message)
}

// runtimeError returns the last error in the runtime's own log, "" if it did what it was told.
func (c *container) runtimeError() string {
	raw, err := os.ReadFile(c.logFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	message := ""
	for line := range bytes.Lines(raw) {
		var e struct{ Level, Msg string }
		if json.Unmarshal(line, &e) == nil && e.Level == "error" {
			message = e.Msg
		}
	}
	return message
}

// reason is why a run was stopped; none while the verdict is "".
type reason struct {
	verdict finding.Verdict
	reached string
}

func exceeded(format string, args ...any) reason {
	return reason{finding.ResourceExceeded, fmt.Sprintf(format, args...)}
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// stop ends the container, and the runtime if it does not end with it.
func (c *container) stop(cmd *exec.Cmd, ended <-chan struct{}) {
	const patience = 10 * time.Second
	late := time.After(patience)
	for {
		c.group.kill()
		select {
		case <-ended:
			return
		case <-late:
			_ = cmd.Process.Kill() // the sweep after the run ends what it leaves
		case <-time.After(10 * time.Millisecond):
		}
	}
}
