package jobs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
)

const workerURL = "COUNTERSIGN_TEST_WORKER_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		if err := work(url); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Main(m))
}

// work is another process: it says what it was given, takes a second, and fails.
func work(url string) error {
	ctx := context.Background()
	c, err := catalog.OpenPostgres(ctx, url)
	if err != nil {
		return err
	}
	q, err := Open(ctx, c.DB(), Config{Dialect: catalog.PostgreSQL, Poll: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	q.pace = fast
	h := newRecorder()
	h.do = func(_ context.Context, a Args) error {
		fmt.Println("began", a.Kind())
		time.Sleep(time.Second)
		fmt.Println("ended", a.Kind())
		return errNeverMind
	}
	if err := q.StartPublishing(ctx, h.handlers().Publish); err != nil {
		return err
	}
	if err := q.Start(ctx, h.handlers(), Checks, Quick); err != nil {
		return err
	}
	fmt.Println("ready", q.process)
	bufio.NewReader(os.Stdin).ReadString('\n') //nolint:errcheck // the end of the test, or its word to end
	return q.Stop(ctx, 5*time.Second)
}

// worker is another process on the same queue.
type worker struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	name  string
	stdin interface{ Close() error }
}

func startWorker(t *testing.T, url string) *worker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerURL+"="+url)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w := &worker{cmd: cmd, lines: bufio.NewScanner(out), stdin: in}
	w.name = w.says(t, "ready")
	return w
}

// says waits for a line that begins with a word and returns the rest.
func (w *worker) says(t *testing.T, word string) string {
	t.Helper()
	for w.lines.Scan() {
		if rest, ok := strings.CutPrefix(w.lines.Text(), word+" "); ok {
			return rest
		}
	}
	t.Fatalf("the other process ended before it said %q", word)
	return ""
}

// join opens the queue in this process. It begins nothing.
func join(t *testing.T, url string) (*Queue, *recorder) {
	t.Helper()
	q, r := openQueue(t, closed(t)(catalog.OpenPostgres(t.Context(), url))), newRecorder()
	q.pace = fast
	return q, r
}

func processes(t *testing.T, q *Queue) map[string]int64 {
	t.Helper()
	beats, err := q.beats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return beats
}

func TestAKilledProcessesJobsAreDoneByOthersOnce(t *testing.T) {
	url := pgtest.Start(t).URL(t)
	q, r := join(t, url)
	w := startWorker(t, url)
	insert(t, q, true, Check{"r"}, Publish{"a"})
	w.says(t, "began")
	w.says(t, "began")
	start(t, q, r, Quick, Checks, Rebuilds, Scrubs)
	r.quiet(t) // as long as the other one lives
	_ = w.cmd.Process.Kill()
	if got := r.next(t); got != (Check{"r"}) {
		t.Errorf("%v ran", got)
	}
	r.quiet(t) // publishing is not this process's, yet
	if err := q.StartPublishing(t.Context(), r.handlers().Publish); err != nil {
		t.Fatal(err)
	}
	if got := r.next(t); got != (Publish{"a"}) {
		t.Errorf("%v ran", got)
	}
	r.quiet(t)
	eventually(t, "taking the dead one off the list", func() bool { return len(processes(t, q)) == 1 })
}

func TestAProcessThatWasOnlyStoppedDoesNoHarm(t *testing.T) {
	url := pgtest.Start(t).URL(t)
	q, r := join(t, url)
	w := startWorker(t, url)
	insert(t, q, true, Check{"r"})
	w.says(t, "began")
	if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start(t, q, r, Checks)
	r.next(t)
	eventually(t, "completion", func() bool { return state(t, q, "check") == "completed" })
	eventually(t, "taking it off the list", func() bool { return len(processes(t, q)) == 1 })
	if err := w.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.says(t, "ended")
	eventually(t, "its return", func() bool { return len(processes(t, q)) == 2 })
	r.quiet(t)
	if s := state(t, q, "check"); s != "completed" {
		t.Errorf("the job is %s after the late failure", s)
	}
}

func TestAProcessLeavesTheListWhenItStops(t *testing.T) {
	url := pgtest.Start(t).URL(t)
	q, _ := join(t, url)
	w := startWorker(t, url)
	if _, there := processes(t, q)[w.name]; !there {
		t.Errorf("%s is not on the list", w.name)
	}
	w.stdin.Close() //nolint:errcheck // tells it to stop
	if err := w.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, q); len(left) != 0 {
		t.Errorf("on the list: %v", left)
	}
}
