package act

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclparse"
)

// What a root module may hold and still be digested at each look. More is a
// sign of working data in it, which would change the digest all the time.
const (
	mostFiles = 10_000
	mostBytes = 256 << 20
)

// digest names the contents of a root module: all files under its directory
// and under those of the local modules it calls, wherever they lie. State, what
// is hidden (but for the dependency lock file), logs and our own variable file
// are left out.
func digest(dir string, calls map[string]string) (string, error) {
	files, err := moduleFiles(dir, calls)
	if err != nil {
		return "", fmt.Errorf("digest root module %s: %w", dir, err)
	}
	d := &digester{root: dir, sum: sha256.New()}
	for _, path := range files {
		if err := d.file(path); err != nil {
			return "", fmt.Errorf("digest root module %s: %w", dir, err)
		}
	}
	return hex.EncodeToString(d.sum.Sum(nil)), nil
}

// Files lists the files that the module's digest is made of, those of the local
// modules it calls included: what it takes to plan and apply it elsewhere.
func (m Module) Files() ([]string, error) { return moduleFiles(m.Dir, m.Calls) }

func moduleFiles(dir string, calls map[string]string) ([]string, error) {
	var files []string
	seen := map[string]bool{} // local modules may lie in one another
	for _, sub := range localModules(dir, calls) {
		err := filepath.WalkDir(sub, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() {
				if path != sub && (strings.HasPrefix(e.Name(), ".") || e.Name() == "terraform.tfstate.d") {
					return filepath.SkipDir
				}
				return nil
			}
			if leftOut(e.Name()) || seen[path] {
				return nil
			}
			seen[path] = true
			files = append(files, path)
			if len(files) > mostFiles {
				return fmt.Errorf("it holds more than %d files: keep working data elsewhere", mostFiles)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

type digester struct {
	root  string
	sum   hash.Hash
	bytes int64
}

func leftOut(name string) bool {
	switch {
	case name == ".terraform.lock.hcl":
		return false
	case strings.HasPrefix(name, "."), name == VariableFile, strings.HasPrefix(name, "homeostat."+shardPrefix), strings.HasSuffix(name, ".log"), strings.HasSuffix(name, "~"):
		return true
	}
	return strings.Contains(name, ".tfstate")
}

// file adds a file's name, length and contents. Links are followed, as
// Terraform follows them; one that leads nowhere and what is no file (a socket,
// a pipe) is left out.
func (d *digester) file(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	if d.bytes += info.Size(); d.bytes > mostBytes {
		return fmt.Errorf("it holds more than %d MiB: keep working data elsewhere", mostBytes>>20)
	}
	name, err := filepath.Rel(d.root, path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.sum, "%q %x\n", filepath.ToSlash(name), content.Sum(nil))
	return err
}

// localModules lists the directories of a module and of all local modules it
// calls, directly or not.
func localModules(dir string, calls map[string]string) []string {
	found := []string{filepath.Clean(dir)}
	for i := 0; i < len(found); i++ {
		if i > 0 {
			calls = callsIn(found[i])
		}
		for _, name := range sorted(calls) {
			source := calls[name]
			if !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../") {
				continue
			}
			if sub := filepath.Join(found[i], source); !slices.Contains(found, sub) {
				found = append(found, sub)
			}
		}
	}
	slices.Sort(found[1:])
	return slices.DeleteFunc(found, func(d string) bool {
		info, err := os.Stat(d)
		return err != nil || !info.IsDir() // Terraform will say so better
	})
}

// callsIn reads a module's calls; what is wrong in it is Terraform's to tell.
func callsIn(dir string) map[string]string {
	m := Module{Variables: map[string]Variable{}, Calls: map[string]string{}}
	files, err := configFiles(dir)
	if err != nil {
		return nil
	}
	parser := hclparse.NewParser()
	for _, name := range files {
		_ = m.file(parser, filepath.Join(dir, name))
	}
	return m.Calls
}
