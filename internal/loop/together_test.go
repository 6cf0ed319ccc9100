package loop

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// A ceiling goes from an API that can't grow to the crawlers' leader, which follows
// and answers; and the crawlers' leader asks for the cells that more of its own
// will need, going by the API's last word.
func TestCrawlersAndTheirAPI(t *testing.T) {
	p := newPairOfLeaders(t)
	p.api.Service.Max = 2
	s := &policy.Service{
		Name: "crawler", Min: 1, Max: 40, Beat: 5 * time.Second, Needs: []string{"api"}, Yields: true, RequestTTL: time.Minute,
		KafkaLag: &policy.KafkaLag{Topic: "urls", Group: "crawlers", Upper: 30 * time.Second, ConsumersPerCell: 1},
	}
	crawler := p.leader(s, p.api.Service)
	p.api.Front = InFront(&policy.Policy{Services: []*policy.Service{p.db.Service, p.api.Service, s}}, p.api.Service)
	if len(p.api.Front) != 1 || p.api.Front[0] != s {
		t.Fatalf("in front of the API: %+v", p.api.Front)
	}
	for l, n := range map[*Leader]int{p.api: 2, crawler: 10} {
		if _, err := l.lease.PutRecord(t.Context(), fleet.Record{Count: n, Names: make([]string, n), Next: 99}, 0); err != nil {
			t.Fatal(err)
		}
	}
	load := func(offered, served float64, cells int, lag float64) func(*balance.Observation) {
		return func(o *balance.Observation) {
			o.Ordered, o.Ready, o.Quiet = cells, cells, true
			o.Offered, o.Served, o.BusyMax = reading.Of(offered, o.At), reading.Of(served, o.At), reading.Of(served/(100*float64(cells)), o.At)
			if o.Lag = reading.Of(lag, o.At); lag < 0 {
				o.Lag = reading.Unknown("none")
			}
			o.CommitInterval, o.Partitions = reading.Of(1, o.At), reading.Of(100, o.At)
		}
	}
	word := func(l *Leader, v balance.Observation) {
		if err := l.lease.PutDecision(t.Context(), l.word(l.seen, v, "")); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		p.beat(p.api, load(150, 150, 2, -1))
	}
	if d := p.api.last; len(d.Asks) != 0 {
		t.Fatalf("asks %+v while all is well: %s", d.Asks, d.Reason)
	}
	word(p.api, balance.Observation{})
	d := p.beat(crawler, load(900, 900, 10, 200_000))
	if need := crawler.seen.behind[0].Need; !need.Known || need.Value < 1.5 {
		t.Errorf("the API's need, by its word: %+v", need)
	}
	if d.Code == balance.CodeInOrder || len(d.Asks) > 0 {
		t.Errorf("the API is at its max, and is waited for, or asked for %+v: %s [%s]", d.Asks, d.Reason, d.Code)
	}

	for range 30 {
		p.beat(p.api, load(600, 200, 2, -1))
	}
	asks := p.api.last.Asks
	if len(asks) != 1 || asks[0].Service != "crawler" || asks[0].Ceiling < 1 || asks[0].Ceiling > 10 {
		t.Fatalf("the API asks %+v: %s [%s]", asks, p.api.last.Reason, p.api.last.Code)
	}
	for range 6 { // beats with readings after those that it missed
		d = p.beat(crawler, load(900, 900, 10, 200_000))
	}
	if d.Desired != asks[0].Ceiling || d.CappedBy != "ceiling asked for by api" {
		t.Errorf("%d of at most %d, by %q: %s [%s]", d.Desired, asks[0].Ceiling, d.CappedBy, d.Reason, d.Code)
	}
	if st := ReadStatus(t.Context(), p.fleet, "crawler"); len(st.Requests) != 1 || st.Requests[0].Ceiling != asks[0].Ceiling || !strings.Contains(st.Answers["api"].Reason, "no more than") {
		t.Errorf("requests %+v, answers %+v", st.Requests, st.Answers)
	}
}
