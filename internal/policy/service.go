package policy

import (
	"slices"
	"time"
)

// Service is one kind of cell and the bounds within which it is kept.
//
// A service with neither kafka_lag nor requests nor latency nor proxy is not scaled
// by load: it is kept at its minimum, its dead cells are replaced, and a person
// or another service's needs may raise it. Nothing lowers it again but a person's
// pin or a lower max: that nobody asks for a cell any more doesn't say that nobody
// uses it.
type Service struct {
	// Name is the block's label: at most 48 of a-z, 0-9 and -, as cells,
	// Consul's services and host names are called after it.
	Name string `policy:",label"`
	// Min is the fewest cells there may be.
	Min int `policy:"min,required" within:"[0,100000]"`
	// Max is the most machines there may be, half-born ones included.
	Max int `policy:"max,required" within:"[1,100000]"`
	// Beat is how often the leader looks and decides.
	Beat time.Duration `policy:"beat" default:"5s" within:"[100ms,5m]"`
	// HoldsData says that a cell's data directory is worth more than the cell:
	// a dead cell is started again over its own data, never replaced by an
	// empty one, and never removed for load without `drain.path` or
	// `drain.command`.
	HoldsData bool `policy:"holds_data"`
	// Needs names the services behind this one. Its leader asks them for room.
	Needs []string `policy:"needs"`
	// RequestTTL is how long such a request counts when the leader that asks
	// doesn't renew it, as it does thrice in that time. At least three beats.
	RequestTTL time.Duration `policy:"request_ttl" default:"1m" within:"[1s,1h]"`
	// Yields says that this service's work can wait, as a crawler's can: while one that
	// it needs has too few cells, that one's leader may ask it to have no more, or
	// fewer; and it grows only after those it needs.
	Yields bool `policy:"yields"`
	// Pair is the one of `needs` of which each new cell is given one cell for
	// life: the one with the most room when it is born. The application is told
	// which one by HOMEOSTAT_PARTNER_ and the service's name, as host:port.
	Pair string `policy:"pair"`
	// PairWait is how long more cells wait for one there that has room.
	PairWait time.Duration `policy:"pair_wait" default:"10m" within:"[1s,24h]"`
	// Lead names the services which this one's sidecars may lead when none of
	// their own is alive; not written: all, `[]`: none but its own.
	Lead []string `policy:"lead"`
	// Members says who counts as ready: cells that register in Consul, or, for
	// modules whose cells can't, those in Terraform's state, whose health is
	// then unknown.
	Members string `policy:"members" default:"consul" one:"consul|state"`

	// Genome is the file that says what a cell is made of, relative to the policy;
	// with it the service can be published. It needs `bundle`.
	Genome string `policy:"genome"`

	Terraform   Terraform   `policy:"terraform,required"`
	KafkaLag    *KafkaLag   `policy:"kafka_lag"`
	Requests    *Requests   `policy:"requests"`
	Latency     *Latency    `policy:"latency"`
	Spool       *Spool      `policy:"spool"`
	Postgres    *Postgres   `policy:"postgres"`
	Utilization Utilization `policy:"utilization"`
	Metrics     Metrics     `policy:"metrics"`
	Health      Health      `policy:"health"`
	Drain       Drain       `policy:"drain"`
	Birth       Birth       `policy:"birth"`
	Replace     Replace     `policy:"replace"`
	Renew       Renew       `policy:"renew"`
	Limits      Limits      `policy:"limits"`
	Schedules   []*Schedule `policy:"schedule"`
	Law         Law         `policy:"law"`
	PlanAhead   PlanAhead   `policy:"plan_ahead"`
	Front       *Front      `policy:"front"`
	Proxy       *Proxy      `policy:"proxy"`
}

// The values of Service.Members, Terraform.OnForeignChange,
// KafkaLag.WithoutCommit and Replace.Slow that others go by.
const (
	CommitEarliest = "earliest"
	CommitLatest   = "latest"
	MembersConsul  = "consul"
	MembersState   = "state"
	SlowOff        = "off"
	SlowReplace    = "replace"
	ForeignTarget  = "target"
	ForeignHold    = "hold"
)

