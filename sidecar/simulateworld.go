package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/search"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trial"
)

// ourName is what the policy's own law is called beside others.
const ourName = "homeostat"

// lateFactor is how many times as long a late order takes.
const lateFactor = 3

// lawConfig is what a leader's law would go by, less what a simulation has not:
// latency, whose absence would be a missing signal, and services behind. A beat is
// whole seconds here.
func (sim *simulation) lawConfig(s *policy.Service) balance.Config {
	cfg := loop.LawConfig(s, policy.Bounds{Min: s.Min, Max: s.Max})
	cfg.LatencyUpper = 0
	cfg.Pair = ""
	cfg.Beat = max(cfg.Beat.Round(time.Second), time.Second)
	cfg.BirthTime = sim.birth.Median
	return cfg
}

// world is what a service is tried in. What the policy says of bounds and orders
// holds for every law, so that they are compared on the same ground.
func (sim *simulation) world(s *policy.Service) simulate.World {
	w := simulate.DefaultWorld()
	w.CellRate, w.Believed = sim.cellRate, sim.cellRate
	w.Birth, w.BirthSigma = sim.birth.Median, sim.birth.Sigma
	w.Serial = sim.lawConfig(s).Serial && !sim.overlap
	w.Min, w.Max, w.Start = s.Min, sim.most(s, s.Max), sim.start
	w.Bounds = sim.bounds(s)
	w.SLO = sim.waitBound()
	w.Truer = sim.truer
	w.Truer.FailWait = s.Birth.BackoffMin
	w.Truer.LateFactor = lateFactor
	w.Truer.DriftPeriod = 24 * time.Hour
	return w
}

// most is the most cells there may be: as many as the policy has it, and as
// partitions keep busy.
func (sim *simulation) most(s *policy.Service, most int) int {
	if s.KafkaLag == nil || sim.partitions == 0 {
		return most
	}
	perCell := s.KafkaLag.ConsumersPerCell
	return min(most, (sim.partitions+perCell-1)/perCell) // as the law rounds
}

// bounds are those of the policy's schedules, for each part of the load. Without
// dates there is no telling when they are in force.
func (sim *simulation) bounds(s *policy.Service) []simulate.Bounds {
	if len(s.Schedules) == 0 || !sim.series.Dated {
		return nil
	}
	beat := sim.lawConfig(s).Beat
	table := policy.NewTimetable(s)
	var all []simulate.Bounds
	for second := 0; second < len(sim.load); second += int(beat / time.Second) {
		b := table.At(sim.series.Start.Add(time.Duration(second)*time.Second), sim.birth.Median+beat)
		next := simulate.Bounds{From: second, Min: b.Min, Max: max(sim.most(s, b.Max), b.Min)}
		if n := len(all); n == 0 || all[n-1].Min != next.Min || all[n-1].Max != next.Max {
			all = append(all, next)
		}
	}
	return all
}

// waitBound is from which wait on a request is slow: by the policy as it is, as
// other numbers must not be better by a longer bound.
func (sim *simulation) waitBound() time.Duration {
	switch {
	case sim.slo > 0:
		return sim.slo
	case sim.service.WaitBound() > 0:
		return sim.service.WaitBound()
	}
	return 30 * time.Second // what the law itself takes
}

// contestant is the policy of a service as it is led.
func (sim *simulation) contestant(name string, s *policy.Service) trial.Contestant {
	return trial.Contestant{Name: name, World: sim.world(s), Law: simulate.Ours(name, sim.lawConfig(s))}
}

// contestants are the policy, the policy with other numbers, and others' laws.
func (sim *simulation) contestants() ([]trial.Contestant, error) {
	all := []trial.Contestant{sim.contestant(ourName, sim.service)}
	if sim.set != "" {
		changed, err := withNumbers(sim.service, sim.set)
		if err != nil {
			return nil, misused("-set: %w", err)
		}
		all = append(all, sim.contestant(ourName+", "+sim.set, changed))
	}
	if sim.peers {
		w := sim.world(sim.service)
		for _, law := range sim.others() {
			all = append(all, trial.Contestant{Name: law.Name, World: w, Law: law})
		}
	}
	return all, nil
}

// others are other autoscalers at their defaults, or at what their documentation
// shows where they have none.
func (sim *simulation) others() []simulate.Entry {
	laws := []simulate.Entry{
		simulate.HPA(0.7), simulate.HPA(0.5),
		simulate.NomadTarget(0.7), simulate.NomadThreshold(0.3, 0.7, 1, 1),
	}
	if sim.service.KafkaLag != nil {
		laws = append(laws, simulate.KEDA(10), simulate.KEDA(1000), simulate.Flink(0.7, 5*time.Minute))
	}
	n := sim.peakNeeds()
	return append(laws, simulate.Static(fmt.Sprintf("static, %d for the peak", n), n))
}

// peakNeeds is how many cells the peak of the load keeps busy to what demand is
// counted at.
func (sim *simulation) peakNeeds() int {
	return max(1, int(math.Ceil(slices.Max(sim.load)/(sim.cellRate*simulate.DefaultWorld().DemandBusy)-1e-9)))
}

// withNumbers is a service with other numbers: "price=0.98,min=4".
func withNumbers(s *policy.Service, text string) (*policy.Service, error) {
	var settings []policy.Setting
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf("%q says no value; write it as in price=0.98", part)
		}
		knob, err := policy.FindKnob(name)
		if err != nil {
			return nil, err
		}
		to, err := knob.Parse(value)
		if err != nil {
			return nil, err
		}
		settings = append(settings, policy.Setting{Knob: knob, To: to})
	}
	return s.With(settings...)
}

// tried is the policy with a choice of levels.
func (sim *simulation) tried(knobs []search.Knob, at []int) (trial.Contestant, error) {
	s, err := search.Apply(sim.service, knobs, at)
	if err != nil {
		return trial.Contestant{}, err
	}
	return sim.contestant(search.Say(knobs, at), s), nil
}
