//go:build bench && linux

package gitpack

import (
	"os"
	"syscall"
)

// peak returns the most memory that a process has had, in MiB.
func peak(s *os.ProcessState) float64 { return float64(s.SysUsage().(*syscall.Rusage).Maxrss) / 1024 }
