package balance

import (
	"math"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// A young law expects a surge of 1.3: of the weight, 1.4 times what lies above the
// quantile that it asks for is at 1.3, and so that quantile.
func TestPrior(t *testing.T) {
	cfg := Config{}.filled()
	l := newLook(&cfg, timing{birth: 60}, time.Minute)
	if math.Abs(l.Corrections[1]-1.3) > 0.015*1.3 {
		t.Errorf("correction %v, want 1.3", l.Corrections[1])
	}
	total := 0.0
	for _, w := range l.Ratios[1].weights {
		total += w
	}
	if !near(total, 7200/5) {
		t.Errorf("weight %v, want 2 h of beats", total)
	}
	l = newLook(&cfg, timing{birth: 600}, time.Minute)
	if w, want := l.Ratios[1].weights[63], (1-1.4*(1-cfg.Law.Price))*12000/5; !near(w, want) {
		t.Errorf("weight at 1 is %v, want %v of 20 births", w, want)
	}
}

// The beat now is compared with the forecast by which an order was placed that
// serves now: lead beats ago.
func TestScoreLooksBackByTheLead(t *testing.T) {
	s := newService(t, 4)
	s.obs.BirthMedian = per(10) // a lead of 3 beats
	for k := range 10 {
		s.obs.Offered = per(100 + 2*float64(k))
		s.beats(1)
	}
	before := s.st.mem.Looks[0]
	forecast, ok := before.Plain.ago(2) // the newest is that of the last beat
	if !ok {
		t.Fatal("the forecast is not kept long enough")
	}
	s.obs.Offered = per(150)
	s.beats(1)
	ratio := math.Log(s.term("need") / forecast)
	bin := int((ratio - histogramLow) / binWidth)
	if s.st.mem.Looks[0].Ratios[0].weights[bin] == before.Ratios[0].weights[bin] {
		t.Errorf("a need of %v over the forecast %v of 3 beats ago was not counted", s.term("need"), forecast)
	}
	// The load still rises, so the forecast of a beat later was another.
	if later, _ := before.Plain.ago(1); later == forecast {
		t.Error("the test can't tell one forecast from the next")
	}
}

// Where every surge doubles the need within a lead, the correction learns it.
func TestCorrectionIsLearned(t *testing.T) {
	s := newService(t, 4)
	s.cfg.Law = Law{PriorTime: time.Second, PriorBirths: 0.1} // believes nothing
	// Ten minutes of calm, ten of twice the load: of the lessons of the
	// shortest memory the surge's beginnings are one in ten.
	s.loads(5_000, func(k int) reading.Reading { return per(100 * float64(1+k/120%2)) })
	m := s.st.mem
	if q := m.Looks[0].Corrections[0]; q < 1.7 || q > 2 {
		t.Errorf("correction of the minute %v, want about 1.9: so far the need rises in a lead of 65 s", q)
	}
	if q := m.Looks[3].Corrections[1]; q > 1.05 {
		t.Errorf("correction of the hour %v, want about 1: it always remembers the surge", q)
	}
}

func TestTheBetterLookBackWins(t *testing.T) {
	m := memory{Best: time.Minute, Count: 100, Looks: []look{
		{Back: time.Minute, Loss: 100, Ratios: [levels]histogram{{scale: 1}, {scale: 1}, {scale: 1}}},
		{Back: time.Hour, Loss: 98.5, Ratios: [levels]histogram{{scale: 1}, {scale: 1}, {scale: 1}}},
	}}
	cfg := Config{}.filled()
	m.relearn(&cfg)
	if m.Best != time.Minute {
		t.Error("changed for less than 2 %")
	}
	m.Count += 11
	m.Looks[1].Loss = 90
	m.relearn(&cfg)
	if m.Best != time.Minute {
		t.Error("changed before the minute was over")
	}
	m.Count++
	m.relearn(&cfg)
	if m.Best != time.Hour {
		t.Error("not changed for 10 %")
	}
}

func TestPinball(t *testing.T) {
	// One cell short counts as 32 idle ones.
	if short, idle := pinball(0.97, 1), pinball(0.97, -32); short != 0.97 || !near(idle, 0.96) {
		t.Errorf("short %v, idle %v", short, idle)
	}
}

func TestFirstLook(t *testing.T) {
	cfg := Config{Law: Law{LookBacks: []time.Duration{time.Minute, 4 * time.Minute, time.Hour}}}.filled()
	if got := cfg.firstLook(); got != 4*time.Minute {
		t.Errorf("first look-back %v, want the one nearest to 5 min", got)
	}
}
