// Package sense measures what a decision needs: the lag of a Kafka consumer
// group and its rates, what an application says of itself on /metrics, and the
// vitals that the sidecars of one service tell each other.
//
// A reading is a value or the reason why there is none, and a measurement that
// reached only a part of what it asked for says so: the sum over the part is
// kept beside the unknown whole and never takes its place. The package decides
// nothing and remembers no more than a rate needs.
//
// Each source has a file of its own. Lag counts as Kafka's own tools count it,
// from the committed offset to the log end. Quantiles follow Prometheus'
// histogram_quantile. The busy share of a service is that of its busiest cell,
// since skewed partitions cap the whole (FLINK-30652).
package sense
