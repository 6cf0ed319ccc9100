package balance

// The codes of a decision. They are labels of a metric: short, stable, few.
//
//	code               the count    because
//	grow               rises        load or backlog needs more than is ordered
//	latency-guard      rises        latency is out of bound at a load that should be easy
//	fallback           rises        a signal stays away and the policy names a number
//	release            falls        less has been enough for a while
//	bounds             either       it was outside the policy's min and max, or above a ceiling of another service
//	requested          rises        a service that needs this one asks for more
//	pinned             either       a person has set it
//	steady             stays        as many are needed as are ordered
//	bounds-only        stays        no signal of load is configured
//	waiting-for-birth  stays        fewer would do, but an upward order is in flight
//	lag-remains        stays        fewer would do, but a backlog remains
//	warming-up         stays        fewer would do, but the law has run too shortly
//	settling           stays        fewer would do, but not for long enough, or not since a gap
//	dead-band          stays        fewer would do, but too few to be worth an order
//	no-effect          stays        more are needed, but the last ones did not help
//	behind-full        stays        more are needed, but a service behind has no room
//	in-order           stays        more are wanted, and those behind are asked to grow first
//	yielding           stays        more are needed, and load that can wait is held back first
//	unpaired           stays        more are needed, and wait for a partner with room
//	hot-partition      stays        one partition alone is behind: more would not help it
//	stuck-partition    stays        on a partition nothing is committed: more would not help
//	small-rise         stays        a little more is foreseen, and not needed yet
//	climbing           stays        more are needed, but the need still climbs, and orders can't overlap
//	flap-budget        stays        fewer would do, but the hour's changes are used up
//	capped-max         stays        more are needed than the policy's max
//	capped-partitions  stays        more are needed than partitions can occupy
//	unknown-rate       stays        the rate of one cell is not known yet
//	unknown-offered    stays        the offered rate is missing
//	unknown-lag        stays        the lag is missing
//	unknown-latency    stays        the latency is missing
//
// A count that rises only as far as a cap has the code of the rise; what cut
// it is in Decision.CappedBy.
const (
	CodeGrow             = "grow"
	CodeLatencyGuard     = "latency-guard"
	CodeRequested        = "requested"
	CodeNoEffect         = "no-effect"
	CodeBehindFull       = "behind-full"
	CodeInOrder          = "in-order"
	CodeYielding         = "yielding"
	CodeUnpaired         = "unpaired"
	CodeFallback         = "fallback"
	CodeRelease          = "release"
	CodeBounds           = "bounds"
	CodePinned           = "pinned"
	CodeSteady           = "steady"
	CodeBoundsOnly       = "bounds-only"
	CodeWaitingForBirth  = "waiting-for-birth"
	CodeLagRemains       = "lag-remains"
	CodeWarmingUp        = "warming-up"
	CodeSettling         = "settling"
	CodeDeadBand         = "dead-band"
	CodeHotPartition     = "hot-partition"
	CodeStuckPartition   = "stuck-partition"
	CodeSmallRise        = "small-rise"
	CodeClimbing         = "climbing"
	CodeFlapBudget       = "flap-budget"
	CodeCappedMax        = "capped-max"
	CodeCappedPartitions = "capped-partitions"
	CodeUnknownRate      = "unknown-rate"
	CodeUnknownOffered   = "unknown-offered"
	CodeUnknownLag       = "unknown-lag"
	CodeUnknownLatency   = "unknown-latency"
)
