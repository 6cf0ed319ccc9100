package simulate

// Bounds are in force from a second on, until the next ones are.
type Bounds struct {
	From     int // seconds since the run began
	Min, Max int
}

// bound puts the bounds into force whose time has come.
func (r *run) bound(now int) {
	for r.bounds < len(r.w.Bounds) && r.w.Bounds[r.bounds].From <= now {
		b := r.w.Bounds[r.bounds]
		r.w.Min, r.w.Max = b.Min, b.Max
		r.bounds++
	}
}

// cut cuts what a law asks for to the bounds. Where a max has fallen a law may go
// down to it in steps.
func (r *run) cut(desired int) int {
	if len(r.w.Bounds) > 0 && desired < r.ordered {
		return max(desired, r.w.Min)
	}
	return r.w.bounded(desired)
}
