// Package balance is the control law: it says how many cells a service should
// have. It is a pure function of configuration, state and observation, so the
// same three always give the same decision, and a decision can be replayed.
//
// The law in one paragraph. From the load of the last minutes it takes the
// rate that must be served so that a burst may queue but not for too long (the
// need), compares how several look-backs would have foreseen that need at the
// time a cell takes to be born (each with a correction it learns from its own
// past), and takes the best of them as the forecast. The backlog is rolled
// forward over the orders in flight, and what is left of it is worked off in
// the time of a birth. The sum, divided by the true rate of one cell and the
// share of it that is planned with, is the count. It grows at once and the
// whole step; it shrinks when what idles is worth an order, and never on a
// missing reading.
//
// What the package leaves out: measuring (package sense), ordering and births
// (package act), clocks, networks, randomness, logs.
//
// Its rules, and where each comes from:
//
//	need         served at this rate no burst queues for too long: an arrival curve
//	             against a service with a delay; Cruz, "A calculus for network delay",
//	             IEEE Trans. Inf. Theory 37, 1991
//	look-backs   memories of different length compete, and the one with the least loss
//	             so far is used: follow the leader; Cesa-Bianchi and Lugosi,
//	             "Prediction, Learning, and Games", 2006
//	correction   a quantile of need over forecast, scored by the pinball loss: Koenker
//	             and Bassett, "Regression quantiles", Econometrica 46, 1978; learned
//	             apart for low, usual and high load, since a surge is large in
//	             relation to calm and not to another surge
//	trend        a significant rise is drawn on; a jump in level is none: two-phase
//	             regression, Hinkley, JASA 66, 1971
//	surge        what is far above all forecasts must last for a part of a birth: rent
//	             before you buy; Karlin, Manasse, Rudolph and Sleator, "Competitive
//	             snoopy caching", Algorithmica 3, 1988
//	backlog      rolled forward over the orders in flight, a Smith predictor for whole
//	             cells: Dellkrantz et al., Feedback Computing 2015
//	drain        the catch-up term of the Flink Kubernetes operator's autoscaler, over a
//	             birth; what arrives while partitions move is its restart term
//	rate         of a cell, from what is processed while busy: DS2, Kalavri et al.,
//	             "Three steps is all you need", OSDI 2018; the largest busy share and
//	             not the mean: FLINK-30652; not while one partition is hot
//	staffing     the square root of the load above it: Halfin and Whitt, "Heavy-traffic
//	             limits for queues with many exponential servers", Oper. Res. 29, 1981
//	release      an order waits until what idles has cost as much as the order:
//	             part-period balancing, DeMatteis, IBM Systems Journal 7, 1968
//	effect       cells that don't help are not ordered, and tiers not scaled each for
//	             itself: Bauer et al., "Chamulteon", ICDCS 2019
//	spares       kept where a birth takes longer than anybody waits: a base stock, since
//	             what can't be bought in time must lie in store; Arrow, Harris and
//	             Marschak, "Optimal inventory policy", Econometrica 19, 1951
//	latency      a guard that lowers the share of its rate a cell is trusted with, by
//	             additive increase and multiplicative decrease: Chiu and Jain, Computer
//	             Networks and ISDN Systems 17, 1989
//
// The constants were found by simulation (package simulate) on recorded loads.
package balance

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Config is what the policy says about one service. The zero value of a field
// means its default, where one is named.
type Config struct {
	// Min and Max bound the count. A Max below Min is taken as Min. Scheduled says
	// what of them changes with the time.
	Min, Max  int
	Scheduled Scheduled
	// Beat is the time between two decisions; 5 s.
	Beat time.Duration
	// Requests marks a service that answers requests: no lag is expected, and
	// staffing follows the square root of the load. Otherwise it reads a queue.
	Requests bool
	// BoundsOnly marks a service without any signal of load: only the bounds
	// and a pin are kept.
	BoundsOnly bool
	// WaitBound is how long a message or request may wait; 30 s.
	WaitBound time.Duration
	// Upper is the planned busy share of a cell, 0..1; see Law for defaults.
	Upper float64
	// Lower is the busy share below which, held for Law.IdleTime, the decision
	// names what keeps the cells. It orders nothing. Zero: never.
	Lower float64
	// LatencyUpper bounds the measured latency. Zero: latency is no signal.
	LatencyUpper time.Duration
	// ConsumersPerCell is how many partitions one cell reads at once; 1.
	ConsumersPerCell int
	// Serial says that an order can only start when the last has landed.
	Serial bool
	// BirthTime stands in for the median birth before the first one; 60 s.
	BirthTime time.Duration
	// FlapBudget is the number of changes an hour from which on the law places
	// no downward order; 12. Orders in flight are counted. Negative: no limit.
	// Upward orders pass, and so does the one that brings a count above Max
	// back to it; one to a ceiling that another service asks for doesn't.
	FlapBudget int
	// Pair names the service that each new cell is paired with for life. While it
	// has no room, a rise waits for it up to PairWait; 10 min.
	Pair     string
	PairWait time.Duration
	// Yields says that the work of this service can wait, so that services which it
	// needs may ask it to have no more cells, or fewer.
	Yields bool
	// LagFallback and LatencyFallback say what to do once the signal has been
	// away for Law.SignalAway.
	LagFallback, LatencyFallback Fallback
	// Law holds the constants. The zero Law is DefaultLaw().
	Law Law

	ceilingBy string // who asked for the ceiling that is Max
	policyMax int    // Max without a ceiling
}

