package act

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// What a caller decides on. They are wrapped in a *CommandError where a run of
// Terraform failed.
var (
	ErrNoBinary       = errors.New("no terraform binary")
	ErrNotInitialised = errors.New("the root module must be initialised: run Init")
	ErrLockFile       = errors.New("the dependency lock file .terraform.lock.hcl is missing or doesn't fit: run terraform init or terraform providers lock by hand, look at the change and keep the file with the module")
	ErrProvider       = errors.New("a provider can't be installed or started")
	ErrModule         = errors.New("the root module is faulty")
	ErrBackend        = errors.New("the state's backend can't be used")
	ErrStale          = errors.New("the plan is stale, as the state has moved on: plan again")
	ErrTimeout        = errors.New("terraform ran longer than its time limit and was interrupted")
	ErrInterrupted    = errors.New("terraform was interrupted")
	ErrKilled         = errors.New("terraform was killed by a signal")
	ErrUsed           = errors.New("the plan was applied or discarded before")
)

// CommandError is a run of Terraform that failed.
type CommandError struct {
	Command     string             // init, plan, apply, show, ...
	Dir         string             // the root module
	Kind        error              // one of the errors above, a *LockedError, or nil
	Diagnostics []guard.Diagnostic // Terraform's own errors, where it gave them as JSON
	Err         error              // what terraform-exec returned
}

func (e *CommandError) Error() string {
	parts := []string{fmt.Sprintf("run terraform %s in %s", e.Command, e.Dir)}
	if e.Kind != nil {
		parts = append(parts, e.Kind.Error())
	}
	for _, d := range e.Diagnostics {
		parts = append(parts, d.String())
	}
	if len(e.Diagnostics) == 0 && e.Err != nil {
		parts = append(parts, strings.Join(strings.Fields(plain(e.Err)), " "))
	}
	return strings.Join(parts, ": ")
}

// Unwrap lets errors.Is and errors.As see both kind and cause.
func (e *CommandError) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// RefusedError is a plan that the guard refused.
type RefusedError struct {
	Verdict guard.Verdict
}

func (e *RefusedError) Error() string {
	return "the plan was refused: " + e.Verdict.Reason()
}

// LockedError says who holds the state's lock, as far as the backend tells.
type LockedError struct {
	ID, Path, Operation, Who, Version string
	Created                           time.Time // zero if the backend doesn't say
	Raw                               string    // Terraform's whole message
}

func (e *LockedError) Error() string {
	text := "the state is locked"
	if e.Who != "" {
		text += " by " + e.Who
	}
	if e.Operation != "" {
		text += " for " + e.Operation
	}
	if !e.Created.IsZero() {
		text += " since " + e.Created.Format(time.RFC3339)
	}
	if e.ID != "" {
		text += ", lock id " + e.ID
	}
	return text
}

// drawn is what Terraform draws its words with where a command can't be told not to, as
// with state push: colours, and a frame.
var drawn = regexp.MustCompile(`\x1b\[[0-9;]*m|[╷│╵]`)

// plain is what an error says, in words alone.
func plain(err error) string { return drawn.ReplaceAllString(err.Error(), "") }

// lockField finds a line of the Lock Info block, in whatever box it is drawn.
var lockField = regexp.MustCompile(`(?m)^[\s│|]*(ID|Path|Operation|Who|Version|Created):[ \t]*(.*?)[ \t]*$`)

// httpHolder finds the holder's id in the http backend's message. Its Lock Info
// block describes whoever asked, not the holder: nothing else of it is true.
var httpHolder = regexp.MustCompile(`HTTP remote state already locked: ID=(\S+)`)

// lockCreated is how Go prints a time, which is how Terraform writes Created.
const lockCreated = "2006-01-02 15:04:05.999999999 -0700 MST"

// parseLock reads Terraform's words about a lock it couldn't get, or nil if
// the text is about something else.
func parseLock(text string) *LockedError {
	if !strings.Contains(text, "Error acquiring the state lock") {
		return nil
	}
	e := &LockedError{Raw: strings.TrimSpace(text)}
	if m := httpHolder.FindStringSubmatch(text); m != nil {
		e.ID = m[1]
		return e
	}
	for _, m := range lockField.FindAllStringSubmatch(text, -1) {
		switch m[1] {
		case "ID":
			e.ID = m[2]
		case "Path":
			e.Path = m[2]
		case "Operation":
			e.Operation = m[2]
		case "Who":
			e.Who = m[2]
		case "Version":
			e.Version = m[2]
		case "Created":
			if t, err := time.Parse(lockCreated, m[2]); err == nil {
				e.Created = t
			}
		}
	}
	return e
}

// causes are words of Terraform's and OpenTofu's by which a failure is known.
var causes = []struct {
	words string
	kind  error
}{
	{"Saved plan is stale", ErrStale},
	{"Provider dependency changes detected", ErrLockFile},
	{"Dependency lock file would be changed", ErrLockFile},
	{"doesn't match any of the checksums", ErrLockFile},
	{"don't match any of the checksums", ErrLockFile},
	{"Backend initialization required", ErrNotInitialised},
	{"Module not installed", ErrNotInitialised},
	{"Inconsistent dependency lock file", ErrNotInitialised},
	{"Required plugins are not installed", ErrNotInitialised},
	{"Missing required provider", ErrNotInitialised},
	{"Failed to query available provider packages", ErrProvider},
	{"Failed to install provider", ErrProvider},
	{"Failed to load plugin schemas", ErrProvider},
	{"Failed to instantiate provider", ErrProvider},
	{"Could not load plugin", ErrProvider},
	{"Plugin did not respond", ErrProvider},
	{"Unsupported Terraform Core version", ErrModule},
	{"Failed to get existing workspaces", ErrBackend},
	{"Error loading state", ErrBackend},
	{"Failed to load state", ErrBackend},
	{"Failed to read module directory", ErrModule},
	{"Unreadable module directory", ErrModule},
	{"Terraform encountered problems during initialisation", ErrModule},
}

// classify names the cause of a failure, or nil if it is none of those known.
func classify(text string, diags []guard.Diagnostic) error {
	if lock := parseLock(text); lock != nil {
		return lock
	}
	for _, c := range causes {
		if strings.Contains(text, c.words) {
			return c.kind
		}
	}
	for _, d := range diags {
		switch {
		case providerDied(d):
			return ErrProvider
		case d.Range != nil && d.Address == "":
			return ErrModule
		}
	}
	return nil
}

// cutOff are gRPC's words for a connection whose other end is gone.
var cutOff = regexp.MustCompile(`\bEOF\b|error reading from server|transport is closing|connection (reset|refused)|broken pipe`)

// providerDied knows what Terraform says of a call to a provider that died
// meanwhile, which depends on how far the call had come.
func providerDied(d guard.Diagnostic) bool {
	switch d.Summary {
	case "Plugin did not respond", "Request cancelled":
		return true
	case "Plugin error":
		return cutOff.MatchString(d.Detail)
	}
	return false
}
