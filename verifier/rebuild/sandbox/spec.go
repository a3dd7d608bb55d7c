package sandbox

import (
	"maps"

	"slices"
	"strconv"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

// mountPoints are the folders that an image must have for what is mounted over it.
var mountPoints = []string{"build", "dev", "proc", "tmp"}

// openFiles is how many files one process may have open. It is the same for every run on every machine.
const openFiles = 16384

// bundle is what a configuration is made of.
type bundle struct {
	plan   *rebuild.Plan
	rootfs string // the unpacked image
	build  string // the folder that becomes /build
	group  group
}

// spec writes the configuration of the container: nothing is allowed that a build does not need.
func (b bundle) spec() (*specs.Spec, error) {
	s := &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: b.rootfs, Readonly: true},
		Hostname: b.plan.Conditions.HostName,
		Process:  b.process(),
		Mounts:   b.mounts(),
		Linux: &specs.Linux{
			CgroupsPath:       b.group.path,
			Resources:         b.resources(),
			RootfsPropagation: "private",
			MaskedPaths:       masked,
			ReadonlyPaths:     readOnly,
		},
	}
	for _, n := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace,
		specs.NetworkNamespace, specs.CgroupNamespace} {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: n})
	}
	filter, err := seccomp.GetDefaultProfile(s)
	if err != nil {
		return nil, err
	}
	s.Linux.Seccomp = filter
	return s, nil
}

func (b bundle) process() *specs.Process {
	c, l := b.plan.Conditions, b.plan.Limits
	p := &specs.Process{
		User:            specs.User{UID: c.UID, GID: c.GID, Umask: &c.Umask},
		Args:            b.plan.Argv,
		Cwd:             b.plan.Dir,
		Capabilities:    &specs.LinuxCapabilities{},
		NoNewPrivileges: true,
		Rlimits: []specs.POSIXRlimit{
			limit("RLIMIT_CORE", 0),
			limit("RLIMIT_CPU", l.CPUSeconds+1), // of one process; all together are watched
			limit("RLIMIT_FSIZE", l.DiskBytes),
			limit("RLIMIT_NOFILE", openFiles),
		},
	}
	for _, k := range slices.Sorted(maps.Keys(b.plan.Env)) {
		p.Env = append(p.Env, k+"="+b.plan.Env[k])
	}
	return p
}

func limit(name string, n int64) specs.POSIXRlimit {
	return specs.POSIXRlimit{Type: name, Soft: uint64(n), Hard: uint64(n)}
}

func (b bundle) resources() *specs.LinuxResources {
	l := b.plan.Limits
	r := &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: &l.MemoryBytes},
		Pids:    &specs.LinuxPids{Limit: &l.Processes},
	}
	if b.group.swap {
		r.Memory.Swap = &l.MemoryBytes // memory and swap together: no swap
	}
	return r
}

func (b bundle) mounts() []specs.Mount {
	half := sizeOption(b.plan.Limits.MemoryBytes / 2)
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", half}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmp", Options: []string{"nosuid", "nodev", "mode=1777", half}},
		{Destination: manifest.BuildRoot, Type: "bind", Source: b.build, Options: []string{"bind", "private", "rw", "nosuid", "nodev"}},
	}
}

// What of /proc is hidden, or cannot be written: it tells of, or changes, the machine rather than the run.
var (
	masked = []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"}
	readOnly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// sizeOption gives a bound in bytes to a file system in memory.
func sizeOption(bytes int64) string {
	return "size=" + strconv.FormatInt(max(bytes, 1<<20), 10)
}
