package balance

import "time"

// Law holds every constant of the law. A zero field means its default, which
// DefaultLaw gives.
type Law struct {
	// Price is the one dial between waiting and idling, 0.5..0.999: one cell
	// too few counts as Price/(1-Price) cells too many. 0.96.
	Price float64

	// Utilization is the planned busy share of a cell that reads a queue, and
	// RequestUtilization of one that answers requests, which must not queue.
	// Config.Upper overrides both. 0.92 and 0.85.
	Utilization, RequestUtilization float64
	// Staffing is the beta of square-root staffing for request services. 1.
	Staffing float64

	// BurstShare is the share of the wait bound that a burst may queue. 0.6.
	BurstShare float64
	// NeedWindow is the longest window in which bursts are looked for; the
	// shortest is a beat, and each is twice the one before. 160 s.
	NeedWindow time.Duration

	// LookBacks are the memories that compete, and FirstLookBack the one that
	// is used before any has proven better. 1, 5, 20, 60 min; 5 min.
	LookBacks     []time.Duration
	FirstLookBack time.Duration
	// CorrectionMin and CorrectionMax bound the learned correction. 0.7, 2.
	CorrectionMin, CorrectionMax float64
	// HalfLife is how fast what was learned is forgotten. 48 h.
	HalfLife time.Duration
	// Relearn is how often corrections and the best look-back are taken anew,
	// and Switch by which share another must be better. 1 min; 0.02.
	Relearn time.Duration
	Switch  float64
	// WeightMin and WeightMax bound the weight of one beat's lesson, MeanTime
	// is the time constant of the mean load it is measured against. 0.02, 2;
	// 6 h.
	WeightMin, WeightMax float64
	MeanTime             time.Duration
	// Duty is the share of a birth for which a serial order answers. 0.5.
	Duty float64

	// LevelLow and LevelHigh part low, usual and high forecasts, in units of the
	// mean load: each kind learns a correction of its own. 1.5, 5.
	LevelLow, LevelHigh float64

	// A need above SurgeRatio times what was foreseen is believed once it has
	// lasted for SurgeBirths births: that part of a birth is little to lose, and a
	// surge over before anything can land is not bought. 3, 0.1.
	SurgeRatio, SurgeBirths float64

	// TrendErrors is how many standard errors make a trend, TrendLead how far
	// past the lead it is drawn on, TrendCap the most it may ask for over the
	// need. 7, 1.25, 1.5.
	TrendErrors, TrendLead, TrendCap float64
	// StepShare is how little of what a steady rise leaves unexplained a step must
	// leave, to be taken for one: a step leads no further. 0.7.
	StepShare float64
	// TrendMin and TrendMax bound the trend's window, half a birth. 60, 600 s.
	TrendMin, TrendMax time.Duration

	// PriorTime and PriorBirths weigh what is believed before anything is
	// learned (the larger counts), PriorRatio is the surge then expected, and
	// PriorTail how often, in units of 1-Price. 2 h, 20, 1.3, 1.4.
	PriorTime   time.Duration
	PriorBirths float64
	PriorRatio  float64
	PriorTail   float64

	// DrainMin is the shortest time in which a backlog is worked off. 30 s.
	DrainMin time.Duration
	// LagAllowance is how much lag is no backlog, as time of all cells. 0.5 s.
	LagAllowance time.Duration
	// Overdue is after how many births past its expected landing an order is
	// no longer counted on for the backlog. 2.
	Overdue float64

	// RoundingShare and RoundingMax are how far below a whole cell the sum may
	// be rounded down: a share of it, at most this part of a cell. 0.08, 0.25.
	RoundingShare, RoundingMax float64

	// GrowShare is how large a part of the cells a rise must be that only the
	// forecast asks for, and not the load that is there. 0.15.
	GrowShare float64

	// ReleaseIdle is the most that the cells of a downward order must have idled, all
	// together, and ReleaseLooks how many look-backs that is where it is less.
	// ReleaseBirths is how many births each of them must have idled besides, a
	// look-back at most. 20 min, 2.5, 2.
	ReleaseIdle   time.Duration
	ReleaseLooks  float64
	ReleaseBirths float64
	// ReleasePauses is how many pauses of all consumers a downward order must have
	// been worth besides, by Price: its own and that of the rise after it. 2.
	ReleasePauses float64
	// ReleaseWindow is how long a lower count must have been enough; 30 s.
	ReleaseWindow time.Duration
	// ReleaseAfter is how long the law must have run before it lowers; 300 s.
	ReleaseAfter time.Duration
	// ReleaseShare is the smallest share of the cells worth a downward order;
	// 0.05. ReleaseKeep is the share that one such order must leave; 0.4.
	ReleaseShare, ReleaseKeep float64

	// Patience is how long load may wait for a birth: where one takes longer, spare
	// cells are kept, SpareShare of the others and at least one. 15 min, 0.1.
	Patience   time.Duration
	SpareShare float64

	// HotRatio is how many times the mean lag of the others a partition's must be
	// for it to be hot, and StuckAfter after how long without a commit one with lag
	// is stuck. 4, 5 min.
	HotRatio   float64
	StuckAfter time.Duration

	// RateWindow is the time over which the rate of a cell is measured; 60 s.
	RateWindow time.Duration
	// RateBacklog is the lag, as time of the served rate, from which on cells
	// are taken to be wholly busy; 30 s.
	RateBacklog time.Duration
	// RateBusyMin is the busy share below which nothing is learned; 0.1.
	RateBusyMin float64

	// GuardTime is how long latency must be out of its bound before cells are
	// trusted with less; 60 s. GuardFactor is by how much, GuardMin how far,
	// GuardRise how fast it is taken back, a minute. 0.95, 0.5, 0.005.
	GuardTime                        time.Duration
	GuardFactor, GuardMin, GuardRise float64

	// EffectTime is how long an upward order that has landed is given before it is
	// judged; 60 s. EffectGain is the part of what it could have brought below
	// which it was futile; 0.1. After EffectOrders such in a row no more are
	// placed; 2. EffectRetry is after how long one is tried nevertheless; 30 min.
	EffectTime               time.Duration
	EffectGain, EffectOrders float64
	EffectRetry              time.Duration

	// Together is how long an order waits at most for those behind to grow first, or
	// for load in front to be held back. 2 min.
	Together time.Duration

	// IdleTime is how long the busy share must be below Config.Lower before
	// the decision names what keeps the cells. 1 h.
	IdleTime time.Duration
	// SignalAway is after how long without a reading its fallback counts. 60 s.
	SignalAway time.Duration
	// GapMax is the longest pause between two beats that counts as missing
	// readings; after a longer one the windows begin anew. 1 h.
	GapMax time.Duration
}

