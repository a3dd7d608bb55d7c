package instance

import (
	"path/filepath"
	"strings"

	"github.com/countersign-escrow/countersign/services/internal/backup"
	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/state"
)

// BackupSource is what is backed up of the whole service in a folder, whether it runs or not. Unfinished uploads are left out.
func BackupSource(dir string, objects bool) (backup.Source, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return backup.Source{}, err
	}
	at := state.At(dir)
	keys, err := state.ReadKeys(at.KeysDir())
	if err != nil {
		return backup.Source{}, err
	}
	log, err := openReader(at.LogDir(), keys.Log)
	if err != nil {
		return backup.Source{}, err
	}
	src := backup.Source{Catalog: at.Catalog(), Log: log, Scratch: at.Work(), Folders: []backup.Folder{
		{Name: "keys", Path: at.KeysDir(), Skip: unfinished},
		{Name: "operator", Path: string(at.Operator()), Skip: unfinished},
	}}
	if objects {
		src.Folders = append(src.Folders, backup.Folder{Name: "objects", Path: at.Objects(), Skip: func(name string) bool {
			return strings.HasPrefix(name, "drafts"+string(filepath.Separator)) || unfinished(name)
		}})
	}
	return src, nil
}

// unfinished says whether a file is one that is being written, or was when a process died.
func unfinished(name string) bool { return strings.HasPrefix(filepath.Base(name), ".new-") }

// SharedBackupSource is what is backed up of a service of many processes besides its database and its bucket: the log and
// the keys.
func SharedBackupSource(c *config.Config) (backup.Source, error) {
	keys, err := state.ReadKeys(c.Keys)
	if err != nil {
		return backup.Source{}, err
	}
	log, err := openReader(c.Log, keys.Log)
	if err != nil {
		return backup.Source{}, err
	}
	src := backup.Source{Log: log, Folders: []backup.Folder{{Name: "keys", Path: c.Keys, Skip: unfinished}}}
	if file := c.KEK.File; file != "" && filepath.Dir(file) != c.Keys {
		others := func(name string) bool { return name != filepath.Base(file) }
		src.Folders = append(src.Folders, backup.Folder{Name: "kek", Path: filepath.Dir(file), Skip: others})
	}
	return src, nil
}
