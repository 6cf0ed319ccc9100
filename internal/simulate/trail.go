package simulate

// trail keeps the last values of a measurement, a fixed number of them.
type trail struct {
	values []float64
	next   int
	full   bool
}

func newTrail(n int) trail { return trail{values: make([]float64, max(1, n))} }

func (t *trail) add(v float64) {
	t.values[t.next] = v
	t.next++
	if t.next == len(t.values) {
		t.next, t.full = 0, true
	}
}

// all are the values there are, in no order that matters.
func (t *trail) all() []float64 {
	if t.full {
		return t.values
	}
	return t.values[:t.next]
}

func (t *trail) mean() float64 { return mean(t.all()) }

// most is the largest value, 0 if there is none above it.
func (t *trail) most() float64 {
	most := 0.0
	for _, v := range t.all() {
		most = max(most, v)
	}
	return most
}

// clear forgets all values.
func (t *trail) clear() { t.next, t.full = 0, false }
