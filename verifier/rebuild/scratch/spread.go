package scratch

import (
	"os"

	"golang.org/x/sys/unix"
)

// topOfTrees marks a folder whose subfolders have nothing to do with each other: FS_TOPDIR_FL in <linux/fs.h>, which
// chattr(1) calls T.
const topOfTrees = 0x00020000

// spread asks for new folders below dir to lie apart on the disk. Otherwise ext4 puts each one where the last one was,
// and, without a journal, passes by every file removed there in the last minutes again for each file that it makes. It
// is a hint: file systems that do not know it do without.
func spread(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	flags, err := unix.IoctlGetUint32(int(d.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil && flags&topOfTrees == 0 {
		_ = unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, int(flags|topOfTrees))
	}
}
