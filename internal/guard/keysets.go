package guard

import (
	"cmp"
	"slices"
	"strings"
)

// SameAddress tells whether two texts are one resource instance's address.
func SameAddress(a, b string) bool {
	p, errA := parseAddress(a)
	q, errB := parseAddress(b)
	return errA == nil && errB == nil && p.String() == q.String()
}

// KeySets groups addresses that differ in one key only and lists the sets of
// keys found so, those that most groups share first. It is a way to guess
// which cells there are before a shape is known.
func KeySets(addresses []string) [][]Key {
	groups := make(map[string][]Key)
	for _, text := range addresses {
		a, err := parseAddress(text)
		if err != nil {
			continue
		}
		for i, k := range a.keys() {
			if k.kind != indexKey && k.kind != nameKey {
				continue
			}
			p := a.clone()
			*p.keys()[i] = k.starred()
			groups[p.String()] = append(groups[p.String()], Key(k.text))
		}
	}
	type set struct {
		keys   []Key
		groups int
	}
	sets := make(map[string]*set)
	for _, keys := range groups {
		keys = sortKeys(keys)
		name := joinKeys(keys)
		if sets[name] == nil {
			sets[name] = &set{keys: keys}
		}
		sets[name].groups++
	}
	list := make([]*set, 0, len(sets))
	for _, s := range sets {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *set) int {
		return cmp.Or(b.groups-a.groups, len(b.keys)-len(a.keys), strings.Compare(joinKeys(a.keys), joinKeys(b.keys)))
	})
	out := make([][]Key, len(list))
	for i, s := range list {
		out[i] = s.keys
	}
	return out
}

func joinKeys(keys []Key) string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = quote(string(k))
	}
	return strings.Join(texts, ",")
}
