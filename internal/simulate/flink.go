package simulate

import (
	"fmt"
	"math"
	"time"
)

// The autoscaler of the Flink Kubernetes operator, 1.15, flink-autoscaler/src/
// main/java/org/apache/flink/autoscaler:
//
//   - utils/AutoScalerUtils.java: capacity = lag/catch-up + input*restart/
//     catch-up + input/utilisation;
//   - JobVertexScaler.java: that over the true rate of what runs, at most 60 %
//     less; less only once it has been less for an hour, and then the largest of
//     that hour;
//   - ScalingMetricEvaluator.java: nothing while the true rate is between the
//     capacities at utilisation 0.3 above the target, without restart, and 0.3
//     below (computeProcessingRateThresholds); only upwards while what was read of
//     late would take more than 5 min for the lag (isProcessingBacklog); where
//     nothing was read the true rate is infinite (computeTprFromBusyTime);
//   - ScalingMetricCollector.java: no metrics for 5 min after a job began to run,
//     and no decision before 15 min of them;
//   - config/AutoScalerOptions.java for the defaults, and
//     kubernetes.operator.reconcile.interval, 60 s.
//
// A job in the picture works on while it is rescaled; the real one pauses.
const (
	flinkPeriod    = time.Minute
	flinkStabilize = 5 * time.Minute
	flinkWindow    = 15 * time.Minute
	flinkBoundary  = 0.3
	flinkDownMost  = 0.6
	flinkDownAfter = time.Hour
	flinkCatchUp   = 30 * time.Minute
	flinkBacklog   = 5 * time.Minute
)

// Flink makes an entry of the autoscaler at a target utilisation; restart is
// what it expects a rescale to take, 0 for the world's birth time.
func Flink(target float64, restart time.Duration) Entry {
	return flinkEntry("Flink", target, restart, flinkPeriod, flinkDownAfter)
}

// FittedFlink is Flink made to agree with figures: it looks four times as often, and goes
// down after 65 min.
func FittedFlink(target float64, restart time.Duration) Entry {
	return flinkEntry("fitted Flink", target, restart, flinkPeriod/4, flinkDownAfter+5*time.Minute)
}

func flinkEntry(name string, target float64, restart, every, downAfter time.Duration) Entry {
	setting := fmt.Sprintf("%.0f s", restart.Seconds())
	if restart == 0 {
		setting = "D"
	}
	return Entry{
		Name: fmt.Sprintf("%s %.4g, restart %s", name, target, setting),
		New: func(w World) Law {
			takes := restart
			if takes == 0 {
				takes = w.Birth
			}
			return newFlink(target, takes, every, downAfter)
		},
	}
}

type flink struct {
	target, restart float64
	every           time.Duration
	downAfter       time.Duration
	runs            int // the second since which it runs as it is
	count           int // the parallelism at which it does
	busy, served    trail
	offered         trail
	lower           []flinkLower
	first           int // the second of the first of them, -1: none
}

// flinkLower is a lower count that was recommended.
type flinkLower struct {
	second, count int
	outside       bool
}

func newFlink(target float64, restart, every, downAfter time.Duration) *flink {
	points := int(flinkWindow / every)
	return &flink{
		target: target, restart: restart.Seconds(), first: -1,
		every: every, downAfter: downAfter,
		// The job has been running for a while when it begins to be looked at.
		runs: -int(flinkStabilize / time.Second),
		busy: newTrail(points), served: newTrail(points), offered: newTrail(points),
	}
}

func (f *flink) Every() time.Duration { return f.every }

func (f *flink) Decide(seen Seen) int {
	if f.count == 0 {
		f.count = seen.Ordered
	}
	// A rescale may be over before it looks again.
	if len(seen.InFlight) > 0 || seen.Ready != seen.Ordered || seen.Ordered != f.count {
		f.begin(seen.Second, seen.Ordered)
		return seen.Ordered
	}
	if seen.Second-f.runs <= int(flinkStabilize/time.Second) { // still settling
		return seen.Ordered
	}
	f.busy.add(seen.Busy)
	f.served.add(seen.Served)
	f.offered.add(seen.Offered)
	if !f.busy.full {
		return seen.Ordered
	}
	return f.rescale(seen.Second, seen.Ordered, seen.Backlog)
}

// begin forgets what was measured: the job has been restarted.
func (f *flink) begin(second, count int) {
	f.runs, f.count = second, count
	f.busy.clear()
	f.served.clear()
	f.offered.clear()
	f.forgetLower()
}

func (f *flink) forgetLower() { f.lower, f.first = f.lower[:0], -1 }

// rescale says to which parallelism, the present one if to none.
func (f *flink) rescale(second, count int, lag float64) int {
	read, input := f.served.mean(), f.offered.mean()
	rate := math.Inf(1)
	if read > 0 {
		rate = read / f.busy.mean() // true rate: input over busy share
	}
	factor := flinkCapacity(input, lag, f.target, f.restart) / rate
	wanted := max(1, int(math.Ceil(max(factor, 1-flinkDownMost)*float64(count))))
	outside := flinkOutside(rate, read, input, lag, f.target, f.restart)
	switch {
	case wanted == count:
		f.forgetLower()
		return count
	case wanted > count:
		f.forgetLower()
	default:
		wanted, outside = f.lowest(second, wanted, outside)
	}
	if !outside || wanted == 0 {
		return count
	}
	return wanted
}

// lowest takes a recommendation down, and returns the largest of the last hour
// once that is over since the first; 0 before.
func (f *flink) lowest(second, wanted int, outside bool) (count int, out bool) {
	if f.first < 0 {
		f.first = second
	}
	n := len(f.lower)
	for n > 0 && f.lower[n-1].count <= wanted {
		n--
	}
	f.lower = append(f.lower[:n], flinkLower{second, wanted, outside})
	start := second - int(f.downAfter/time.Second)
	if start < f.first {
		return 0, false
	}
	old := 0
	for f.lower[old].second < start {
		old++
	}
	f.lower = f.lower[:copy(f.lower, f.lower[old:])]
	return f.lower[0].count, f.lower[0].outside
}

// flinkCapacity is the rate that a job is sized for.
func flinkCapacity(input, lag, utilisation, restart float64) float64 {
	if utilisation <= 0 {
		return math.Inf(1)
	}
	catchUp := flinkCatchUp.Seconds()
	return math.Round(lag/catchUp + input*restart/catchUp + input/min(1, utilisation))
}

// flinkOutside says that a true rate lies outside the band in which nothing is
// done. Read a second is what was read of the input.
func flinkOutside(rate, read, input, lag, target, restart float64) bool {
	high, low := target+flinkBoundary, target-flinkBoundary
	if lag > flinkBacklog.Seconds()*read {
		high, low = 1, 0
	}
	return rate < flinkCapacity(input, lag, high, 0) || rate > flinkCapacity(input, lag, low, restart)
}
