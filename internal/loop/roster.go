package loop

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// roster is the list of cells a service should have. Where the root module
// takes names, a name is never used twice; with a bare count a cell is its
// index, so names come back and the one to leave is always the highest.
type roster struct {
	Service string
	Named   bool
	// HoldsData keeps a dead cell's name: it is started again over its data.
	HoldsData bool
	// OneByOne has cells leave one after the other: what one holds is moved to others,
	// and two that went at once could count on each other.
	OneByOne bool
	Names    []string
	// Next is the number of the next new name; it only rises.
	Next int
}

// wish is what one beat wants of the roster.
type wish struct {
	// Desired is how many cells there should be, those that leave not counted.
	Desired int
	// Dead cells are replaced; Failed ones never came to be, and of those among them that
	// are Unmade no state holds anything, so that there is nothing to destroy.
	Dead, Failed, Unmade []string
	// Starved births were never begun, and are given up for others.
	Starved []string
	// Leaving cells drain; those also in Drained may go now.
	Leaving, Drained []string
	// Held is how many machines exist, half-born ones included, and Max how
	// many may.
	Held, Max int
	// Renew is how many cells are renewed side by side, 0 while none are. Surge is
	// how many there are to be beside those desired meanwhile, Retire how many of
	// those that begin to leave do so to be renewed, Decided what the law wants.
	Renew, Surge, Retire, Decided int
	// Births is how many cells may be born by this order at most, Destroys how
	// many taken away or replaced.
	Births, Destroys int
}

// unborn is how many births are wanted beside the cells there are.
func (w wish) unborn(cells []string) int {
	return w.Desired + w.Surge + len(w.Dead) + len(w.Failed) + len(w.Leaving) - len(cells)
}

// step is one order to be carried out, and the marks to set or take back
// before it. An empty step leaves everything as it is.
type step struct {
	Add, Remove, Replace []string
	// Names and Next are the roster after the order.
	Names []string
	Next  int
	// TakeBack are leaving cells that stay after all; Mark those that begin to
	// drain, the first Retire of them to be renewed.
	TakeBack, Mark []string
	Retire         int
	// Surge is how many cells there are after the order beside those that the law
	// wants, because others are renewed.
	Surge int
}

func (s step) orders() bool { return len(s.Add)+len(s.Remove)+len(s.Replace) > 0 }

// step turns a wish into the next order. leaverRank orders the candidates to
// leave, best first; it is asked only for named cells.
func (r roster) step(w wish, leaverRank func([]string) []string) step {
	s := step{Next: r.Next}
	r.Names = without(r.Names, w.Starved)
	lost := w.lost()
	r.lose(&s, w, lost)
	staying := without(r.Names, s.Remove, w.Leaving)
	switch n := w.Desired + w.Surge - len(staying); {
	case n > 0:
		s.TakeBack = r.takeBack(intersect(r.Names, w.Leaving), lost, n)
		r.add(&s, w, n-len(s.TakeBack))
	case n < 0:
		if r.OneByOne {
			n = -max(0, min(-n, 1-len(w.Leaving)))
		}
		s.Mark = r.leavers(without(staying, s.Replace), -n, leaverRank)
	}
	going := r.departing(without(w.Leaving, s.TakeBack, s.Remove, s.Replace), w.Drained)
	destroyed := len(without(slices.Concat(s.Remove, s.Replace), w.Unmade))
	s.Remove = append(s.Remove, going[:min(len(going), w.Destroys-destroyed)]...)
	if len(s.Remove) > 0 && w.Held+len(s.Add) > w.Max {
		// The machines of those that go are freed first, so that never more
		// than max exist at once. The births follow in the next order.
		s.Add, s.Next = nil, r.Next
	}
	s.Names = append(without(r.Names, s.Remove), s.Add...)
	s.Retire = min(w.Retire, len(s.Mark))
	after := len(without(s.Names, without(w.Leaving, s.TakeBack)))
	s.Surge = max(-w.Renew, min(after-w.Decided, w.Renew))
	return s
}

// lost are the dead cells and failed births of this order: as many as may be destroyed, and
// all of which there is nothing. A name that is given up and stayed would be made with the
// next apply, with no order for it.
func (w wish) lost() []string {
	made := without(slices.Concat(w.Dead, w.Failed), w.Unmade)
	return slices.Concat(made[:min(len(made), w.Destroys)], w.Unmade)
}

// keepsNames reports whether a lost cell comes back under its own name.
func (r roster) keepsNames() bool { return !r.Named || r.HoldsData }

