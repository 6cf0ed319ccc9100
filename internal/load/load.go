// Package load holds what a cell says of its own load to whoever chooses among
// cells: the front, and siblings that send some of their clients elsewhere. It is
// one value, its form on the wire, and nothing else: how load is measured is the
// proxy's, and what is made of it the front's.
//
// The value travels in band, in a header of an answer, where the request asked for
// it, and as the answer to a probe. An own count of requests in flight beside the
// latency at that count is what Prequal's probes carry (Wydrowski et al., "Load is
// not what you should balance: introducing Prequal", NSDI 2024).
package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// Header asks for a report, by the value Ask in a request, and carries it in the
	// answer.
	Header = "Homeostat-Load"
	// Ask is what a request says in Header to be answered with a report.
	Ask = "ask"
	// Moved marks a request, in a header, for which a cell was chosen already: whoever
	// gets it sends it nowhere else. The sibling or front that forwards it sets it.
	Moved = "Homeostat-Moved"
	// Path is where a cell's sidecar answers probes, beside its vitals.
	Path = "/v1/load"
)

// Report is the load of one cell at one instant.
type Report struct {
	// InFlight is how many requests the cell works on or keeps waiting, of clients
	// and crawlers.
	InFlight int
	// Limit is how many it lets in side by side just now; it is above zero.
	Limit int
	// Latency is the median of the time its clients' requests took lately at about
	// this number in flight, waiting included; 0 while none was measured.
	Latency time.Duration
	// Hot says that the cell is over its bound: it sends clients elsewhere, where
	// there is somewhere else.
	Hot bool
	// Crawlers says that it takes more from crawlers.
	Crawlers bool
}

// Room is the share of the limit that is free, 0 to 1.
func (r Report) Room() float64 {
	if r.Limit <= 0 || r.InFlight >= r.Limit {
		return 0
	}
	return 1 - float64(max(r.InFlight, 0))/float64(r.Limit)
}

// Full says that the cell can take no more, by its own word.
func (r Report) Full() bool { return r.Hot || r.Room() == 0 }

// String is the report's form on the wire, such as
// "in-flight=3 limit=20 latency=12ms hot=false crawlers=true".
func (r Report) String() string {
	return fmt.Sprintf("in-flight=%d limit=%d latency=%s hot=%t crawlers=%t",
		r.InFlight, r.Limit, r.Latency, r.Hot, r.Crawlers)
}

// longest is more than any report takes, in bytes.
const longest = 256

// Parse reads what String writes. Fields it doesn't know are passed over, so that
// another version's reports can be read; a limit there has to be.
func Parse(text string) (Report, error) {
	if len(text) > longest {
		return Report{}, fmt.Errorf("load report of %d bytes: at most %d are read", len(text), longest)
	}
	var r Report
	for part := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(part, "=")
		if err := r.set(name, value); err != nil {
			return Report{}, fmt.Errorf("load report: %s %q: %w", name, value, err)
		}
	}
	if r.Limit <= 0 || r.InFlight < 0 || r.Latency < 0 {
		return Report{}, fmt.Errorf("load report %q: a limit above zero is needed, and nothing may be negative", text)
	}
	return r, nil
}

func (r *Report) set(name, value string) (err error) {
	switch name {
	case "in-flight":
		r.InFlight, err = strconv.Atoi(value)
	case "limit":
		r.Limit, err = strconv.Atoi(value)
	case "latency":
		r.Latency, err = time.ParseDuration(value)
	case "hot":
		r.Hot, err = strconv.ParseBool(value)
	case "crawlers":
		r.Crawlers, err = strconv.ParseBool(value)
	}
	return err
}
