package install

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// Request is what a machine is to become.
type Request struct {
	Service     string `json:"service"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	// Bundle is the digest of what to make it from, whose content lies in Home.
	Bundle string `json:"bundle"`
	// Address is at which address of the machine others reach cell and sidecar.
	Address string `json:"address"`
	// Environment tells the sidecar who the cell is. It wins over the genome's,
	// and is no place for secrets.
	Environment map[string]string `json:"environment,omitempty"`
	// Secrets become files by their names, which root owns and the user that the
	// application runs as may read. They are never in an argument, an environment,
	// a log or the claim.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Door is how birth got in; nil where nobody did.
	Door *door.Access `json:"door,omitempty"`
	// Reuse opens the door again when the cell leaves.
	Reuse bool `json:"reuse,omitempty"`
	// PowerOff has the sidecar power the machine off once the cell has left. The
	// machine was made for this one life.
	PowerOff bool `json:"power_off,omitempty"`
}

// ID names one life of a cell: "<name>.<incarnation>".
func (r Request) ID() string { return r.Name + "." + r.Incarnation }

var (
	secretRE   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}$`)
	variableRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// check says everything that is wrong with the request.
func (r Request) check() error {
	spec := birth.Spec{Service: r.Service, Name: r.Name, Incarnation: r.Incarnation, Command: []string{Program}}
	errs := []error{spec.Validate(), bundle.CheckDigest(r.Bundle)}
	if r.Address == "" {
		errs = append(errs, errors.New("the address is empty"))
	}
	for name, value := range r.Environment {
		errs = append(errs, checkVariable(name, value))
	}
	for name := range r.Secrets {
		if !secretRE.MatchString(name) {
			errs = append(errs, fmt.Errorf("the secret %q can't be a file of that name", name))
		}
	}
	switch {
	case r.Door != nil:
		errs = append(errs, r.Door.Check())
	case r.Reuse:
		errs = append(errs, errors.New("the door can't be opened again at leaving: it isn't said how birth gets in"))
	}
	return errors.Join(errs...)
}

// checkVariable returns an error unless systemd takes a variable from a file:
// it drops others, with no more than a line in its log.
func checkVariable(name, value string) error {
	odd := strings.ContainsFunc(value, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' })
	switch {
	case !variableRE.MatchString(name):
		return fmt.Errorf("the environment variable %q must have a name of letters, digits and \"_\"", name)
	case !utf8.ValidString(value) || odd:
		return fmt.Errorf("the environment variable %s holds control characters, or bytes that are no text", name)
	}
	return nil
}