// lose decides what becomes of dead cells and of failed births. A name is
// given up, and a new cell takes the place; where names are kept the cell is
// made again, as far as births are allowed. With a bare count, failed births
// at the end are taken back instead, so that the count can wait for them.
func (r roster) lose(s *step, w wish, lost []string) {
	if !r.keepsNames() {
		s.Remove = intersect(r.Names, lost)
		return
	}
	if !r.Named {
		for _, name := range slices.Backward(r.Names) {
			if !slices.Contains(w.Failed, name) || !slices.Contains(lost, name) {
				break
			}
			s.Remove = append(s.Remove, name)
		}
	}
	s.Replace = without(intersect(r.Names, lost), s.Remove)
	s.Replace = s.Replace[:min(len(s.Replace), w.Births)]
}

// add appends up to n new cells, as far as births and machines allow.
func (r roster) add(s *step, w wish, n int) {
	machines := w.Held + len(intersect(s.Replace, w.Unmade)) - len(without(s.Remove, w.Unmade))
	n = min(n, w.Births-len(s.Replace), w.Max-machines)
	taken := len(r.Names)
	if !r.Named && len(s.Remove) > 0 {
		return // an index can't be given up and taken in one order
	}
	for range n {
		number := s.Next
		if r.Named {
			s.Next++
		} else {
			number, taken = taken, taken+1
		}
		s.Add = append(s.Add, cellName(r.Service, number))
	}
}

// takeBack chooses n of the leaving cells to stay: the last to be marked
// first, or with a bare count the lowest index, since only the highest may go.
func (r roster) takeBack(leaving, lost []string, n int) []string {
	leaving = without(leaving, lost)
	if r.Named {
		slices.Reverse(leaving)
	}
	return leaving[:min(n, len(leaving))]
}

// leavers chooses n of the staying cells to begin to leave.
func (r roster) leavers(staying []string, n int, rank func([]string) []string) []string {
	if r.Named {
		staying = rank(staying)
	} else {
		slices.Reverse(staying)
	}
	return staying[:min(n, len(staying))]
}

// departing returns the leaving cells that may go now. With a bare count a
// cell goes only when every higher index goes with it.
func (r roster) departing(leaving, drained []string) []string {
	if r.Named {
		return intersect(leaving, drained)
	}
	var out []string
	for _, name := range slices.Backward(r.Names) {
		if !slices.Contains(leaving, name) || !slices.Contains(drained, name) {
			break
		}
		out = append(out, name)
	}
	return out
}

// key returns the Terraform instance key of a cell.
func (r roster) key(name string) guard.Key {
	if r.Named {
		return guard.Key(name)
	}
	n, _ := cellNumber(r.Service, name)
	return guard.Key(strconv.Itoa(n))
}

// ordered reports whether an order does all of a step already.
func (r roster) ordered(s step, o guard.Order) bool {
	return len(without(s.Add, r.names(o.Add)))+len(without(s.Remove, r.names(o.Remove)))+len(without(s.Replace, r.names(o.Replace))) == 0
}

func (r roster) names(keys []guard.Key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, r.name(k))
	}
	return out
}

// name returns the cell with a Terraform instance key.
func (r roster) name(key guard.Key) string {
	if r.Named {
		return string(key)
	}
	return r.Service + "-" + string(key)
}

func (r roster) keys(names []string) []guard.Key {
	out := make([]guard.Key, len(names))
	for i, n := range names {
		out[i] = r.key(n)
	}
	return out
}

func cellName(service string, n int) string { return fmt.Sprintf("%s-%d", service, n) }

// cellNumber returns n of the name <service>-<n>.
func cellNumber(service, name string) (int, bool) {
	if len(name) <= len(service)+1 || name[:len(service)+1] != service+"-" {
		return 0, false
	}
	n, err := strconv.Atoi(name[len(service)+1:])
	return n, err == nil && n >= 0
}

// without returns the elements of list that are in none of the others.
func without(list []string, others ...[]string) []string {
	var out []string
	if out, large := partition(list, slices.Concat(others...), false); large {
		return out
	}
	for _, v := range list {
		if !slices.ContainsFunc(others, func(o []string) bool { return slices.Contains(o, v) }) {
			out = append(out, v)
		}
	}
	return out
}

// intersect returns the elements of list that are also in other.
func intersect(list, other []string) []string {
	if out, large := partition(list, other, true); large {
		return out
	}
	var out []string
	for _, v := range list {
		if slices.Contains(other, v) {
			out = append(out, v)
		}
	}
	return out
}

// largeLists is from which product of their lengths on two lists are compared by a
// set: of ten thousand cells the square is a second's work.
const largeLists = 10_000

// partition returns the elements of list that are in other, or those that aren't. It
// reports whether the lists are large enough for that to be worth it.
func partition(list, other []string, in bool) (out []string, large bool) {
	if len(list)*len(other) < largeLists {
		return nil, false
	}
	set := setOf(other)
	for _, v := range list {
		if set[v] == in {
			out = append(out, v)
		}
	}
	return out, true
}
