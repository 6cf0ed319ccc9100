package balance

// Bound sets the bounds from the next beat on, as a schedule moves them.
func (r *Runner) Bound(least, most int) {
	r.cfg.Min = clamp(least, 0, mostCells)
	r.cfg.Max = clamp(most, r.cfg.Min, mostCells)
}
