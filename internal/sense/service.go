package sense

import "github.com/homeostat-io/terraform-provider-homeostat/internal/reading"

// Whole is a value over all cells of a service.
type Whole struct {
	// Value is known only if every cell gave its part.
	Value reading.Reading
	// Partial is over the cells that did. For a sum or a maximum it is a lower
	// bound of the whole; for a quantile it is no bound at all.
	Partial reading.Reading
	// Known of Of cells gave their part.
	Known, Of int
}

// ServiceVitals is what the vitals of all cells of a service say together.
type ServiceVitals struct {
	// Offered, Served and Refused are per second, InFlight and SpoolDepth are
	// counts; each summed over the cells.
	Offered, Served, Refused, InFlight, SpoolDepth Whole
	// BusyMax is the busy share of the busiest ready cell, 0 to 1.
	BusyMax    Whole
	BusySource string
	// Latency is the quantile over all requests of all cells, in the unit of
	// the histogram. LatencyBeyond says that it lies above the largest bound
	// of the buckets, which is then the value.
	Latency       Whole
	LatencyBeyond bool
	// Version is that of the ready cells; empty while they differ.
	Version string
	// Missing names the cells that gave no vitals, with the reason.
	Missing []string
}
