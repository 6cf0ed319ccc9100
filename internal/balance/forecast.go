package balance

import (
	"math"
	"slices"
	"time"
)

// look is one look-back: a memory of the need this long, a correction learned
// from how its forecasts fared, and the loss by which look-backs compete.
type look struct {
	Back time.Duration `json:"back"`
	// Ratios counts the logarithm of need over forecast, for each level of load;
	// Corrections are q, the quantile of it that Law.Price asks for.
	Ratios      [levels]histogram `json:"ratios"`
	Corrections [levels]float64   `json:"corrections"`
	// Level is that of the newest forecast, and Anchor the newest forecast that was of
	// that level by its own height.
	Level  int     `json:"level"`
	Anchor float64 `json:"anchor"`
	// Loss is the forgetting sum of weighted pinball losses.
	Loss float64 `json:"loss"`
	// Plain is f of the last beats, Corrected is F = q*f.
	Plain     series `json:"plain"`
	Corrected series `json:"corrected"`
}

func (l look) clone() look {
	l.Plain = append(make(series, 0, len(l.Plain)+1), l.Plain...)
	l.Corrected = append(make(series, 0, len(l.Corrected)+1), l.Corrected...)
	return l
}

// check refuses what no run of the law can have written.
func (l *look) check() error {
	bad := l.Back <= 0 || !(l.Loss >= 0) || l.Level < 0 || l.Level >= levels || !(l.Anchor >= 0)
	for k := range levels {
		bad = bad || !(l.Corrections[k] > 0 && l.Corrections[k] < 100) || !(l.Ratios[k].scale >= 1)
	}
	if bad {
		return errImpossible
	}
	return nil
}

// newLook begins with the belief that now and then a surge of Law.PriorRatio
// comes: careful when young.
func newLook(c *Config, t timing, back time.Duration) look {
	l := look{Back: back}
	weight := max(c.Law.PriorTime.Seconds(), c.Law.PriorBirths*t.birth) / c.Beat.Seconds()
	tail := min(1, c.Law.PriorTail*(1-c.Law.Price))
	for i := range l.Ratios {
		l.Ratios[i].scale = 1
		l.Ratios[i].add(math.Log(c.Law.PriorRatio), weight*tail)
		l.Ratios[i].add(0, weight*(1-tail))
	}
	l.correct(c)
	return l
}

// levels is how many kinds of forecasts learn apart from each other: those of low,
// usual and high load. A calm service that now and then sees ten times its load must
// expect that while it is calm; at the top of a surge it needn't expect another ten
// times. With one correction for both, either the calm is too bold or the surge too
// dear.
const levels = 3

// level is the kind of a forecast.
func (m *memory) level(c *Config, forecast, floor float64) int {
	switch mean := max(m.Mean, floor); {
	case forecast <= c.Law.LevelLow*mean:
		return 0
	case forecast <= c.Law.LevelHigh*mean:
		return 1
	default:
		return 2
	}
}

// fallen is the share of its anchor below which a forecast has fallen.
const fallen = 0.8

// levelOf is the level of a forecast. That of a load which has stepped up and stays
// falls as the mean comes after it. It isn't followed down while the level below would
// ask for more: that one knows the step and nothing of what came after, and hours
// later it would order twice what a steady load needs.
func (l *look) levelOf(c *Config, m *memory, forecast, floor float64) int {
	k := m.level(c, forecast, floor)
	if k < l.Level && forecast >= fallen*l.Anchor && l.Corrections[k] > l.Corrections[l.Level] {
		return l.Level
	}
	return k
}

// correct takes the corrections anew from what was counted.
func (l *look) correct(c *Config) {
	for i := range l.Ratios {
		l.Corrections[i] = clamp(math.Exp(l.Ratios[i].quantile(c.Law.Price)), c.Law.CorrectionMin, c.Law.CorrectionMax)
	}
}

