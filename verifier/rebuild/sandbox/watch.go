package sandbox

import (
	"context"
	"os/exec"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
)

// How often a run is looked at. A look at the figures reads two small files; one at the disk walks the whole
// workspace, and so waits for a multiple of the time that the last walk took.
const (
	figuresEvery  = 100 * time.Millisecond
	diskEvery     = 250 * time.Millisecond
	diskEveryWalk = 50
)

// watch waits for the end of the runtime, which it brings about when ctx ends or a limit is passed.
func (c *container) watch(ctx context.Context, cmd *exec.Cmd) reason {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state says all
	}()
	full := c.watchDisk(ended)
	wall := time.NewTimer(seconds(c.plan.Limits.WallSeconds))
	defer wall.Stop()
	figures := time.NewTicker(figuresEvery)
	defer figures.Stop()
	var why reason
	for why.verdict == "" {
		select {
		case <-ended:
			return why
		case <-ctx.Done():
			why.verdict = finding.TimedOut // not told: the context's error is
		case <-wall.C:
			why = reason{finding.TimedOut, "still running after " + seconds(c.plan.Limits.WallSeconds).String()}
		case <-figures.C:
			why = c.checkFigures()
		case why = <-full:
		}
	}
	c.stop(cmd, ended)
	return why
}

// checkFigures sees limits that the kernel itself does not, or not wholly, enforce.
func (c *container) checkFigures() reason {
	if cpu := c.group.cpu(); cpu > seconds(c.plan.Limits.CPUSeconds) {
		return c.cpuExceeded(cpu)
	}
	if u := c.group.read(); u.oomKills > 0 { // the kernel ends one process only
		return exceeded("memory of %d bytes, %d allowed", max(u.peak, c.plan.Limits.MemoryBytes), c.plan.Limits.MemoryBytes)
	}
	return reason{}
}

func (c *container) cpuExceeded(cpu time.Duration) reason {
	return exceeded("%.1f s of processor time, %d s allowed", cpu.Seconds(), c.plan.Limits.CPUSeconds)
}

// watchDisk measures the workspace until the run ends, and tells when it is too large.
func (c *container) watchDisk(ended <-chan struct{}) <-chan reason {
	full := make(chan reason, 1)
	go func() {
		pause := diskEvery
		for {
			select {
			case <-ended:
				return
			case <-time.After(pause):
			}
			begun := time.Now()
			if why := c.checkDisk(); why.verdict != "" {
				full <- why
				return
			}
			pause = max(diskEvery, diskEveryWalk*time.Since(begun))
		}
	}()
	return full
}

func (c *container) checkDisk() reason {
	u, err := measure(c.build)
	if err != nil {
		return exceeded("disk: %v", err)
	}
	u.addDeleted(c.group.processes())
	if most := c.plan.Limits.DiskBytes; u.bytes >= most {
		return exceeded("%d bytes of disk, %d allowed", u.bytes, most)
	}
	return reason{}
}
