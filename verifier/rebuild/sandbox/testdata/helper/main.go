// Command helper is the one program in the images of the sandbox's tests. Its first word says what it does.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := do(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
}

func do(what string, args []string) error {
	switch what {
	case "ok":
		return nil
	case "write": // write FILE TEXT
		return os.WriteFile(args[0], []byte(args[1]), 0o666)
	case "copy": // copy FROM TO
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], b, 0o666)
	case "time": // time FILE
		return os.WriteFile(args[0], []byte(time.Now().UTC().Format(time.RFC3339)), 0o666)
	case "uid": // uid FILE
		return os.WriteFile(args[0], []byte(strconv.Itoa(os.Getuid())), 0o666)
	case "exit": // exit CODE
		n, _ := strconv.Atoi(args[0])
		fmt.Println("leaving with", n)
		os.Exit(n)
	case "facts":
		return facts()
	case "net":
		return network()
	case "escape":
		return escape()
	case "forks":
		return forks()
	case "memory":
		return memory()
	case "sleep":
		time.Sleep(time.Hour)
	case "orphans": // leaves processes that outlive their parent
		for range 3 {
			if err := exec.Command("/proc/self/exe", "sleep").Start(); err != nil {
				return err
			}
		}
		return nil
	case "burn":
		return burn()
	case "disk": // disk FILE
		return disk(args[0], false)
	case "hidden-disk": // the same in a file without a name
		return disk(args[0], true)
	case "files": // files FOLDER: small ones without end
		for i := 0; ; i++ {
			if err := os.WriteFile(filepath.Join(args[0], strconv.Itoa(i)), nil, 0o666); err != nil {
				return err
			}
		}
	case "deep": // deep FOLDER COUNT: and stays, to be found out
		if err := deep(args[0], args[1]); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	case "flood": // flood BYTES
		n, _ := strconv.ParseInt(args[0], 10, 64)
		_, err := io.CopyN(os.Stdout, endless{}, n)
		fmt.Println("the end")
		return err
	case "symlink": // symlink TARGET NAME
		return os.Symlink(args[0], args[1])
	case "hardlink":
		return os.Link(args[0], args[1])
	case "fifo":
		return syscall.Mkfifo(args[0], 0o666)
	case "mkdir":
		return os.Mkdir(args[0], 0o777)
	case "truncate": // truncate FILE SIZE
		n, _ := strconv.ParseInt(args[1], 10, 64)
		if err := os.WriteFile(args[0], nil, 0o666); err != nil {
			return err
		}
		return os.Truncate(args[0], n)
	default:
		return fmt.Errorf("knows no %q", what)
	}
	return nil
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = "0123456789\n"[i%11]
	}
	return len(b), nil
}

// facts prints what the process sees of itself and its surroundings.
func facts() error {
	for _, e := range os.Environ() {
		fmt.Println("env", e)
	}
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	mask := syscall.Umask(0)
	fmt.Println("host", host)
	fmt.Println("dir", dir)
	fmt.Println("ids", os.Getuid(), os.Getgid(), fmt.Sprintf("%04o", mask))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		for _, key := range []string{"CapEff", "CapBnd", "CapPrm", "CapAmb", "NoNewPrivs", "Seccomp:"} {
			if strings.HasPrefix(line, key) {
				fmt.Println("status", strings.Join(strings.Fields(line), " "))
			}
		}
	}
	ifs, _ := net.Interfaces()
	for _, i := range ifs {
		fmt.Println("interface", i.Name)
	}
	pids, _ := filepath.Glob("/proc/[0-9]*")
	fmt.Println("processes", len(pids))
	devs, _ := os.ReadDir("/dev")
	for _, d := range devs {
		fmt.Println("dev", d.Name())
	}
	return nil
}

// network succeeds if loopback works and nothing else does. 192.0.2.0/24 is set aside for documentation.
func network() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	c.Close()
	c, err = net.DialTimeout("tcp", "192.0.2.1:80", 2*time.Second)
	if err == nil {
		c.Close()
		fmt.Println("reached the network")
		return nil
	}
	fmt.Println("no network:", err)
	os.Exit(7)
	return nil
}

// escape tries to change what is not its own, and prints each success.
func escape() error {
	attempts := map[string]func() error{
		"write /etc":                        func() error { return os.WriteFile("/etc/x", nil, 0o666) },
		"write /":                           func() error { return os.WriteFile("/x", nil, 0o666) },
		"write above /build":                func() error { return os.WriteFile("/build/../x", nil, 0o666) },
		"change the program":                func() error { return os.WriteFile("/bin/helper", nil, 0o777) },
		"write /proc/sys":                   func() error { return os.WriteFile("/proc/sys/kernel/hostname", []byte("x"), 0) },
		"core pattern":                      func() error { return os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|/build/x"), 0) },
		"sysrq":                             func() error { return os.WriteFile("/proc/sysrq-trigger", []byte("h"), 0) },
		"make a device":                     func() error { return syscall.Mknod("/build/out/disk", syscall.S_IFBLK|0o666, 259<<8) },
		"make a device in /dev":             func() error { return syscall.Mknod("/dev/disk", syscall.S_IFBLK|0o666, 259<<8) },
		"mount":                             func() error { return syscall.Mount("tmpfs", "/tmp", "tmpfs", 0, "") },
		"unmount":                           func() error { return syscall.Unmount("/proc", syscall.MNT_DETACH) },
		"change root":                       func() error { return syscall.Chroot("/build") },
		"become root":                       func() error { return syscall.Setuid(0) },
		"new user namespace":                func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) },
		"new mount namespace":               func() error { return syscall.Unshare(syscall.CLONE_NEWNS) },
		"set the host name":                 func() error { return syscall.Sethostname([]byte("x")) },
		"read kernel memory":                func() error { _, err := os.ReadFile("/proc/kcore"); return emptyIsError("/proc/kcore", err) },
		"kill the first process of another": func() error { return syscall.Kill(2, syscall.SIGKILL) },
		"raw socket":                        func() error { _, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0); return err },
	}
	for name, try := range attempts {
		if err := try(); err == nil {
			fmt.Println("DID", name)
		}
	}
	return os.WriteFile("/build/out/x", []byte("allowed"), 0o666)
}

func emptyIsError(name string, err error) error {
	if err != nil {
		return err
	}
	if b, _ := os.ReadFile(name); len(b) == 0 {
		return io.EOF
	}
	return nil
}

func forks() error {
	for {
		if err := exec.Command("/proc/self/exe", "sleep").Start(); err != nil {
			return err
		}
	}
}

func memory() error {
	var all [][]byte
	for {
		all = append(all, bytes.Repeat([]byte{1}, 1<<20))
	}
}

func burn() error {
	for range 2 {
		go func() {
			for {
			}
		}()
	}
	select {}
}

func disk(name string, hidden bool) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if hidden {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	block := bytes.Repeat([]byte{7}, 1<<20)
	for {
		if _, err := f.Write(block); err != nil {
			time.Sleep(time.Hour) // stay, so that the limit and not the error ends it
		}
	}
}

func deep(dir, count string) error {
	n, _ := strconv.Atoi(count)
	if err := os.Chdir(dir); err != nil {
		return err
	}
	for range n {
		if err := os.Mkdir("d", 0o777); err != nil {
			return err
		}
		if err := os.Chdir("d"); err != nil {
			return err
		}
	}
	return nil
}
