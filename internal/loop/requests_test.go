package loop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// pairOfLeaders are the leaders of an API and of the database behind it, without
// their Terraform.
type pairOfLeaders struct {
	t        *testing.T
	consul   string // its address
	fleet    *fleet.Client
	api, db  *Leader
	now      time.Time
	database sense.Database // as the database's sidecar tells
}

func newPairOfLeaders(t *testing.T) *pairOfLeaders {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul")
	}
	p := &pairOfLeaders{t: t, now: time.Now(), database: *sense.UnknownDatabase(reading.Unknown("away")), consul: testkit.Consul(t).Addr()}
	c, err := fleet.New(fleet.Config{Addresses: []string{p.consul}, Now: func() time.Time { return p.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p.fleet = c
	db := &policy.Service{Name: "db", Min: 1, Max: 3, Beat: 5 * time.Second, Postgres: &policy.Postgres{Timeout: time.Second}, RequestTTL: time.Minute}
	api := &policy.Service{
		Name: "api", Min: 1, Max: 9, Beat: 5 * time.Second, Needs: []string{"db"}, RequestTTL: time.Minute,
		Latency: &policy.Latency{Quantile: 0.99, Upper: time.Second},
	}
	p.db, p.api = p.leader(db), p.leader(api, db)
	return p
}

func (p *pairOfLeaders) leader(s *policy.Service, behind ...*policy.Service) *Leader {
	p.t.Helper()
	lease, err := p.fleet.TryStand(p.t.Context(), s.Name, fleet.Holder{Host: "here"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = lease.Release(context.WithoutCancel(p.t.Context())) })
	siblings := sense.NewSiblings(sense.SiblingsConfig{Timeout: 10 * time.Second})
	p.t.Cleanup(siblings.Close)
	return NewLeader(LeaderConfig{
		Service: s, Behind: behind, Fleet: p.fleet, Sources: Sources{Vitals: siblings.Gather},
		Metrics: NewMetrics(prometheus.NewRegistry(), time.Now), Log: slog.New(slog.NewTextHandler(p.t.Output(), nil)),
		Now: func() time.Time { return p.now },
	}, lease)
}

// register registers a cell of the database whose sidecar tells p.database.
func (p *pairOfLeaders) register(name string) {
	p.t.Helper()
	registered := cell.New(cell.Config{
		Service:  &policy.Service{Name: "db"},
		Identity: fleet.Cell{Service: "db", Name: name, Incarnation: "x", TTL: time.Minute},
		App:      unmeasured{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return p.now },
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		vitals := registered.Vitals()
		vitals.Database = &p.database
		_ = json.NewEncoder(w).Encode(vitals)
	}))
	p.t.Cleanup(server.Close)
	identity := registered.Identity
	identity.Vitals = server.URL
	if err := p.fleet.Push(p.t.Context(), identity, fleet.Passing, "well"); err != nil {
		p.t.Fatal(err)
	}
	testkit.Await(p.t, time.Minute, func(ctx context.Context) error {
		members, err := p.fleet.Members(ctx, "db")
		for _, m := range members {
			if m.Name == name && m.Health == fleet.Passing {
				return nil
			}
		}
		return cmp.Or(err, errors.New("not registered yet"))
	})
}

// beat lets a leader look, decide and tell others, as in a beat without acting.
func (p *pairOfLeaders) beat(l *Leader, change func(*balance.Observation)) balance.Decision {
	p.t.Helper()
	p.now = p.now.Add(5 * time.Second)
	v := l.look(p.t.Context())
	if v.membersErr != nil || v.consulErr != nil || !v.proven {
		p.t.Fatal(v.membersErr, v.consulErr, v.proven)
	}
	obs := l.eyes.observe(v, l.books(0), &l.memory)
	if change != nil {
		change(&obs)
	}
	l.memory.Law, l.last = balance.Decide(LawConfig(l.Service, l.bounds()), l.memory.Law, obs)
	l.exchange(p.t.Context(), v, "")
	return l.last
}

func slowAPI(o *balance.Observation) {
	o.Offered, o.Served, o.BusyMax, o.Latency = reading.Of(90, o.At), reading.Of(90, o.At), reading.Of(0.9, o.At), reading.Of(3, o.At)
	o.Ordered, o.Ready = 1, 1
}

// A request goes from the API's leader to the database's, is answered, followed,
// renewed, and over when its reason is.
func TestLeadersAskEachOther(t *testing.T) {
	p := newPairOfLeaders(t)
	p.register("db-1")
	record := fleet.Record{Count: 1, Names: []string{"db-1"}, Next: 2}
	index, err := p.db.lease.PutRecord(t.Context(), record, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.db.record = record

	for range 20 {
		p.beat(p.api, slowAPI)
	}
	if d := p.api.last; len(d.Asks) != 0 {
		t.Fatalf("asked for more of what isn't known: %+v", d.Asks)
	}
	// A database that leaves, and is being emptied, has room for nobody.
	p.register("db-0")
	if err := p.db.lease.MarkLeaving(t.Context(), fleet.Leaving{Cell: "db-0", Since: p.now, Until: p.now.Add(time.Hour), Reason: "drained"}); err != nil {
		t.Fatal(err)
	}
	p.database.Room, p.database.Cause = reading.Of(0, p.now), "connections at 120 % of the bound"
	d := p.beat(p.api, slowAPI)
	if len(d.Asks) != 1 || d.Asks[0].Floor != 2 || !strings.Contains(d.Asks[0].Reason, "db-1: connections at 120 %") {
		t.Fatalf("asks %+v, decision %s: %s", d.Asks, d.Code, d.Reason)
	}
	if d := p.beat(p.db, nil); d.Desired != 2 || d.Code != balance.CodeRequested || !strings.Contains(d.Reason, "api asks for 2 cells") {
		t.Fatalf("%d, %s: %s", d.Desired, d.Code, d.Reason)
	}
	p.beat(p.api, slowAPI)
	if b := p.api.seen.behind[0]; b.Answer == "" || b.Count.Value != 1 || b.Ready != 1 {
		t.Errorf("behind %+v", b)
	}
	s := ReadStatus(t.Context(), p.fleet, "db")
	if len(s.Requests) != 1 || s.Answers["api"].Granted != 2 {
		t.Errorf("status: requests %+v, answers %+v", s.Requests, s.Answers)
	}

	// The order is placed; the request is renewed and doesn't grow meanwhile.
	record.Count, record.Names = 2, []string{"db-1", "db-2"}
	if _, err := p.db.lease.PutRecord(t.Context(), record, index); err != nil {
		t.Fatal(err)
	}
	p.db.record = record
	for range 30 {
		p.beat(p.api, slowAPI)
	}
	if requests := p.db.look(t.Context()).requests; len(requests) != 1 || requests[0].Floor != 2 || !requests[0].Expires.After(p.now) {
		t.Errorf("requests %+v", requests)
	}
	// A lifetime shorter than a beat doesn't have it come and go.
	p.api.Service.RequestTTL = time.Second
	p.beat(p.api, slowAPI)
	p.beat(p.api, slowAPI)
	p.now = p.now.Add(5 * time.Second)
	if requests := p.db.look(t.Context()).requests; len(requests) != 1 || !requests[0].Expires.After(p.now) {
		t.Errorf("between two beats: requests %+v", requests)
	}
	p.api.Service.RequestTTL = time.Minute

	// The new database is there: the reason is gone, and after a while the request.
	p.database.Room = reading.Of(0.7, p.now)
	p.register("db-2")
	for range 61 {
		p.beat(p.api, slowAPI)
	}
	if d := p.beat(p.db, nil); d.Desired != 2 || len(d.Answers) != 0 {
		t.Errorf("%d desired, answers %+v", d.Desired, d.Answers)
	}
	if s := ReadStatus(t.Context(), p.fleet, "db"); len(s.Requests)+len(s.Answers) != 0 {
		t.Errorf("left: %+v %+v", s.Requests, s.Answers)
	}
}

// What lies among the requests and is none keeps the leader from nothing.
func TestRequestThatCannotBeRead(t *testing.T) {
	p := newPairOfLeaders(t)
	p.db.record = fleet.Record{Count: 1, Names: []string{"db-1"}}
	if err := p.api.lease.Ask(t.Context(), "db", fleet.Request{Floor: 3, Reason: "full"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+p.consul+"/v1/kv/homeostat/db/requests/zoo", strings.NewReader("nonsense"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	if d := p.beat(p.db, nil); d.Desired != 3 || p.db.seen.unread == nil {
		t.Errorf("%d desired: %s; unread: %v", d.Desired, d.Reason, p.db.seen.unread)
	}
}

// What a leader asked that is gone counts no more once it has expired.
func TestRequestsOfTheDeadExpire(t *testing.T) {
	p := newPairOfLeaders(t)
	p.db.record = fleet.Record{Count: 1, Names: []string{"db-1"}}
	if err := p.api.lease.Ask(t.Context(), "db", fleet.Request{Floor: 3, Reason: "full"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if d := p.beat(p.db, nil); d.Desired != 3 {
		t.Fatalf("%d desired: %s", d.Desired, d.Reason)
	}
	p.now = p.now.Add(time.Minute)
	if d := p.beat(p.db, nil); d.Desired != 1 || d.Code != balance.CodeBoundsOnly {
		t.Errorf("%d desired, %s: %s", d.Desired, d.Code, d.Reason)
	}
	if s := ReadStatus(t.Context(), p.fleet, "db"); len(s.Requests)+len(s.Answers) != 0 {
		t.Errorf("left: %+v %+v", s.Requests, s.Answers)
	}
}
