package guard

import "slices"

// Change is one thing a plan would do to one resource instance, or one drift
// that the refresh before it found.
type Change struct {
	Address         string
	PreviousAddress string // where it was before a move; empty or Address without one
	Type            string
	Provider        string
	Mode            string   // managed or data; others are refused
	Actions         []string // create, update, delete, read, no-op, forget; a replacement is two of them in order
	Importing       bool
	Drift           bool   // found by the refresh, done by nobody here
	Reason          string // Terraform's own word for why, such as replace_because_tainted
	Deposed         string // key of an old object left over from a replacement; only the whole plan tells
	// Attributes holds the changed top-level attributes, each with a digest of
	// what it becomes. Only the whole plan tells; nil otherwise.
	Attributes map[string]string
}

// Kinds of change, one word for the list of actions.
const (
	kindCreate  = "create"
	kindUpdate  = "update"
	kindReplace = "replace"
	kindDelete  = "delete"
	kindRead    = "read"
	kindNoOp    = "no-op"
	kindForget  = "forget"
	kindUnknown = "unknown"
)

// kind puts the actions in one word. What is not known is kindUnknown.
func (c Change) kind() string {
	switch {
	case len(c.Actions) == 1:
		known := []string{kindCreate, kindUpdate, kindDelete, kindRead, kindNoOp, kindForget}
		if slices.Contains(known, c.Actions[0]) {
			return c.Actions[0]
		}
	case len(c.Actions) == 2:
		if slices.Contains(c.Actions, kindCreate) && slices.Contains(c.Actions, kindDelete) {
			return kindReplace
		}
	}
	return kindUnknown
}

func (c Change) moved() bool {
	return c.PreviousAddress != "" && c.PreviousAddress != c.Address
}

// Effective tells whether applying the change does anything, if only to the
// state.
func (c Change) Effective() bool {
	return !c.Drift && (c.kind() != kindNoOp || c.moved() || c.Importing)
}

// tainted says that Terraform replaces the object because its making failed
// or was cut short.
func (c Change) tainted() bool {
	return c.Reason == "tainted" || c.Reason == "replace_because_tainted"
}