// Terraform names the root module that makes the cells, and how it is run.
type Terraform struct {
	// Dir is the root module, relative to the policy file.
	Dir string `policy:"dir,required"`
	// Variable is the root module's variable that holds the count of cells.
	Variable string `policy:"variable" default:"desired_count"`
	// Binary is Terraform or OpenTofu: a name on PATH, or a path.
	Binary string `policy:"binary" default:"terraform"`
	// Workspace is the workspace to use; empty for the default one.
	Workspace string `policy:"workspace"`
	// Parallelism is the most operations that one apply does side by side.
	Parallelism int `policy:"parallelism" default:"50" within:"[1,1000]"`
	// Timeout limits one plan and one apply. An apply that exceeds it is
	// interrupted and waited for.
	Timeout time.Duration `policy:"timeout" default:"15m" within:"[10s,24h]"`
	// ShardSize is above how many cells a service is spread over further workspaces
	// of the root module, each with at most that many; 0 for never. It needs a
	// module that takes `cell_names` and holds nothing but cells, and a backend
	// that has workspaces.
	ShardSize int `policy:"shard_size" default:"100" within:"[0,10000]"`
	// ShardsAtOnce is in how many of them Terraform runs side by side. They share
	// `parallelism`.
	ShardsAtOnce int `policy:"shards_at_once" default:"4" within:"[1,100]"`
	// LockTimeout is how long to wait for the lock of Terraform's state.
	LockTimeout time.Duration `policy:"lock_timeout" default:"1m" within:"[0s,24h]"`
	// VarFiles are further variable files, relative to `dir`, in the order in
	// which they win.
	VarFiles []string `policy:"var_files"`
	// EphemeralVars gives ephemeral variables of the root module: name of the
	// variable = name of the environment variable that holds its value.
	EphemeralVars map[string]string `policy:"ephemeral_vars"`
	// BackendConfig is handed to init as -backend-config key=value. It is
	// seen in process lists: no place for secrets.
	BackendConfig map[string]string `policy:"backend_config"`
	// Env is added to the environment in which Terraform runs.
	Env map[string]string `policy:"env"`
	// MayChange lists addresses of resources which an order may change though
	// they are neither cells nor learned dependents of them.
	MayChange []string `policy:"may_change"`
	// OnForeignChange says what to do when a plan would also change something
	// outside the cells: `target` applies the order alone and reports the
	// rest, `hold` applies nothing until a person has looked.
	OnForeignChange string `policy:"on_foreign_change" default:"target" one:"target|hold"`
}

// KafkaLag scales a service by the backlog of its consumer group, judged by
// how long it takes to work off.
type KafkaLag struct {
	// Topic is what the cells read.
	Topic string `policy:"topic,required"`
	// Group is the consumer group they read it in.
	Group string `policy:"group,required"`
	// Upper is how long a message may wait.
	Upper time.Duration `policy:"upper,required" within:"[100ms,24h]"`
	// ConsumersPerCell is how many members of the group one cell runs. Cells
	// beyond partitions / consumers_per_cell would idle and are not ordered.
	ConsumersPerCell int `policy:"consumers_per_cell" default:"1" within:"[1,10000]"`
	// WithoutCommit says where the consumers begin on a partition on which the
	// group has committed nothing: `earliest` makes all of it lag, `latest` none;
	// Kafka itself doesn't tell, and then the lag is unknown.
	WithoutCommit string `policy:"without_commit" default:"unknown" one:"unknown|earliest|latest"`
	// OnUnknown says what to do while the lag can't be read: `"hold"` keeps the
	// count, `"floor"` lets other signals raise it but nothing lower it, and a
	// number raises it to at least that many cells. None of them lowers it.
	OnUnknown Fallback `policy:"on_unknown" default:"hold"`
}