// fitLooks makes the look-backs those of the configuration, keeping what is
// already learned.
func (m *memory) fitLooks(c *Config, t timing) {
	if !m.looksAre(c.Law.LookBacks) {
		old := m.Looks
		m.Looks = make([]look, 0, len(c.Law.LookBacks))
		for _, back := range c.Law.LookBacks {
			l := newLook(c, t, back)
			if i := slices.IndexFunc(old, func(l look) bool { return l.Back == back }); i >= 0 {
				l = old[i].clone()
			}
			m.Looks = append(m.Looks, l)
		}
	}
	if m.best() == nil {
		m.Best = c.firstLook()
	}
}

func (m *memory) looksAre(backs []time.Duration) bool {
	same := len(m.Looks) == len(backs)
	for i := range min(len(m.Looks), len(backs)) {
		same = same && m.Looks[i].Back == backs[i]
	}
	return same
}

// firstLook is the configured look-back nearest to Law.FirstLookBack.
func (c *Config) firstLook() time.Duration {
	return slices.MinFunc(c.Law.LookBacks, func(a, b time.Duration) int {
		return int((a - c.Law.FirstLookBack).Abs() - (b - c.Law.FirstLookBack).Abs())
	})
}

// best is the look-back in use, nil if it isn't among those configured.
func (m *memory) best() *look {
	for i := range m.Looks {
		if m.Looks[i].Back == m.Best {
			return &m.Looks[i]
		}
	}
	return nil
}

// score compares what the last beats needed with what each look-back had
// forecast when the order that answers for them was placed, and weighs the
// lesson by the load: one request counts once, one surge not for days.
// Quantile regression by the pinball loss: Koenker and Bassett 1978.
func (m *memory) score(c *Config, t timing, floor, unheard float64) {
	needed := m.felt(t.duty) + unheard
	unit := max(m.Mean, floor)
	if unit <= 0 {
		return
	}
	weight := clamp((needed-unheard)/unit, c.Law.WeightMin, c.Law.WeightMax)
	keep := math.Exp2(-c.Beat.Seconds() / c.Law.HalfLife.Seconds())
	ago := t.answers()
	for i := range m.Looks {
		l := &m.Looks[i]
		plain, ok := l.Plain.ago(ago)
		corrected, _ := l.Corrected.ago(ago)
		if !ok || plain <= 0 {
			continue
		}
		ratio := histogramLow
		if needed > 0 {
			ratio = math.Log(needed / plain)
		}
		for k := range l.Ratios {
			l.Ratios[k].forget(keep)
		}
		l.Ratios[l.levelOf(c, m, plain, floor)].add(ratio, weight)
		l.Loss = keep*l.Loss + weight*pinball(c.Law.Price, needed-corrected)
	}
}

// pinball is the loss of a forecast that fell short by short: p for each unit
// too few, 1-p for each too many.
func pinball(p, short float64) float64 {
	return max(p*short, (p-1)*short)
}

// relearn takes corrections anew, and the look-back with the least loss if it
// is clearly better than the one in use.
func (m *memory) relearn(c *Config) {
	if m.Count-m.Relearn < int64(c.beats(c.Law.Relearn)) {
		return
	}
	m.Relearn = m.Count
	least := &m.Looks[0]
	for i := range m.Looks {
		m.Looks[i].correct(c)
		if m.Looks[i].Loss < least.Loss {
			least = &m.Looks[i]
		}
	}
	if best := m.best(); best == nil || least.Loss < (1-c.Law.Switch)*best.Loss {
		m.Best = least.Back
	}
}

// forecast notes this beat's forecast of every look-back.
func (m *memory) forecast(c *Config, t timing, trend, floor float64) {
	keep := t.answers() + 1
	for i := range m.Looks {
		l := &m.Looks[i]
		plain := max(m.Needs.max(m.Count, c.window(l.Back)), trend, floor)
		l.Plain = l.Plain.push(plain, keep)
		if l.Level = l.levelOf(c, m, plain, floor); l.Level == m.level(c, plain, floor) {
			l.Anchor = plain
		}
		l.Corrected = l.Corrected.push(l.Corrections[l.Level]*plain, keep)
	}
}
