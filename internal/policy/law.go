package policy

import "time"

// Law holds the constants of the law that decides how many cells there should
// be. The defaults were found by simulation on recorded loads; an operator
// needs price at most. The law itself, and where each term comes from, is
// described with the balance package, whose own Law has the same fields.
type Law struct {
	// Price is the one dial between waiting and idling: one cell too few counts
	// as price / (1 - price) cells too many.
	Price float64 `policy:"price" default:"0.96" within:"[0.5,0.999]"`

	// Utilization and RequestUtilization are no fields of the block: both are
	// utilization.upper.
	Utilization, RequestUtilization float64

	// Staffing is the beta of square-root staffing: a service that answers
	// requests gets at least n + beta * sqrt(n) cells where n would just do.
	Staffing float64 `policy:"staffing" default:"1" within:"(0,10]"`

	// BurstShare is the share of the bound on waiting that a burst may queue.
	BurstShare float64 `policy:"burst_share" default:"0.6" within:"(0,1]"`
	// NeedWindow is the longest window in which bursts are looked for; the
	// shortest is a beat, and each is twice the one before.
	NeedWindow time.Duration `policy:"need_window" default:"160s" within:"[1s,1h]"`

	// LookBacks are the memories that compete for forecasting, each longer than
	// the one before.
	LookBacks []time.Duration `policy:"look_backs" default:"1m,5m,20m,1h" within:"[1s,168h]"`
	// FirstLookBack is the one of them that is used before any has proven
	// better.
	FirstLookBack time.Duration `policy:"first_look_back" default:"5m" within:"[1s,168h]"`
	// CorrectionMin is the least that a forecast is multiplied with, from what
	// was learned of its errors.
	CorrectionMin float64 `policy:"correction_min" default:"0.7" within:"(0,10]"`
	// CorrectionMax is the most that a forecast is multiplied with, at least prior_ratio.
	CorrectionMax float64 `policy:"correction_max" default:"2" within:"(0,10]"`
	// HalfLife is after how long what was learned counts half.
	HalfLife time.Duration `policy:"half_life" default:"48h" within:"[1m,8760h]"`
	// Relearn is how often the corrections and the best look-back are taken
	// anew.
	Relearn time.Duration `policy:"relearn" default:"1m" within:"[1s,1h]"`
	// Switch is by which share another look-back must be better.
	Switch float64 `policy:"switch" default:"0.02" within:"(0,1]"`
	// WeightMin is the least weight of one beat's lesson.
	WeightMin float64 `policy:"weight_min" default:"0.02" within:"(0,100]"`
	// WeightMax is the most weight of one beat's lesson: a surge counts, but
	// doesn't teach for days.
	WeightMax float64 `policy:"weight_max" default:"2" within:"(0,100]"`
	// MeanTime is the time constant of the mean load against which a lesson is
	// weighed.
	MeanTime time.Duration `policy:"mean_time" default:"6h" within:"[1m,720h]"`
	// Duty is the share of a birth for which an order answers where orders
	// can't overlap.
	Duty float64 `policy:"duty" default:"0.5" within:"(0,2]"`

	// LevelLow is the multiple of the mean load below which a forecast is a low one.
	// Low, usual and high forecasts each learn a correction of their own.
	LevelLow float64 `policy:"level_low" default:"1.5" within:"(0,1000]"`
	// LevelHigh is the multiple of the mean load from which on it is a high one.
	LevelHigh float64 `policy:"level_high" default:"5" within:"(0,1000]"`

	// SurgeRatio is how many times of what was foreseen is believed at once. What
	// a surge brings above that must last, since one that is over before a cell
	// can be born should buy none.
	SurgeRatio float64 `policy:"surge_ratio" default:"3" within:"[1,100]"`
	// SurgeBirths is for how long, as a part of a birth.
	SurgeBirths float64 `policy:"surge_births" default:"0.1" within:"(0,1]"`

	// TrendErrors is how many standard errors make a trend.
	TrendErrors float64 `policy:"trend_errors" default:"7" within:"(0,100]"`
	// TrendLead is how much further than the lead of an order a trend is drawn
	// on.
	TrendLead float64 `policy:"trend_lead" default:"1.25" within:"(0,10]"`
	// TrendCap is the most a trend may ask for, in units of the present need.
	TrendCap float64 `policy:"trend_cap" default:"1.5" within:"[1,10]"`
	// StepShare tells a step, which leads no further, from a rise: the step must
	// leave less than this share of the squared deviations that a rise leaves.
	StepShare float64 `policy:"step_share" default:"0.7" within:"(0,1]"`
	// TrendMin is the shortest window of a trend, which is half a birth.
	TrendMin time.Duration `policy:"trend_min" default:"1m" within:"[1s,24h]"`
	// TrendMax is the longest window of a trend.
	TrendMax time.Duration `policy:"trend_max" default:"10m" within:"[1s,24h]"`

	// PriorTime is how long what is believed at the beginning weighs, if
	// `prior_births` doesn't make it longer.
	PriorTime time.Duration `policy:"prior_time" default:"2h" within:"[1s,720h]"`
	// PriorBirths is the same as a number of births.
	PriorBirths float64 `policy:"prior_births" default:"20" within:"(0,1000]"`
	// PriorRatio is the surge that is expected before anything is learned.
	PriorRatio float64 `policy:"prior_ratio" default:"1.3" within:"[1,4]"`
	// PriorTail is how often it is expected, in units of 1 - price.
	PriorTail float64 `policy:"prior_tail" default:"1.4" within:"(0,10]"`

	// DrainMin is the shortest time in which a backlog is worked off; it is a
	// birth's time where that is longer.
	DrainMin time.Duration `policy:"drain_min" default:"30s" within:"[1s,24h]"`
	// LagAllowance is how much lag is no backlog, as working time of all cells.
	LagAllowance time.Duration `policy:"lag_allowance" default:"500ms" within:"[1ms,1h]"`
	// Overdue is after how many births past its expected landing an order is no
	// longer counted on for the backlog.
	Overdue float64 `policy:"overdue" default:"2" within:"(0,100]"`

	// RoundingShare is how far the computed number may be rounded down to a
	// whole cell, as a share of that number.
	RoundingShare float64 `policy:"rounding_share" default:"0.08" within:"(0,0.5]"`
	// RoundingMax is how far it may be rounded down at most, in cells.
	RoundingMax float64 `policy:"rounding_max" default:"0.25" within:"(0,1)"`

	// GrowShare is how large a part of the cells a rise must be that only the
	// forecast asks for. What the load asks for that is there is ordered at once.
	GrowShare float64 `policy:"grow_share" default:"0.15" within:"(0,1)"`

	// ReleaseIdle is how long at most the cells of a downward order must have been
	// more than enough, all of them together: one waits for this time, four for a
	// quarter of it. It is what an order is worth.
	ReleaseIdle time.Duration `policy:"release_idle" default:"20m" within:"[1s,24h]"`
	// ReleaseLooks is the same as a number of look-backs, of the one in use, where that
	// is less: a smooth load, which is best foreseen from the last minute, is followed
	// down sooner than a noisy one.
	ReleaseLooks float64 `policy:"release_looks" default:"2.5" within:"(0,100]"`
	// ReleaseBirths is for how many births longer each of them must have been so, but
	// no longer than that look-back.
	ReleaseBirths float64 `policy:"release_births" default:"2" within:"(0,10]"`
	// ReleasePauses is how many pauses of all consumers they must have been worth
	// besides, by `price`, where consumers read nothing while partitions move: the
	// pause of this order and that of the rise after it. A pause is measured, and no
	// release waits for longer than 3,600 beats.
	ReleasePauses float64 `policy:"release_pauses" default:"2" within:"(0,10]"`
	// ReleaseWindow is how long a lower count must have been enough at least.
	ReleaseWindow time.Duration `policy:"release_window" default:"30s" within:"[1s,24h]"`
	// ReleaseAfter is how long the law must have run before it lowers.
	ReleaseAfter time.Duration `policy:"release_after" default:"5m" within:"[1s,24h]"`
	// ReleaseShare is the smallest share of the cells that is worth a downward
	// order.
	ReleaseShare float64 `policy:"release_share" default:"0.05" within:"(0,1)"`
	// ReleaseKeep is the share of the cells that one such order must leave.
	ReleaseKeep float64 `policy:"release_keep" default:"0.4" within:"(0,1)"`

	// Patience is how long load may wait for a birth. Where one takes longer, spare
	// cells are kept.
	Patience time.Duration `policy:"patience" default:"15m" within:"[1s,24h]"`
	// SpareShare is how many spare cells, as a share of the others; at least one.
	SpareShare float64 `policy:"spare_share" default:"0.1" within:"(0,10]"`

	// HotRatio is how many times the mean lag of the other partitions the lag of one
	// must be for it to be hot: more cells don't help there, and it orders none.
	HotRatio float64 `policy:"hot_ratio" default:"4" within:"[1,1000]"`
	// StuckAfter is after how long without a commit, while there is lag, a partition
	// is stuck: its lag is no reason for more cells, and none to keep some.
	StuckAfter time.Duration `policy:"stuck_after" default:"5m" within:"[1s,24h]"`

	// RateWindow is the time over which the rate of a cell is measured.
	RateWindow time.Duration `policy:"rate_window" default:"1m" within:"[1s,1h]"`
	// RateBacklog is the lag, as time of the served rate, from which on cells
	// are taken to be wholly busy.
	RateBacklog time.Duration `policy:"rate_backlog" default:"30s" within:"[100ms,24h]"`
	// RateBusyMin is the busy share below which nothing is learned of the rate.
	RateBusyMin float64 `policy:"rate_busy_min" default:"0.1" within:"(0,1)"`

	// GuardTime is how long latency must be out of its bound before cells are
	// trusted with less.
	GuardTime time.Duration `policy:"guard_time" default:"1m" within:"[1s,24h]"`
	// GuardFactor is what the planned busy share is then multiplied with.
	GuardFactor float64 `policy:"guard_factor" default:"0.95" within:"(0,1)"`
	// GuardMin is how low that may bring the planned busy share.
	GuardMin float64 `policy:"guard_min" default:"0.5" within:"(0,1]"`
	// GuardRise is how much of it is given back in a minute within the bound.
	GuardRise float64 `policy:"guard_rise" default:"0.005" within:"(0,1]"`

	// EffectTime is how long an upward order that has landed is given before it
	// is judged whether it helped, if latency or lag are still out of bound.
	EffectTime time.Duration `policy:"effect_time" default:"1m" within:"[1s,24h]"`
	// EffectGain is the part of what such an order could have brought below which
	// it didn't help.
	EffectGain float64 `policy:"effect_gain" default:"0.1" within:"(0,1)"`
	// EffectOrders is how many such orders in a row stop further ones, until the
	// bound is kept again or a service behind has changed its count.
	EffectOrders float64 `policy:"effect_orders" default:"2" within:"[1,100]"`
	// EffectRetry is after how long one more order is tried nevertheless; of a single
	// cell where a service behind has no room.
	EffectRetry time.Duration `policy:"effect_retry" default:"30m" within:"[1s,168h]"`

	// Together is how long an order waits at most for services behind to grow first,
	// or for load in front that can wait to be held back.
	Together time.Duration `policy:"together" default:"2m" within:"[1s,24h]"`

	// IdleTime is how long the busy share must be below utilization.lower
	// before the decision names what keeps the cells.
	IdleTime time.Duration `policy:"idle_time" default:"1h" within:"[1s,720h]"`
	// SignalAway is after how long without a reading its `on_unknown` counts.
	SignalAway time.Duration `policy:"signal_away" default:"1m" within:"[1s,24h]"`
	// GapMax is the longest pause between two beats that counts as missing
	// readings; after a longer one the windows begin anew.
	GapMax time.Duration `policy:"gap_max" default:"1h" within:"[1s,24h]"`
}