// Requests counts what a service is asked to do, from counters on the
// application's own metrics page. Without it, and without kafka_lag, the count
// of the latency histogram is taken.
type Requests struct {
	// Arrived is a counter of all requests, refused ones included.
	Arrived string `policy:"arrived,required"`
	// Refused is a counter of those that were turned away; empty if none is.
	Refused string `policy:"refused"`
}

// Latency bounds how slow an answer may be. It lowers the load that a cell is
// trusted with; for a service without kafka_lag it is also how long a request
// may wait.
type Latency struct {
	// Histogram is the name of a Prometheus histogram in seconds, classic or
	// native, on the application's own metrics page. Where there is a proxy it may
	// be left out, and what clients saw at the proxy counts in any case.
	Histogram string `policy:"histogram"`
	// Labels picks some of the histogram's series; none: all of them, added up.
	Labels map[string]string `policy:"labels"`
	// Quantile is which part of the answers must be faster than `upper`.
	Quantile float64 `policy:"quantile" default:"0.99" within:"(0,1)"`
	// Upper is the bound on that quantile.
	Upper time.Duration `policy:"upper,required" within:"[1ms,1h]"`
	// OnUnknown says what to do while the latency can't be read: `"hold"` keeps
	// the load that a cell was trusted with last, `"floor"` also keeps the
	// count from falling, and a number raises it to at least that many cells.
	OnUnknown Fallback `policy:"on_unknown" default:"hold"`
}

// Fallback is what to do while a signal stays away.
type Fallback struct {
	// Kind is hold, floor or number.
	Kind string
	// Number is a count of cells, for the kind number.
	Number int
}

// The kinds of fallback.
const (
	FallbackHold   = "hold"
	FallbackFloor  = "floor"
	FallbackNumber = "number"
)

// Utilization bounds the share of time a cell is busy.
type Utilization struct {
	// Lower is the busy share below which, for `law.idle_time`, the decision
	// names what keeps the cells. It orders nothing.
	Lower float64 `policy:"lower" default:"0.5" within:"[0,1)"`
	// Upper is the planned busy share: the part of a cell's rate that it is
	// trusted with. A service that answers requests, which has no kafka_lag,
	// has 0.85 unless it says otherwise, as requests must not queue.
	Upper float64 `policy:"upper" default:"0.92" within:"(0,1]"`
}

// requestUpper is the default of Utilization.Upper where requests must not
// queue.
const requestUpper = 0.85

// Metrics says how the application's own metrics page is read. The page is in
// Prometheus' text format.
type Metrics struct {
	// Path is the page's path on the application's address.
	Path string `policy:"path" default:"/metrics"`
	// Port is the page's port; 0 for the application's own.
	Port int `policy:"port" default:"0" within:"[0,65535]"`
	// Busy is a gauge of the busy share, 0 to 1; empty if there is none.
	Busy string `policy:"busy"`
	// Workers is how many requests a cell works on side by side; with it the
	// busy share can be had from the sum of the latency histogram. 0 for
	// unknown.
	Workers int `policy:"workers" default:"0" within:"[0,1000000]"`
	// InFlight is a gauge of the work a cell has in hand; a cell that drains
	// may leave once it is 0. Empty if there is none: it leaves after
	// `drain.timeout`.
	InFlight string `policy:"in_flight"`
	// Timeout limits one reading of the page.
	Timeout time.Duration `policy:"timeout" default:"2s" within:"[50ms,1m]"`
}

