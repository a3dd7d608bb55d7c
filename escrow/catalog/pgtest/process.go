package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const superuser = "postgres"

// find returns the folder of the newest server's programs.
func find() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p), nil
	}
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("no postgres in PATH nor in /usr/lib/postgresql")
	}
	version := func(p string) int { n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p)))); return n }
	return filepath.Dir(slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) })), nil
}

// home is where a server's programs and data are. Its path must be short: the name of a socket is.
type home struct {
	bin, dir string
	as       *syscall.Credential // who runs the server, which refuses to be root; nil: whoever runs the test
}

func newHome(bin string) (home, error) {
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return home{}, err
	}
	h := home{bin: bin, dir: dir}
	if err := errors.Join(h.chooseUser(), h.initialize()); err != nil {
		h.remove()
		return home{}, err
	}
	return h, nil
}

// chooseUser gives the folder to the user postgres where the test runs as root.
func (h *home) chooseUser() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	h.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(h.dir, int(uid), int(gid))
}

func (h *home) data() string { return filepath.Join(h.dir, "data") }

func (h *home) initialize() error {
	cmd := h.command("initdb", "-D", h.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// command is one of the server's programs, which does not outlive the test binary.
func (h *home) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(h.bin, name), args...)
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (h *home) logPath() string { return filepath.Join(h.dir, "log") }

// log returns the end of what the server said.
func (h *home) log() []byte {
	all, err := os.ReadFile(h.logPath())
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(all[max(0, len(all)-2000):])
}

func (h *home) remove() { os.RemoveAll(h.dir) }

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// run starts the server from a thread of its own: the kernel ends the server with the thread that started it.
func (h *home) run(o Options) (*process, error) {
	log, err := os.OpenFile(h.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := h.command("postgres", h.settings(o)...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // however it ends
		}
	}()
	return p, <-started
}

func (h *home) settings(o Options) []string {
	args := []string{"-D", h.data(), "-k", h.dir, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB"}
	if !o.Durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	return args
}

// kill ends the server and its children as a crash does. The children would end by themselves, each in its time.
func (p *process) kill() {
	id := p.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", id, id))
	p.signal(syscall.SIGKILL)
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// quit ends the server and its children at once.
func (p *process) quit() { p.signal(syscall.SIGQUIT) }

func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}
