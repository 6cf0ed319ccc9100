// Package birth knows how a cell comes to be on a machine, how to find what
// runs of it, and how to end it so that nothing is left.
//
// One kind of birth is here: a process of this host, started detached from
// whoever asked for it. Each cell has a folder whose place follows from its
// service and name alone, and the intention is on disk before the process is
// started. So a birth that was cut at any instant is found again: a second
// birth of the same name and incarnation adopts what runs or clears its
// remains, and there are never two.
//
// It leaves out what makes a cell healthy, which is told by Consul, and what
// Terraform keeps in its state. How processes are told apart follows proc(5):
// a process is known by its id, its start time and the boot it belongs to.
package birth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// namePattern is what service and cell names are made of. They become file
// names, Consul ids and names of systemd units, and "." parts a cell's name
// from its incarnation.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?$`)

// incarnationPattern keeps an incarnation apart from a name in "name.incarnation".
var incarnationPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$`)

// Lineage says whose leader ordered a cell, and why. It is empty when a person
// applied.
type Lineage struct {
	// Parent is the cell whose leader placed the order.
	Parent string `json:"parent,omitempty"`
	// Generation counts births from the first cell, which has 0.
	Generation int `json:"generation,omitempty"`
	// Reason is the decision's, one sentence for a person.
	Reason string `json:"reason,omitempty"`
}

// Spec is what a cell is born as.
type Spec struct {
	Service, Name, Incarnation string
	// Command is the cell's first process and its arguments.
	Command []string
	// Environment is added to what the starter's own environment hands on.
	Environment map[string]string
	// Directory is where the command starts; empty means the cell's folder.
	Directory string
	// DataDirectory is made if it is missing; empty means none.
	DataDirectory string
	BornAt        time.Time
	Lineage       Lineage
	// Bundle and Genome are the digests of what its service has published.
	Bundle, Genome string
}

// ID names one life of a cell: "<name>.<incarnation>". It is the cell's id in
// Consul and the mark its processes carry.
func (s Spec) ID() string { return s.Name + "." + s.Incarnation }

// Validate says everything that is wrong with the spec.
func (s Spec) Validate() error {
	errs := []error{CheckName("service", s.Service), CheckName("name", s.Name)}
	if !incarnationPattern.MatchString(s.Incarnation) {
		errs = append(errs, fmt.Errorf("incarnation %q must match %s", s.Incarnation, incarnationPattern))
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		errs = append(errs, errors.New("the command is empty"))
	}
	if s.Directory != "" && !filepath.IsAbs(s.Directory) {
		errs = append(errs, fmt.Errorf("directory %q must be an absolute path", s.Directory))
	}
	if s.DataDirectory != "" && !filepath.IsAbs(s.DataDirectory) {
		errs = append(errs, fmt.Errorf("data directory %q must be an absolute path", s.DataDirectory))
	}
	for name, value := range s.Environment {
		errs = append(errs, CheckVariable(name, value))
	}
	return errors.Join(errs...)
}

// CheckName returns an error unless value can be the name of a service or cell.
func CheckName(what, value string) error {
	if namePattern.MatchString(value) {
		return nil
	}
	return fmt.Errorf("%s %q must be 1 to 63 letters, digits, \"-\" and \"_\", and begin and end with a letter or digit", what, value)
}

// CheckVariable returns an error unless name and value can stand in an
// environment. The names that begin with HOMEOSTAT_ and tell a cell who it is
// are not the caller's to set.
func CheckVariable(name, value string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("environment variable name %q is empty or holds \"=\" or a zero byte", name)
	case strings.Contains(value, "\x00"):
		return fmt.Errorf("environment variable %s holds a zero byte", name)
	case identityVariables[name]:
		return fmt.Errorf("environment variable %s is set by Homeostat itself", name)
	}
	return nil
}

// digest names what a cell is started as, so that a second birth can tell
// whether what runs is what it was asked for.
func (s Spec) digest() string {
	// Marshalling strings and maps of strings can't fail, and sorts the maps.
	b, _ := json.Marshal(struct {
		Command         []string
		Environment     map[string]string
		Directory, Data string
	}{s.Command, s.Environment, s.Directory, s.DataDirectory})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