// Health says when an application is well. With neither http nor tcp it is
// well while its process lives.
type Health struct {
	// HTTP is a path on the application's address that answers 200 to 299.
	HTTP string `policy:"http"`
	// TCP asks only that the application's port accepts connections.
	TCP bool `policy:"tcp"`
	// Interval is the time between two checks.
	Interval time.Duration `policy:"interval" default:"2s" within:"[50ms,10m]"`
	// Timeout limits one check.
	Timeout time.Duration `policy:"timeout" default:"1s" within:"[10ms,1m]"`
	// TTL is after how long without a push Consul calls the cell critical.
	TTL time.Duration `policy:"ttl" default:"10s" within:"[1s,1h]"`
	// Grace is how long after its start an application may be unwell without
	// that being a failure.
	Grace time.Duration `policy:"grace" default:"1m" within:"[0s,24h]"`
	// Failures is how many checks in a row must fail.
	Failures int `policy:"failures" default:"3" within:"[1,1000]"`
}

// Drain says how a cell is asked to finish what it has and take no more.
type Drain struct {
	// Path is where PUT begins and DELETE takes back a drain, on the
	// application's address. Empty: the cell is only marked in Consul, so that
	// no one sends it anything new.
	Path string `policy:"path"`
	// Timeout is after how long a cell leaves though it isn't idle, or isn't known to
	// be. One with a command goes once that has ended, where there is no path and
	// nothing tells what it has in hand.
	Timeout time.Duration `policy:"timeout" default:"1m" within:"[0s,24h]"`
	// Command is run on a cell that the leader wants to leave, once it drains; the
	// cell stays until it has ended with 0, which says that what the cell holds is
	// elsewhere. It is run again after it failed, and stopped when the cell is
	// taken back, so it must do no harm by being begun anew. It has the environment
	// of the application. Cells with a command leave one after the other.
	Command []string `policy:"command"`
	// CommandTimeout is how long it may run.
	CommandTimeout time.Duration `policy:"command_timeout" default:"1h" within:"[1s,168h]"`
}

// Birth says how long a cell takes to come to be, and what happens when it
// doesn't.
type Birth struct {
	// Time is how long a birth is expected to take, from order to passing,
	// until the first ones have been measured.
	Time time.Duration `policy:"time" default:"1m" within:"[100ms,24h]"`
	// Timeout is after how long a birth has failed.
	Timeout time.Duration `policy:"timeout" default:"10m" within:"[1s,48h]"`
	// BackoffMin is the pause after a first failed birth; it doubles with each
	// further one.
	BackoffMin time.Duration `policy:"backoff_min" default:"30s" within:"[100ms,24h]"`
	// BackoffMax is the longest such pause.
	BackoffMax time.Duration `policy:"backoff_max" default:"10m" within:"[100ms,24h]"`
	// TrialAfter is after how many failures alike only one birth at a time is
	// tried.
	TrialAfter int `policy:"trial_after" default:"3" within:"[1,1000]"`
}

// Replace says when a silent cell is taken for dead, and when a slow one is
// replaced: one whose own latency stays well above its siblings' at the same
// load. It needs `latency`.
type Replace struct {
	// After is how long it must have been silent or critical.
	After time.Duration `policy:"after" default:"30s" within:"[1s,24h]"`
	// MassHold is how long no cell is replaced after three or more, and over a
	// third, went silent together: then it is more likely the network. As long is
	// one left alone that lives though Terraform's refresh doesn't find it.
	MassHold time.Duration `policy:"mass_hold" default:"2m" within:"[0s,24h]"`
	// Slow says what becomes of a slow cell: `warn` only spares it new clients,
	// `replace` has another one born in its place, unless it holds data or the
	// root module takes a bare count.
	Slow string `policy:"slow" default:"replace" one:"off|warn|replace"`
	// SlowQuantile is the quantile of a cell's own latency that is compared.
	SlowQuantile float64 `policy:"slow_quantile" default:"0.5" within:"(0,1)"`
	// SlowScore is the modified z-score among its siblings from which on a cell
	// is an outlier.
	SlowScore float64 `policy:"slow_score" default:"3.5" within:"[1,1000]"`
	// SlowRatio is how many times as slow as their median it must also be.
	SlowRatio float64 `policy:"slow_ratio" default:"2" within:"[1,1000]"`
	// SlowLoad is how much of the siblings' median load a cell may have to be
	// compared with them.
	SlowLoad float64 `policy:"slow_load" default:"1.25" within:"[1,1000]"`
	// SlowSiblings is the fewest other cells that a cell is compared with.
	SlowSiblings int `policy:"slow_siblings" default:"4" within:"[2,10000]"`
	// SlowRequests is the fewest requests, or messages, that a cell must have
	// done in a quarter of a minute to be compared.
	SlowRequests float64 `policy:"slow_requests" default:"20" within:"[1,1000000]"`
	// SlowShare is the share of the cells above which so many slow at once are
	// not the cells' fault, and none is judged.
	SlowShare float64 `policy:"slow_share" default:"0.25" within:"(0,1]"`
	// SlowAfter is how long a cell must be slow before it is marked, and even
	// before the mark is taken back.
	SlowAfter time.Duration `policy:"slow_after" default:"2m" within:"[1s,24h]"`
	// SlowReplaceAfter is how long it must stay slow then before it is replaced.
	SlowReplaceAfter time.Duration `policy:"slow_replace_after" default:"5m" within:"[0s,24h]"`
}

