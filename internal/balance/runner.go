package balance

// Runner takes beat after beat with the same law as Decide, and keeps the state
// to itself instead of giving a new one each time. That is for simulations: a
// week is over a hundred thousand beats, and of most of them only the count is
// asked for. A Runner is not for concurrent use.
type Runner struct {
	cfg Config
	mem *memory

	// The last beat, here so that a beat takes no new memory.
	now Config // as far as this beat's requests move it
	obs Observation
	sum sum
	v   verdict
}

// NewRunner returns a Runner that goes on from st, which is not changed.
func NewRunner(cfg Config, st State) *Runner {
	return &Runner{cfg: cfg.filled(), mem: st.mem.clone()}
}

// Desired takes one beat and returns the count to order: Decision.Desired,
// without the words that explain it.
func (r *Runner) Desired(obs Observation) int {
	r.take(obs)
	return r.v.desired
}

// Decide takes one beat and returns the whole decision.
func (r *Runner) Decide(obs Observation) Decision {
	r.take(obs)
	return r.v.decision()
}

func (r *Runner) take(obs Observation) {
	r.now, r.obs = r.cfg, obs.checked()
	r.now.underCeiling(&r.obs)
	r.v = verdict{cfg: &r.now, obs: &r.obs, mem: r.mem, sum: &r.sum}
	r.v.take()
}

// State returns what the law remembers now. Later beats don't change it.
func (r *Runner) State() State { return State{mem: *r.mem.clone()} }