// DefaultLaw returns the constants found by simulation on recorded loads.
func DefaultLaw() Law {
	return Law{
		Price:              0.96,
		Utilization:        0.92,
		RequestUtilization: 0.85,
		Staffing:           1,
		BurstShare:         0.6,
		NeedWindow:         160 * time.Second,
		LookBacks:          []time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour},
		FirstLookBack:      5 * time.Minute,
		CorrectionMin:      0.7,
		CorrectionMax:      2,
		HalfLife:           48 * time.Hour,
		Relearn:            time.Minute,
		Switch:             0.02,
		WeightMin:          0.02,
		WeightMax:          2,
		MeanTime:           6 * time.Hour,
		Duty:               0.5,
		LevelLow:           1.5,
		LevelHigh:          5,
		SurgeRatio:         3,
		SurgeBirths:        0.1,
		StepShare:          0.7,
		TrendErrors:        7,
		TrendLead:          1.25,
		TrendCap:           1.5,
		TrendMin:           time.Minute,
		TrendMax:           10 * time.Minute,
		PriorTime:          2 * time.Hour,
		PriorBirths:        20,
		PriorRatio:         1.3,
		PriorTail:          1.4,
		DrainMin:           30 * time.Second,
		LagAllowance:       500 * time.Millisecond,
		Overdue:            2,
		RoundingShare:      0.08,
		RoundingMax:        0.25,
		ReleaseIdle:        20 * time.Minute,
		ReleaseBirths:      2,
		ReleasePauses:      2,
		GrowShare:          0.15,
		ReleaseLooks:       2.5,
		ReleaseWindow:      30 * time.Second,
		ReleaseAfter:       5 * time.Minute,
		ReleaseShare:       0.05,
		ReleaseKeep:        0.4,
		Patience:           15 * time.Minute,
		SpareShare:         0.1,
		HotRatio:           4,
		StuckAfter:         5 * time.Minute,
		RateWindow:         time.Minute,
		RateBacklog:        30 * time.Second,
		RateBusyMin:        0.1,
		GuardTime:          time.Minute,
		GuardFactor:        0.95,
		GuardMin:           0.5,
		GuardRise:          0.005,
		EffectTime:         time.Minute,
		EffectGain:         0.1,
		EffectOrders:       2,
		EffectRetry:        30 * time.Minute,
		Together:           2 * time.Minute,
		IdleTime:           time.Hour,
		SignalAway:         time.Minute,
		GapMax:             time.Hour,
	}
}
