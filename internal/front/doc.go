// Package front sends clients to the cells of a service that have room for them:
// as a reverse proxy, and as a list for clients that go to a cell directly. The
// same choosing finds the sibling to which a cell over its bound sends some.
//
// Who the members are comes from Consul; how loaded they are from the header of
// package load in answers that pass through, from a few probes, and from what the
// front itself has sent and not had back. It measures no cell's load and decides
// no count.
//
// Chooser is the choosing: a value without clock, network or goroutine. Its rule
// is Prequal's (Wydrowski et al., "Load is not what you should balance: introducing
// Prequal", NSDI 2024): of a few cells drawn at random a cold one of the lowest
// latency is taken, and where all are hot the one with the fewest requests in
// flight; hot is what lies above a quantile of all in-flight counts. One thing
// differs. Prequal draws from a small pool of probe results, filled by several
// probes a request. Here most results come with answers, so such a pool would hold
// the cells that were used anyway, and many fronts would each press on a few. The
// cells are therefore drawn from all members, with the last result of each, which
// as in Prequal ages and serves a limited number of times; nothing need be removed
// for being the worst, as the bad ones don't collect in a sample that is drawn
// anew.
//
// What a front has in hand itself is known without delay, so it is put in place of
// its part in a report that is old. That a few random choices stay good with old
// reports, and the best of all does not, is Mitzenmacher's result ("How useful is
// old information?", IEEE TPDS 2000). Slow start, panic and ejection follow Envoy
// (its documentation, "Slow start mode", "Panic threshold", "Outlier detection");
// the retry budget follows Finagle's.
package front