// What a Fallback may say. None of them lowers a count.
const (
	// Hold keeps what the signal decides: for lag the count as it is ordered,
	// for latency the load that a cell is trusted with.
	Hold = "hold"
	// Floor keeps the count from falling; what is still known may raise it.
	Floor = "floor"
	// Number raises the count to Fallback.Number, if it is lower, and is Floor
	// otherwise.
	Number = "number"
)

// Fallback is what to do while a signal stays away. The zero value is Hold.
type Fallback struct {
	Kind   string
	Number int
}

// Observation is what is known of a service at one instant.
type Observation struct {
	At time.Time
	// Ordered counts the cells there will be when all orders have landed,
	// Ready those that serve now.
	Ordered, Ready int
	// Serving counts the cells that have a part in Served, where that is known and
	// more than Ready: those that leave go on with what they have. 0 for unknown.
	Serving int
	// InFlight lists the orders not yet landed, in any order.
	InFlight []Order
	// Offered is the rate of arrivals during the last beat, refused ones
	// included; per second.
	Offered reading.Reading
	// Served is the rate at which they are done, per second, and BusyMax the
	// largest busy share of a cell, 0..1. Both are means over Law.RateWindow,
	// of at least two commits: the rate of a cell is made from them.
	Served, BusyMax reading.Reading
	// Lag is the backlog, in messages. A request service has none.
	Lag reading.Reading
	// CommitInterval is the time between two commits of offsets, in seconds,
	// and InFlightMessages what is read but not committed: lag from committed
	// offsets is never below them.
	CommitInterval, InFlightMessages reading.Reading
	// Latency is the guarded quantile, in seconds. Quiet says that no
	// request came, and none is in hand, that it could have been measured by.
	Latency reading.Reading
	Quiet   bool
	// Partitions counts the topic's partitions, and Laggards are those of them that
	// are furthest behind, as many as are worth a look.
	Partitions reading.Reading
	Laggards   []Partition
	// BirthMedian is the median time of the last births, from order to
	// passing, in seconds.
	BirthMedian reading.Reading
	// BusySource says where BusyMax comes from, for the decision.
	BusySource string
	// StandIns are the cells that did not answer in time, and what they may hide.
	StandIns StandIns
	// Rebalancing says that the consumer group is moving partitions, RebalancePause
	// for how long that keeps it from reading each time, in seconds.
	Rebalancing    bool
	RebalancePause reading.Reading
	// Downs and Changes count the orders landed in the last hour: downward
	// ones, and all.
	Downs, Changes int
	// Pin is the count a person has asked for; nil if none. It is cut to 0 and
	// Max; Min, partitions and the flap budget do not bind it.
	Pin *int
	// Requests are what other services ask of this one, Behind what is known of
	// the services that it needs.
	Requests []Request
	Behind   []Behind
	// Front are the services that need this one and whose work can wait.
	Front []Front
	// Version names the version of the application that runs.
	Version string
}

// Order is a change of the count that has not landed.
type Order struct {
	Delta            int
	Placed, Expected time.Time
}

// Decision is what to do and every number that led there.
type Decision struct {
	At time.Time
	// Desired is the count to order; Ordered and Ready repeat the observation.
	Desired, Ordered, Ready int
	// Code is one of the Code constants: short, stable, a metric's label.
	Code string
	// Reason is one sentence for a person.
	Reason string
	// Terms are the steps of the sum, in order.
	Terms []Term
	// Unknown lists the readings that are missing, each with its reason.
	Unknown []string
	// Asks are the requests to services behind this one, Answers what becomes of
	// others' requests to this one.
	Asks    []Ask
	Answers []Answer
	// CappedBy names the bound that cut the count: "min", "max", "partitions", or
	// is empty; of a schedule with its name: max of schedule "night".
	CappedBy string
}

// Term is one step of the sum.
type Term struct {
	Name  string
	Value float64
	Unit  string
	Note  string
}
