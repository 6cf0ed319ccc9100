package guard

import "slices"

// keys lists the address's keys from left to right, to be read or replaced.
func (a *address) keys() []*instanceKey {
	var keys []*instanceKey
	for i := range a.modules {
		keys = append(keys, &a.modules[i].key)
	}
	return append(keys, &a.key)
}

func (a address) clone() address {
	a.modules = slices.Clone(a.modules)
	return a
}

// at is the address that a pattern stands for with one cell's key.
func (a address) at(key Key) address {
	b := a.clone()
	for _, k := range b.keys() {
		*k = k.with(key)
	}
	return b
}

// match tells whether an address is in the pattern, and with which key in the
// place of its stars.
func (a address) match(b address) (Key, bool) {
	if a.mode != b.mode || a.kind != b.kind || a.name != b.name || len(a.modules) != len(b.modules) {
		return "", false
	}
	return matchSteps(a.path(), b.path())
}

// covers tells whether an address is the pattern's module or lies inside it,
// or is an instance of the pattern's resource, with [*] as any key. This is
// how an operator writes what may change.
func (a address) covers(b address) bool {
	if a.kind != "" && (a.mode != b.mode || a.kind != b.kind || a.name != b.name || len(a.modules) != len(b.modules)) {
		return false
	}
	p, q := a.path(), b.path()
	if a.kind == "" {
		p = a.modules
	}
	if len(p) > len(q) {
		return false
	}
	for i := range p {
		free := p[i].key.kind == noKey || p[i].key.star()
		if p[i].name != q[i].name || !free && p[i].key != q[i].key {
			return false
		}
	}
	return true
}

// path lists modules and resource alike.
func (a address) path() []step {
	return append(slices.Clone(a.modules), step{a.name, a.key})
}

// matchSteps compares pattern steps with as many address steps.
func matchSteps(p, a []step) (Key, bool) {
	var key Key
	for i := range p {
		if p[i].name != a[i].name {
			return "", false
		}
		if !p[i].key.star() {
			if p[i].key != a[i].key {
				return "", false
			}
			continue
		}
		if a[i].key.starred() != p[i].key || key != "" && key != Key(a[i].key.text) {
			return "", false
		}
		key = Key(a[i].key.text)
	}
	return key, key != ""
}

// home is the module call that holds a whole cell: the pattern up to its first
// star, if that star is a module's. What lies in it is the cell's, learned or not.
func (a address) home() ([]step, bool) {
	for i, m := range a.modules {
		if m.key.star() {
			return a.modules[:i+1], true
		}
	}
	return nil, false
}

// holds tells whether a key with this text stands anywhere in the address.
func (a address) holds(key Key) bool {
	for _, k := range a.keys() {
		if (k.kind == indexKey || k.kind == nameKey) && k.text == string(key) {
			return true
		}
	}
	return false
}

// candidates are all the patterns an address can be an instance of for a key:
// each non-empty choice of the places where the key stands.
func (a address) candidates(key Key) []address {
	var places []int
	for i, k := range a.keys() {
		if (k.kind == indexKey || k.kind == nameKey) && k.text == string(key) {
			places = append(places, i)
		}
	}
	const most = 8 // nesting deeper than this is no module anyone wrote
	if len(places) > most {
		places = places[:most]
	}
	var found []address
	for choice := 1; choice < 1<<len(places); choice++ {
		p := a.clone()
		keys := p.keys()
		for bit, place := range places {
			if choice&(1<<bit) != 0 {
				*keys[place] = keys[place].starred()
			}
		}
		found = append(found, p)
	}
	return found
}
