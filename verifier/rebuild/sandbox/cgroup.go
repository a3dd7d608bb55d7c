package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is where control groups are on this machine: one tree (version 2), or one for each controller (version 1).
type hierarchy struct {
	root    string // /sys/fs/cgroup
	unified bool
	swap    bool // swap can be limited
}

// The controllers that version 1 must have. All files that are read or written lie in these.
var controllers = []string{"memory", "pids", "cpuacct"}

// findHierarchy looks for control groups and tries out whether limits hold below parent.
func findHierarchy(root, parent string) (hierarchy, error) {
	h := hierarchy{root: root}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return h, fmt.Errorf("no control groups at %s: mount them, or run where they are: %w", root, err)
	}
	h.unified = st.Type == unix.CGROUP2_SUPER_MAGIC
	g := h.group(filepath.Join(parent, "probe-"+strconv.FormatUint(rand.Uint64(), 36)))
	err := g.make()
	h.swap = g.has("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
	if gone := g.remove(); err == nil {
		err = gone
	}
	if err != nil {
		return h, fmt.Errorf("no limits can be set in the control groups at %s: run as root with control groups writable and the controllers memory and pids enabled: %w", root, err)
	}
	if !h.swap && swapInUse() {
		return h, fmt.Errorf("memory cannot be limited: the kernel does not account for swap: turn swap off or boot with swapaccount=1")
	}
	return h, nil
}

func swapInUse() bool {
	b, err := os.ReadFile("/proc/swaps")
	return err == nil && bytes.Count(b, []byte("\n")) > 1
}

// group returns the control group at that path below the root.
func (h hierarchy) group(path string) group { return group{h, path} }

// group is one control group, in every tree that matters.
type group struct {
	hierarchy
	path string
}

func (g group) dir(controller string) string {
	if g.unified {
		return filepath.Join(g.root, g.path)
	}
	return filepath.Join(g.root, controller, g.path)
}

func (g group) dirs() []string {
	if g.unified {
		return []string{g.dir("")}
	}
	var all []string
	for _, c := range controllers {
		all = append(all, g.dir(c))
	}
	return all
}

// make makes the group and makes sure that its limits can be written.
func (g group) make() error {
	if g.unified {
		if err := g.enable(); err != nil {
			return err
		}
	}
	for _, d := range g.dirs() {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	limit := filepath.Join(g.dir("memory"), "memory.limit_in_bytes")
	if g.unified {
		limit = filepath.Join(g.dir("memory"), "memory.max")
	}
	if err := writeFile(limit, "1073741824"); err != nil {
		return err
	}
	return writeFile(filepath.Join(g.dir("pids"), "pids.max"), "64")
}

// enable turns the controllers on for the group, from the root downwards.
func (g group) enable() error {
	at := g.root
	for _, part := range strings.Split(strings.Trim(g.path, "/"), "/") {
		if err := writeFile(filepath.Join(at, "cgroup.subtree_control"), "+memory +pids +cpu"); err != nil {
			return err
		}
		at = filepath.Join(at, part)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (g group) has(controller string, names ...string) bool {
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(g.dir(controller), n)); err == nil {
			return true
		}
	}
	return false
}

// used is what a group has used so far, and which of its limits were felt.
type used struct {
	cpu       time.Duration
	peak      int64 // bytes of memory
	oomKills  int64
	forkFails int64
}

// read reads what the group has used. Figures that the kernel does not give are zero.
func (g group) read() used {
	if g.unified {
		return used{
			cpu:       time.Duration(g.keyed("", "cpu.stat", "usage_usec")) * time.Microsecond,
			peak:      g.number("", "memory.peak"),
			oomKills:  g.keyed("", "memory.events", "oom_kill"),
			forkFails: g.keyed("", "pids.events", "max"),
		}
	}
	return used{
		cpu:       g.cpu(),
		peak:      g.number("memory", "memory.max_usage_in_bytes"),
		oomKills:  g.keyed("memory", "memory.oom_control", "oom_kill"),
		forkFails: g.keyed("pids", "pids.events", "max"),
	}
}

func (g group) cpu() time.Duration {
	if g.unified {
		return time.Duration(g.keyed("", "cpu.stat", "usage_usec")) * time.Microsecond
	}
	return time.Duration(g.number("cpuacct", "cpuacct.usage"))
}

func (g group) number(controller, file string) int64 {
	b, err := os.ReadFile(filepath.Join(g.dir(controller), file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// keyed reads a file of lines with a key and a number.
func (g group) keyed(controller, file, key string) int64 {
	b, err := os.ReadFile(filepath.Join(g.dir(controller), file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}

// processes lists the processes in the group, by the ids of this process's own namespace.
func (g group) processes() []int {
	f, err := os.Open(filepath.Join(g.dir("pids"), "cgroup.procs"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var pids []int
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if pid, err := strconv.Atoi(sc.Text()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill ends every process in the group that there is at this moment.
func (g group) kill() {
	if g.unified && writeFile(filepath.Join(g.dir(""), "cgroup.kill"), "1") == nil {
		return
	}
	for _, pid := range g.processes() {
		g.killOne(pid)
	}
}

// killOne makes sure that the id still stands for a process of this group.
func (g group) killOne(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer os.NewFile(uintptr(fd), "process").Close()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err == nil && bytes.Contains(b, []byte(g.path+"\n")) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it may have ended by itself
	}
}

// remove ends what is left in the group and removes it.
func (g group) remove() error {
	const patience = 5 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		g.kill()
		var left error
		for _, d := range g.dirs() {
			if err := os.Remove(d); err != nil && !errors.Is(err, os.ErrNotExist) {
				left = err
			}
		}
		if left == nil || time.Now().After(end) {
			return left
		}
	}
}

func writeFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