// Renew says how cells of another genome than the published one are replaced.
type Renew struct {
	// AtOnce is how many cells are renewed side by side; 0 for none: then they
	// go only as cells go anyway.
	AtOnce int `policy:"at_once" default:"1" within:"[0,1000]"`
}

// PlanAhead says whether Terraform's plan of the order that is likely next is made,
// and judged, before the order is placed, so that it goes straight to the apply of
// that plan. The order is foreseen from the law's own sum and where it is going, and
// from cells that drain. Nothing is planned ahead while the service is paused or
// pinned.
type PlanAhead struct {
	// Enabled turns it on. What it costs is one plan each time, at most every
	// `pause`.
	Enabled bool `policy:"enabled" default:"true"`
	// MaxAge is how old a plan may be when its order is placed; what Terraform found
	// by its refresh, and what data sources told, is as old. A plan made from another
	// state, root module or variable file than there is now is never used.
	MaxAge time.Duration `policy:"max_age" default:"5m" within:"[1s,1h]"`
	// Pause is the shortest time from one such plan to the next. It doubles with each
	// that was of no use, until one is.
	Pause time.Duration `policy:"pause" default:"30s" within:"[100ms,24h]"`
	// PauseMax is the longest that it becomes.
	PauseMax time.Duration `policy:"pause_max" default:"5m" within:"[100ms,24h]"`
}

// Limits bound how much is changed.
type Limits struct {
	// DestroysPerApply is the most cells that one apply may destroy; 0 for as
	// many as were ordered.
	DestroysPerApply int `policy:"destroys_per_apply" default:"0" within:"[0,100000]"`
	// DestroysPerHour is the most cells that may be destroyed in an hour; 0
	// for no such limit.
	DestroysPerHour int `policy:"destroys_per_hour" default:"0" within:"[0,100000]"`
	// ChangesPerHour is the number of changes of the count in an hour from
	// which on none is made downward, but to a lower `max` or to a pin. Upward ones
	// pass, and renewing cells is none.
	ChangesPerHour int `policy:"changes_per_hour" default:"12" within:"[1,100000]"`
}

// AnswersRequests tells a service whose work comes as requests, which must not
// queue, from one that reads a queue and from one that has no signal at all.
func (s *Service) AnswersRequests() bool {
	return s.KafkaLag == nil && (s.Requests != nil || s.Latency != nil || s.Proxy != nil)
}

// WaitBound is how long a message or a request may wait: kafka_lag.upper, else
// latency.upper, else zero.
func (s *Service) WaitBound() time.Duration {
	switch {
	case s.KafkaLag != nil:
		return s.KafkaLag.Upper
	case s.Latency != nil:
		return s.Latency.Upper
	default:
		return 0
	}
}

// NeedsService says whether this service needs the one of that name.
func (s *Service) NeedsService(name string) bool { return slices.Contains(s.Needs, name) }
