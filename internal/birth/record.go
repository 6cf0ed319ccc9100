package birth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// Phase says how far a birth has come.
//
//	(none) --intention on disk--> starting --passing--> born
//	                                 |                    |
//	                                 +------> ended <-----+
//
// A birth found as starting was cut and is taken up again. One found as born
// was done, and the cell is that of the Terraform state it was born for. What
// is found as ended has no process left, only its log.
type Phase string

// The phases of a birth.
const (
	Starting Phase = "starting"
	Born     Phase = "born"
	Ended    Phase = "ended"
)

const recordFormat = 1

// Record is what the folder of a cell says of it. It holds the environment
// that was asked for, and is readable by its owner only.
type Record struct {
	Format        int               `json:"format"`
	Service       string            `json:"service"`
	Name          string            `json:"name"`
	Incarnation   string            `json:"incarnation"`
	Phase         Phase             `json:"phase"`
	Host          Host              `json:"host"`
	PID           int               `json:"pid,omitempty"`
	Started       uint64            `json:"started,omitempty"`
	Digest        string            `json:"digest"`
	Command       []string          `json:"command"`
	Environment   map[string]string `json:"environment,omitempty"`
	Directory     string            `json:"directory,omitempty"`
	DataDirectory string            `json:"data_directory,omitempty"`
	BornAt        time.Time         `json:"born_at"`
	Lineage       Lineage           `json:"lineage,omitzero"`
}

// ID is "<name>.<incarnation>".
func (r Record) ID() string { return r.Name + "." + r.Incarnation }

// Of reports whether the record is that of the life that the spec names, begun
// with the same command, environment and directories.
func (r Record) Of(s Spec) bool { return r.Incarnation == s.Incarnation && r.Digest == s.digest() }

func (r Record) cell() string { return r.Service + "/" + r.Name }

func (r Record) leader() identity { return identity{PID: r.PID, Started: r.Started} }

func newRecord(s Spec, host Host) Record {
	return Record{
		Format: recordFormat, Service: s.Service, Name: s.Name, Incarnation: s.Incarnation, Phase: Starting, Host: host,
		Digest: s.digest(), Command: s.Command, Environment: s.Environment, Directory: s.Directory,
		DataDirectory: s.DataDirectory, BornAt: s.BornAt, Lineage: s.Lineage,
	}
}

// readRecord returns nil when there is none.
func readRecord(dir string) (*Record, error) {
	path := filepath.Join(dir, "cell.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the cell's record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("parse the cell's record %s: %w", path, err)
	}
	if r.Format != recordFormat {
		return nil, fmt.Errorf("read the cell's record %s: it has format %d and this program knows %d", path, r.Format, recordFormat)
	}
	return &r, nil
}

// write puts the record on disk for good: file, then name.
func (r Record) write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the cell's record: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, "cell.json"), append(b, '\n'), 0o600, renameio.WithTempDir(dir)); err != nil {
		return fmt.Errorf("write the cell's record: %w", err)
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open a directory to sync it: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}
