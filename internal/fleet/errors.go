package fleet

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a caller decides on. Each is wrapped with what was being done.
var (
	// ErrUnreachable says that no address of Consul gave an answer. What was
	// asked for is then unknown; a write may or may not have been made.
	ErrUnreachable = errors.New("consul is unreachable")
	// ErrBusy says that Consul lives and took no more of this host, so that nothing
	// was done. It is an ErrUnreachable too: to wait helps against both.
	ErrBusy = errors.New("consul is busy")
	// ErrDenied says that the ACL token may not do this.
	ErrDenied = errors.New("consul denied it; give a token that may write keys under the prefix, sessions and services (CONSUL_HTTP_TOKEN, or token_file in the policy)")
	// ErrNoRecord says that Consul answered and holds no record of the service.
	ErrNoRecord = errors.New("there is no record")
	// ErrNoLeader says that Consul answered and nobody holds the lock.
	ErrNoLeader = errors.New("nobody leads")
	// ErrNotFound says that Consul answered and doesn't hold the value.
	ErrNotFound = errors.New("there is none")
	// ErrFenced says that the lock is no longer the writer's. Nothing was
	// written, and nothing ever will be through that lease.
	ErrFenced = errors.New("the lock is no longer held")
	// ErrConflict says that the record changed since it was read. Nothing was
	// written; read it again and decide anew.
	ErrConflict = errors.New("the record changed since it was read")
	// ErrNewerFormat says that a newer version of Homeostat wrote the value.
	ErrNewerFormat = errors.New("written by a newer version of homeostat; update this one")
	// ErrForged says that a leave order, or an answer to one, isn't signed with a
	// key of the peers.
	ErrForged = errors.New("it isn't signed with a key of the peers")
	// ErrNotLeft says that a cell could not carry out the order to leave.
	ErrNotLeft = errors.New("the cell could not leave")
	// ErrTooLarge says that a value is more than Consul takes.
	ErrTooLarge = errors.New("too large for Consul's KV")
)

// CorruptError says that a key holds something Homeostat didn't write. It is
// never taken for an absent key.
type CorruptError struct {
	Key string
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s holds something else than homeostat writes there (%v): look with 'consul kv get %[1]s' and put it right, or take it away with 'consul kv delete %[1]s'", e.Key, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// HeldError says that another holds the lock of a service, and who.
type HeldError struct {
	Service string
	Holder  Holder
	// Delayed is true when the holder's session has ended a moment ago and
	// Consul keeps the lock shut for the lock delay.
	Delayed bool
}

func (e *HeldError) Error() string {
	if e.Delayed {
		return fmt.Sprintf("the lock of %s was lost by %s a moment ago and is still shut: try again in some seconds", e.Service, e.Holder)
	}
	return fmt.Sprintf("the lock of %s is held by %s", e.Service, e.Holder)
}

// unreachableError lists what each address said.
type unreachableError struct {
	what     string
	failures []error
}

func (e *unreachableError) Error() string {
	var all []string
	for _, f := range e.failures {
		all = append(all, f.Error())
	}
	return fmt.Sprintf("%s: %v: %s", e.what, e.sentinels()[0], strings.Join(all, "; "))
}

func (e *unreachableError) Unwrap() []error { return append(e.sentinels(), e.failures...) }

// sentinels are what it is, the more exact first.
func (e *unreachableError) sentinels() []error {
	for _, f := range e.failures {
		if !isBusy(f) {
			return []error{ErrUnreachable}
		}
	}
	return []error{ErrBusy, ErrUnreachable}
}

// String names the holder for a message.
func (h Holder) String() string {
	name := h.Cell
	if name == "" {
		name = "a leader without a cell"
	}
	s := fmt.Sprintf("%s (process %d on %s", name, h.PID, h.Host)
	if !h.Since.IsZero() {
		s += ", since " + h.Since.UTC().Format(time.RFC3339)
	}
	return s + ")"
}
