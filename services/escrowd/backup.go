package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/internal/backup"
	"github.com/countersign-escrow/countersign/services/internal/instance"
)

// standard names standard output or input in place of a file.
const standard = "-"

func newBackup() *cobra.Command {
	var p place
	var out string
	var objects bool
	cmd := &cobra.Command{
		Use:   "backup (--data DIR | --config FILE) --out FILE",
		Short: "Copy a service's folder into one file, also while it runs",
		Long: `Backup copies catalog, log, keys and the operator's profile into one tar file: a whole that can be restored, whatever the
service does meanwhile. The deposited files are only in it with --objects: they are large and never change, so that
copying the folder "objects" with any tool, after the backup, does as well.

With --config it copies the log and the keys. The database and the bucket have their own means: back up the database
first, and the log after it.

THE FILE HOLDS THE SERVICE'S KEYS, in the clear and for its owner only: whoever has it can pose as the service, and open
every deposit. Encrypt it on its way out, and keep it apart.`,
		Example: `  escrowd backup --data /var/lib/countersign --out /mnt/backup/2026-11-22.tar

  # Log and keys of a service of many processes, after its database:
  escrowd backup --config /etc/countersign/escrowd.yaml --out /mnt/backup/2026-11-22.tar

  # With the deposits, encrypted before it is written:
  escrowd backup --data /var/lib/countersign --objects --out - | age -r age1... > 2026-11-22.tar.age`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := makeBackup(cmd, p, out, objects)
			if err != nil {
				return err
			}
			tell := cmd.OutOrStdout()
			if out == standard {
				tell = cmd.ErrOrStderr()
			}
			describe(tell, "BACKUP", out, h)
			fmt.Fprintln(cmd.ErrOrStderr(), "The file holds the service's keys. Encrypt it and keep it apart.")
			if p.data != "" && !h.Objects {
				fmt.Fprintf(cmd.ErrOrStderr(), "The deposited files are not in it: copy %s/objects after it, or use --objects.\n", p.data)
			}
			return nil
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "file to write; - is standard output")
	f.BoolVar(&objects, "objects", false, "copy the deposited files, too")
	require(cmd, "out")
	return cmd
}

func makeBackup(cmd *cobra.Command, p place, out string, objects bool) (h backup.Header, err error) {
	src, err := backupSource(p, objects)
	if err != nil {
		return h, err
	}
	if out == standard {
		return backup.Write(cmd.Context(), cmd.OutOrStdout(), src)
	}
	return backup.Save(cmd.Context(), out, src)
}

func backupSource(p place, objects bool) (backup.Source, error) {
	c, err := p.read()
	switch {
	case err != nil:
		return backup.Source{}, err
	case c == nil:
		return instance.BackupSource(p.data, objects)
	case objects:
		return backup.Source{}, errors.New("--objects goes with --data: with --config the objects are backed up where they are")
	}
	return instance.SharedBackupSource(c)
}

func describe(w io.Writer, word, name string, h backup.Header) {
	yes := map[bool]string{true: "yes", false: "no"}
	fmt.Fprintf(w, "%s %s files=%d bytes=%d log=%d catalog=%s objects=%s\n", word, name, h.Entries, h.Bytes, h.LogSize, yes[h.Catalog], yes[h.Objects])
}

func newRestore() *cobra.Command {
	var from, dir string
	cmd := &cobra.Command{
		Use:   "restore --from FILE --data NEWDIR",
		Short: "Make a service's folder from a backup",
		Long: `Restore unpacks what "escrowd backup" has made into a folder that is not there yet, and holds every file against the
backup's manifest. The folder is there wholly and durable, or not at all.

WHAT THE LOG LACKS: everything that was published after the backup. If anybody has seen a checkpoint of the log with more
entries than the restored one, starting the service on it would give the world two histories, which auditors cannot tell
from fraud. If the service's own folder "log" is left, or a mirror of it, put that in the place of the restored one: a
log that has more than the catalog knows is in order, one that has less is refused.

A backup that was made with --config is unpacked in the same way; put its folders where the configuration says.`,
		Example: `  escrowd restore --from /mnt/backup/2026-11-22.tar --data /var/lib/countersign-restored

  age -d 2026-11-22.tar.age | escrowd restore --from - --data /var/lib/countersign-restored`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := restore(cmd.Context(), cmd.InOrStdin(), from, dir)
			if err != nil {
				return err
			}
			describe(cmd.OutOrStdout(), "RESTORED", dir, h)
			fmt.Fprintf(cmd.ErrOrStderr(), "The log has %d entries, of %s. If anybody has seen a checkpoint with more, do not start the service on it: see escrowd restore --help.\n",
				h.LogSize, h.Made.Format("2006-01-02 15:04:05 MST"))
			if h.Catalog && !h.Objects {
				fmt.Fprintf(cmd.ErrOrStderr(), "The deposited files are not in it: put the folder objects at %s/objects before the start.\n", dir)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "the backup; - is standard input")
	f.StringVar(&dir, "data", "", "folder to make")
	require(cmd, "from", "data")
	return cmd
}

func restore(ctx context.Context, stdin io.Reader, from, dir string) (backup.Header, error) {
	if from == standard {
		return backup.Restore(ctx, stdin, dir)
	}
	f, err := os.Open(from)
	if err != nil {
		return backup.Header{}, err
	}
	defer f.Close()
	return backup.Restore(ctx, f, dir)
}
