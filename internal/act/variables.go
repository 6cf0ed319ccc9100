package act

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// VariableFile is the file in a root module that Homeostat owns. Terraform
// loads it by its name, so that a person's own plan sees the same count.
const VariableFile = "homeostat.auto.tfvars.json"

// NamesVariable is the variable that takes the cells' names, in modules that
// declare it.
const NamesVariable = "cell_names"

// Desired is what the variables should say.
type Desired struct {
	Count int
	Names []string // nil when the module has a bare count
}

// Keys lists the cells' instance keys: the names, or the indices from 0.
func (d Desired) Keys() []guard.Key {
	keys := make([]guard.Key, 0, d.Count)
	if d.Names != nil {
		for _, n := range d.Names {
			keys = append(keys, guard.Key(n))
		}
		return keys
	}
	for i := range d.Count {
		keys = append(keys, guard.Key(fmt.Sprint(i)))
	}
	return keys
}

// check refuses what would make a wrong variable file.
func (d Desired) check(named bool) error {
	switch {
	case d.Count < 0:
		return fmt.Errorf("a count of %d", d.Count)
	case named && d.Names == nil && d.Count > 0:
		return fmt.Errorf("the module declares %s, but no names are given", NamesVariable)
	case !named && d.Names != nil:
		return fmt.Errorf("names are given, but the module doesn't declare %s", NamesVariable)
	case d.Names != nil && len(d.Names) != d.Count:
		return fmt.Errorf("%d names for a count of %d", len(d.Names), d.Count)
	}
	seen := make(map[string]bool)
	for _, n := range d.Names {
		if n == "" || seen[n] {
			return fmt.Errorf("the name %q is empty or given twice", n)
		}
		seen[n] = true
	}
	return nil
}

// encode writes the variables as Terraform reads them.
func (r *Root) encode(d Desired) ([]byte, error) {
	if err := d.check(r.module.Named); err != nil {
		return nil, err
	}
	values := map[string]any{r.cfg.Variable: d.Count}
	if r.module.Named {
		values[NamesVariable] = append([]string{}, d.Names...)
	}
	b, err := json.MarshalIndent(values, "", "  ")
	return append(b, '\n'), err
}

// WriteVariables puts the desired count, and the names where the module
// declares them, into the variable file, and nothing else. The file is written
// beside, synced and renamed, so that whoever reads it finds the old or the new
// one, whole. It tells whether the contents changed.
func (r *Root) WriteVariables(d Desired) (path string, changed bool, err error) {
	path = filepath.Join(r.cfg.Dir, VariableFile)
	content, err := r.encode(d)
	if err != nil {
		return path, false, fmt.Errorf("write variable file %s: %w", path, err)
	}
	return r.writeVariables(path, content)
}

func (r *Root) writeVariables(path string, content []byte) (_ string, changed bool, err error) {
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, content) {
		return path, false, nil
	}
	err = renameio.WriteFile(path, content, 0o644, renameio.WithTempDir(r.cfg.Dir), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return path, false, fmt.Errorf("write variable file %s (the old one is as it was; check free space and that the directory can be written): %w", path, err)
	}
	return path, true, nil
}

// ephemeral reads the ephemeral variables' values from the environment. They
// are handed over in a file that only we can read: an argument would stand in
// the process list.
func (r *Root) ephemeral() (map[string]string, error) {
	values := make(map[string]string, len(r.cfg.EphemeralVars))
	var missing []error
	for _, name := range sorted(r.cfg.EphemeralVars) {
		source := r.cfg.EphemeralVars[name]
		value, ok := r.environ[source]
		if !ok {
			missing = append(missing, fmt.Errorf("ephemeral variable %q: the environment has no %s", name, source))
		}
		values[name] = value
	}
	return values, errors.Join(missing...)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
