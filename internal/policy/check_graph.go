package policy

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// graph checks what services say of each other: who needs whom, and who may
// lead whom.
func (d *decoder) graph(p *Policy) {
	for _, s := range p.Services {
		d.others(p, &s.Needs)
		d.others(p, &s.Lead)
		if s.Pair != "" && !slices.Contains(s.Needs, s.Pair) {
			d.refuse("Paired with nobody it needs", &s.Pair, "is %q, which isn't in needs. Write needs = [%q] too: its leader must ask for room there.", s.Pair, s.Pair)
		}
		if s.Yields && len(s.Needs) == 0 {
			d.refuse("Yields to nobody", &s.Yields, "is true, but service %q needs no other. Name the services that may have it hold back in needs, or remove the line.", s.Name)
		}
		if slices.Contains(s.Needs, s.Name) {
			d.refuse("A service needs itself", &s.Needs, "names %q itself. Remove it.", s.Name)
		}
	}
	for _, s := range p.Services {
		round := circle(p, s)
		// Each circle is told once, at the one of its services that comes first.
		if len(round) > 1 && first(p, round) == s {
			d.refuse("Services need each other in a circle", &s.Needs, "goes round: %s. Requests for room would chase "+
				"each other, so one of these services must not say that it needs the next.", strings.Join(append(round, s.Name), " needs "))
		}
	}
}

// others checks a list of services' names.
func (d *decoder) others(p *Policy, list *[]string) {
	for i, name := range *list {
		if p.Service(name) == nil {
			d.refuse("Unknown service", list, "names %q, which the policy doesn't have.%s", name, near(p, name))
		}
		if slices.Contains((*list)[:i], name) {
			d.refuse("Written twice", list, "names %q twice. Remove one of them.", name)
		}
	}
}

// near suggests a service of a similar name.
func near(p *Policy, name string) string {
	var known []string
	for _, s := range p.Services {
		if distance := levenshtein.Distance(name, s.Name, nil); distance < 3 && 2*distance <= len(name) {
			return " Did you mean \"" + s.Name + "\"?"
		}
		known = append(known, s.Name)
	}
	return " There are: " + quoted(known) + "."
}

// circle returns the names on a way from a service back to itself, nil if
// there is none.
func circle(p *Policy, start *Service) []string {
	seen := map[string]bool{}
	var walk func(from *Service, way []string) []string
	walk = func(from *Service, way []string) []string {
		if from == nil || seen[from.Name] {
			return nil
		}
		seen[from.Name] = true
		way = append(way, from.Name)
		for _, name := range from.Needs {
			if name == start.Name {
				return way
			}
			if found := walk(p.Service(name), way); found != nil {
				return found
			}
		}
		return nil
	}
	return walk(start, nil)
}

// first returns the service of the names that stands first in the policy.
func first(p *Policy, names []string) *Service {
	for _, s := range p.Services {
		if slices.Contains(names, s.Name) {
			return s
		}
	}
	return nil
}
