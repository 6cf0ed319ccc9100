// Package guard judges what Terraform means to do against what was ordered.
//
// An order makes, removes or replaces cells. The guard first learns the shape
// of an order: from the plans for one cell more and one cell fewer it knows
// which addresses, the cell's instance key left out, come and go with a cell,
// and what else changes with them, such as the target list of a load balancer.
// A plan passes when it does the order exactly and everything else in it is in
// that shape. Every other change is refused with its address, its action and
// the reason; a kind of change the guard does not know never passes.
//
// The package is pure: plans come in as values, verdicts go out. It runs no
// Terraform, reads no files and knows nothing of time. What is done about a
// refusal (planning again with -target, telling a person) is for the caller.
//
// The formats read here are Terraform's machine-readable UI
// (https://developer.hashicorp.com/terraform/internals/machine-readable-ui)
// and its JSON plan (https://developer.hashicorp.com/terraform/internals/json-format).
package guard

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Key is a cell's instance key in Terraform: its name where the root module
// keys cells by name, the decimal index where it uses a bare count.
type Key string

// index tells whether the key is a bare count's.
func (k Key) index() bool {
	n, err := strconv.Atoi(string(k))
	return err == nil && n >= 0 && strconv.Itoa(n) == string(k)
}

// Order says what is to become of each cell. No key may stand in two lists.
type Order struct {
	Keep    []Key // all cells that stay as they are
	Add     []Key // cells to be made, or whose making is to be finished
	Remove  []Key // cells to be destroyed
	Replace []Key // cells to be destroyed and made again under the same key
	Lost    []Key // those of Keep that aren't heard and will be ordered anew or come back
}

// Size is the number of cells the order changes.
func (o Order) Size() int { return len(o.Add) + len(o.Remove) + len(o.Replace) }

// Before is the number of cells there are before the order.
func (o Order) Before() int { return len(o.Keep) + len(o.Remove) + len(o.Replace) }

// After is the number of cells there will be when the order is done.
func (o Order) After() int { return len(o.Keep) + len(o.Add) + len(o.Replace) }

// Validate reports a key that is empty or named twice.
func (o Order) Validate() error {
	_, err := o.roles()
	return err
}

// role is what an order says about one cell.
type role string

const (
	keep    role = "keep"
	add     role = "add"
	remove  role = "remove"
	replace role = "replace"
)

func (o Order) roles() (map[Key]role, error) {
	roles := make(map[Key]role, len(o.Keep)+o.Size())
	for _, list := range []struct {
		role role
		keys []Key
	}{{keep, o.Keep}, {add, o.Add}, {remove, o.Remove}, {replace, o.Replace}} {
		for _, k := range list.keys {
			if k == "" {
				return nil, fmt.Errorf("the order's list %q holds an empty key", list.role)
			}
			if other, twice := roles[k]; twice {
				return nil, fmt.Errorf("the order names cell %q twice: %s and %s", k, other, list.role)
			}
			roles[k] = list.role
		}
	}
	return roles, nil
}

// CompareKeys orders indices by number and names by text, indices first.
func CompareKeys(a, b Key) int {
	m, numberA := a.number()
	n, numberB := b.number()
	switch {
	case numberA && numberB && m != n:
		return cmp.Compare(m, n)
	case numberA && !numberB:
		return -1
	case !numberA && numberB:
		return 1
	}
	return strings.Compare(string(a), string(b))
}

// number is the number that a key is. A name is told by its first letter, since the
// error that Atoi makes of it costs more than all else in sorting thousands.
func (k Key) number() (int, bool) {
	if k == "" || k[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(string(k))
	return n, err == nil
}

func sortKeys(keys []Key) []Key {
	slices.SortFunc(keys, CompareKeys)
	return slices.Compact(keys)
}
