package rebuild

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild/image"
)

// apart is how much later than the first run the second one makes its folders, and how long after the end of the first it
// runs the recipe, at the least: so that a time of day in whole seconds, or in the two seconds of some archive formats,
// is another one.
const apart = 2 * time.Second

// job is one rebuild of one release.
type job struct {
	*Rebuilder
	manifest *manifest.Manifest
	setting  Setting
	runs     []*run
	unpacked time.Time // when the last run's folders were complete
	ended    time.Time // when the last run's recipe ended
}

// run is one run of the recipe and what came of it.
type run struct {
	space    *workspace
	plan     *Plan
	evidence finding.RunEvidence
	stopped  finding.Verdict
}

func (j *job) rebuild(ctx context.Context) ([]finding.Finding, error) {
	im, err := image.Open(ctx, j.cfg.Materials.Blob, j.manifest.Environment.Image)
	if err != nil {
		return nil, err
	}
	if here := runtime.GOOS + "/" + runtime.GOARCH; !samePlatform(im.Platform, here) {
		return j.stopped(finding.Incomplete, fmt.Sprintf("the environment is for %s, this rebuilder runs on %s", im.Platform, here)), nil
	}
	j.setting = Setting{Platform: im.Platform, Path: im.Path, Bounds: j.cfg.Bounds}

	first, err := j.run(ctx, FirstConditions)
	if err != nil {
		return nil, err
	}
	if first.stopped != "" {
		return j.stopped(first.stopped, describe(first)), nil
	}
	var second *run
	if j.anyDiffers(first) {
		if second, err = j.again(ctx); err != nil {
			return nil, err
		}
	}
	return j.judge(ctx, first, second)
}

func samePlatform(image, here string) bool {
	return image == here || image == "linux/arm64/v8" && here == "linux/arm64"
}

// again runs the recipe a second time, in other conditions and at another time.
func (j *job) again(ctx context.Context) (*run, error) {
	j.cfg.Progress("some artifacts differ; rebuilding in other conditions")
	return j.run(ctx, SecondConditions)
}

// run unpacks the sources afresh, runs the recipe on them and takes out what it made.
func (j *job) run(ctx context.Context, c Conditions) (*run, error) {
	r, err := j.prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := j.execute(ctx, r); err != nil {
		return nil, err
	}
	if r.stopped == "" {
		err = r.collect()
	}
	j.cfg.Progress("the recipe " + describe(r))
	if err != nil {
		return nil, err
	}
	return r, r.space.clear()
}

// prepare makes a run's folders, apart in time from those of an earlier run, and its plan.
func (j *job) prepare(ctx context.Context, c Conditions) (*run, error) {
	if err := waitUntil(ctx, j.unpacked.Add(apart)); err != nil {
		return nil, err
	}
	w, err := newWorkspace(j.cfg.WorkDir)
	if err != nil {
		return nil, err
	}
	r := &run{space: w}
	j.runs = append(j.runs, r)
	j.cfg.Progress("unpacking the sources")
	at, err := w.unpack(ctx, j.cfg.Materials, j.manifest.Sources)
	if err != nil {
		return nil, err
	}
	if len(j.runs) == 1 {
		j.setting.SourceTime = at
	}
	j.setting.Conditions = c
	r.plan, err = NewPlan(j.manifest, j.setting)
	j.unpacked = time.Now()
	return r, err
}

// execute runs the recipe, apart in time from an earlier run, and records how it ended.
func (j *job) execute(ctx context.Context, r *run) error {
	if err := waitUntil(ctx, j.ended.Add(apart)); err != nil {
		return err
	}
	j.cfg.Progress(fmt.Sprintf("running the recipe in %s", j.cfg.Sandbox.Runtime()))
	res, err := j.cfg.Sandbox.Run(ctx, r.plan, Workspace{Dir: r.space.dir(), Blob: j.cfg.Materials.Blob})
	if err != nil {
		return err
	}
	j.ended = time.Now()
	r.record(res, j.cfg.Sandbox.Runtime())
	return nil
}

// waitUntil waits for a time, which may have gone by.
func waitUntil(ctx context.Context, at time.Time) error {
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}

func (r *run) record(res Result, runtimeName string) {
	r.stopped = res.Stopped
	r.evidence = finding.RunEvidence{
		Plan:       r.plan.Digest(),
		Runtime:    runtimeName,
		Conditions: r.plan.Conditions.words(),
		Result:     "ENDED",
		ExitCode:   res.ExitCode,
		Reached:    res.Reached,
		Started:    res.Started.UTC().Format(time.RFC3339),
		WallMillis: res.Wall.Milliseconds(),
		CPUMillis:  res.CPU.Milliseconds(),
		PeakMemory: res.PeakMemory,
		LogTail:    res.Log,
	}
	if r.stopped != "" {
		r.evidence.Result = string(r.stopped)
	}
}

// collect takes out the outputs, unless they are larger than allowed.
func (r *run) collect() error {
	if n, most := r.space.outputSize(r.plan.Outputs), r.plan.Limits.OutputBytes; n > most {
		r.stopped = finding.ResourceExceeded
		r.evidence.Result = string(r.stopped)
		r.evidence.Reached = fmt.Sprintf("outputs of %d bytes, %d allowed", n, most)
		return nil
	}
	var err error
	r.evidence.Outputs, err = r.space.collect(r.plan.Outputs)
	return err
}

func (j *job) anyDiffers(r *run) bool {
	for i, a := range j.manifest.Artifacts {
		if o := r.evidence.Outputs[i]; o.Problem == "" && o.Digest != a.Digest {
			return true
		}
	}
	return false
}

func (j *job) close() {
	for _, r := range j.runs {
		// What cannot be removed now is swept at the next start.
		_ = r.space.remove()
	}
}

// describe says in a few words how a run ended.
func describe(r *run) string {
	e := r.evidence
	took := (time.Duration(e.WallMillis) * time.Millisecond).Round(100 * time.Millisecond)
	switch r.stopped {
	case "":
		return fmt.Sprintf("ended after %v", took)
	case finding.BuildFailed:
		if e.Reached != "" {
			return "did not run: " + e.Reached
		}
		return fmt.Sprintf("failed with exit code %d after %v", e.ExitCode, took)
	case finding.TimedOut:
		return fmt.Sprintf("was stopped by the time limit: %s", e.Reached)
	default:
		return fmt.Sprintf("was stopped by a limit: %s", e.Reached)
	}
}
