package balance

import "time"

// load is what one beat makes of the offered rate, per second.
type load struct {
	offered, need, trend float64
	known                bool // there is a load to go by, if an old one
}

// advance brings the memory forward to the observation: beats that were missed
// count as beats without a reading, and an instant that was already seen, or
// one too close to it, teaches nothing and isn't fresh. It returns the load to
// decide by.
func (m *memory) advance(c *Config, o *Observation, t timing, hot bool) (l load, fresh bool) {
	missed, fresh := m.elapsed(c, o.At)
	if c.Beat != m.Beat || missed < 0 {
		m.forgetWindows(c)
		missed = 0
	}
	m.fitLooks(c, t)
	for range missed {
		m.pushSample(rateSample{}, c.rateWindow(o))
		m.tick(c, t, m.lastOffered(), 0, false)
	}
	if fresh {
		m.At, m.Started = o.At.UnixMilli(), true
		m.countBlind(c, o, missed)
		m.learnRate(c, o, hot)
		m.countAway(c, o, missed+1)
		m.guardLatency(c, o)
		m.countIdle(c, o)
		m.testEffect(c, o)
	}
	return m.loadNow(c, o, t, fresh), fresh
}

// elapsed tells how many beats went by without a decision, -1 if too many to
// bridge, and whether this one is new. A clock that was set back is believed:
// counting goes on from the earlier instant.
func (m *memory) elapsed(c *Config, at time.Time) (missed int, fresh bool) {
	if !m.Started {
		return 0, true
	}
	passed := time.Duration(clamp(at.UnixMilli()-m.At, -1e12, 1e12)) * time.Millisecond
	switch {
	case passed <= -c.Beat:
		return 0, true
	case passed > c.Law.GapMax:
		return -1, true
	}
	beats := int((passed + c.Beat/2) / c.Beat)
	return min(max(0, beats-1), MostBeats), beats > 0
}

// forgetWindows drops what is only true of the last hour, and keeps what was
// learned over days.
func (m *memory) forgetWindows(c *Config) {
	m.Beat = c.Beat
	m.Run, m.Offered, m.Felt, m.Needs, m.Samples = 0, nil, nil, peaks{}, nil
	m.Wanted, m.WantedBeats, m.Blind, m.BlindFor, m.Missed = peaks{}, 0, 0, 0, ""
	m.Hot, m.Idle, m.LagAway, m.LatencyAway = 0, 0, 0, 0
	for i := range m.Looks {
		m.Looks[i].Plain, m.Looks[i].Corrected = nil, nil
	}
}

// loadNow takes this beat's offered rate in, where there is one.
func (m *memory) loadNow(c *Config, o *Observation, t timing, fresh bool) load {
	offered := valueOr(o.Offered, m.lastOffered())
	if !o.Offered.Known && len(m.Offered) == 0 {
		return load{}
	}
	if fresh {
		return m.tick(c, t, offered, m.unheard(c, o), o.Offered.Known)
	}
	if len(m.Offered) == 0 {
		return load{}
	}
	need := m.Needs.max(m.Count, 1)
	return load{offered: offered, need: need, trend: m.trend(c, t, need), known: true}
}

// tick is one beat of the forecast: load, need, trend, score, forecast. What is unheard
// may be offered, too.
func (m *memory) tick(c *Config, t timing, offered, unheard float64, scored bool) load {
	if !scored && len(m.Offered) == 0 {
		return load{}
	}
	m.Count++
	m.Run++
	history := max(c.window(c.Law.NeedWindow), 2*c.window(c.Law.TrendMax))
	m.Offered = m.Offered.push(offered, min(history, MostBeats))
	l := load{offered: offered, need: m.need(c), known: true}
	m.Felt = m.Felt.push(l.need, max(c.surge(t), t.duty))
	m.mean(c, offered, l.need, scored)
	l.need = m.believed(c, t)
	m.Needs.push(m.Count, l.need, m.longest(c))
	l.trend = m.trend(c, t, l.need)

	floor := m.floor()
	if scored {
		m.score(c, t, floor, unheard)
	}
	m.relearn(c)
	m.forecast(c, t, l.trend, floor)
	return l
}

// floor is the least rate that counts: a hundredth of a cell's.
func (m *memory) floor() float64 {
	perCell, _ := m.rate()
	return 0.01 * perCell
}

// mean follows the load with the time constant Law.MeanTime from the first need
// on, and is the mean of all beats as long as there are fewer.
func (m *memory) mean(c *Config, offered, need float64, scored bool) {
	switch {
	case m.Mean == 0:
		m.Mean = need
	case scored:
		share := max(c.Beat.Seconds()/c.Law.MeanTime.Seconds(), 1/float64(m.Count))
		m.Mean += min(1, share) * (offered - m.Mean)
	}
}

// longest is the longest window of needs that anyone asks for, in beats.
func (m *memory) longest(c *Config) int {
	n := 1
	for i := range m.Looks {
		n = max(n, c.window(m.Looks[i].Back))
	}
	return n
}

func (m *memory) lastOffered() float64 {
	v, _ := m.Offered.ago(0)
	return v
}
