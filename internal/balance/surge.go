package balance

// surge is for how many beats a surge must have lasted to be believed.
func (c *Config) surge(t timing) int {
	return max(1, int(c.Law.SurgeBirths*t.birth/c.Beat.Seconds()))
}

// believed is the need that is ordered for. Up to Law.SurgeRatio times of what
// the longest look-back foresaw a surge ago it is the need itself; what lies above
// counts as far as it has lasted since. An impulse much shorter than a birth would
// else be bought in full, and its cells would come when it is long over; a rise
// that lasts loses a small part of the birth it has to wait for anyhow.
func (m *memory) believed(c *Config, t timing) float64 {
	felt, _ := m.Felt.ago(0)
	beats := c.surge(t)
	if beats == 1 || len(m.Looks) == 0 {
		return felt
	}
	lasted := felt
	for i := range min(beats, len(m.Felt)) {
		was, _ := m.Felt.ago(i)
		lasted = min(lasted, was)
	}
	plain := m.Looks[len(m.Looks)-1].Plain
	foreseen, _ := plain.ago(min(beats, len(plain)) - 1)
	return max(lasted, min(felt, c.Law.SurgeRatio*foreseen))
}

// climb lets a rise wait while it still climbs from beat to beat, up to a surge's time,
// where orders can't overlap: what is ordered at the foot of a rise would keep the
// order for its top waiting for a whole birth. What a person, a fallback or another
// service asks for doesn't climb.
func (v *verdict) climb(t timing, fresh bool) {
	c, o, m := v.cfg, v.obs, v.mem
	felt, _ := m.Felt.ago(0)
	climbs := felt > v.sum.need || float64(v.wanted) > climbing*float64(m.lastWanted())
	waits := c.Serial && len(o.InFlight) == 0 && climbs && v.wanted > o.Ordered &&
		v.requested == nil && v.fallback == "" && o.Ordered >= c.Min && v.sum.known
	switch {
	case !waits:
		m.Climbed = 0
	case fresh:
		m.Climbed++
	}
	v.climbing = waits && m.Climbed < c.surge(t)
}

// climbing is how many times what the beat before wanted is wanted while it climbs. At a
// beat of 5 s that is two fifths more in a minute; slower rises are left to the trend.
const climbing = 1.03

// felt is the largest need of the last beats, believed or not.
func (m *memory) felt(beats int) float64 {
	most := 0.0
	for i := range min(beats, len(m.Felt)) {
		v, _ := m.Felt.ago(i)
		most = max(most, v)
	}
	return most
}
