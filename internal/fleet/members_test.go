package fleet

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"pgregory.net/rapid"
)

// cellFor is a cell of the test's own service.
func cellFor(t *testing.T, n, incarnation string) Cell {
	name := service(t) + "-" + n
	return Cell{ // One agent serves all tests, and an id is its own there.
		Service: service(t), Name: name, Incarnation: incarnation, Address: "10.0.0.7", Port: 8080,
		Vitals: "http://10.0.0.7:9000", Parent: "api-1", Generation: 3, Reason: "lag of 40 s, ü",
		BornAt: time.Date(2026, 3, 1, 12, 0, 0, 7, time.UTC), Bundle: "sha256:ab",
		Machine: "m1", PID: 42, Started: 1 << 60, TTL: time.Minute,
	}
}

// only is the one member a service has.
func only(t *testing.T, c *Client, service string) Member {
	t.Helper()
	all := must(c.Members(t.Context(), service))(t)
	if len(all) != 1 {
		t.Fatalf("%d members, want one: %+v", len(all), all)
	}
	return all[0]
}

func TestCellRegistersItselfByPushing(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "2", "i1")
	if all := must(c.Members(t.Context(), cell.Service))(t); all == nil || len(all) != 0 {
		t.Errorf("got %v, want an empty list", all)
	}
	ok(t, c.Push(t.Context(), cell, Passing, "all is well"))
	got := only(t, c, cell.Service)
	want := cell
	want.TTL = 0
	if !reflect.DeepEqual(got.Cell, want) {
		t.Errorf("got %+v\nwant %+v", got.Cell, want)
	}
	if got.Health != Passing || got.Output != "all is well" || got.Silent || got.Node != "testkit" || got.Agent == "" {
		t.Errorf("got %+v", got)
	}
	for _, health := range []Health{Warning, Critical, Passing} {
		ok(t, c.Push(t.Context(), cell, health, string(health)+" it is"))
		if m := only(t, c, cell.Service); m.Health != health || m.Output != string(health)+" it is" || m.Silent {
			t.Errorf("pushed %s, got %+v", health, m)
		}
	}
	ok(t, c.Deregister(t.Context(), cell.ID()))
	ok(t, c.Deregister(t.Context(), cell.ID()))
	if all := must(c.Members(t.Context(), cell.Service))(t); len(all) != 0 {
		t.Errorf("after deregistering: %+v", all)
	}
}

// TestSpread shows that Consul keeps a new output to the agent while the status
// is the same, and that Spread gets it out.
func TestSpread(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "1", "i1")
	ok(t, c.Push(t.Context(), cell, Critical, "not started yet"))
	ok(t, c.Push(t.Context(), cell, Critical, "pushed"))
	if m := only(t, c, cell.Service); m.Output != "not started yet" {
		t.Errorf("pushed: %+v; Consul spreads it by itself now", m)
	}
	ok(t, c.Spread(t.Context(), cell, Critical, "no such table"))
	await(t, "the output", func() error {
		if m := only(t, c, cell.Service); m.Output != "no such table" || m.Health != Critical {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	ok(t, c.Spread(t.Context(), cell, Passing, "well"))
	if m := only(t, c, cell.Service); m.Output != "well" || m.Health != Passing {
		t.Errorf("well: %+v", m)
	}
}

func TestRegisterIsCriticalUntilPushedAndKeepsWhatWasPushed(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "1", "i1")
	ok(t, c.Register(t.Context(), cell))
	if m := only(t, c, cell.Service); m.Health != Critical || m.Silent {
		t.Errorf("registered: %+v", m)
	}
	ok(t, c.Push(t.Context(), cell, Passing, "fine"))
	cell.Port = 9090
	ok(t, c.Register(t.Context(), cell))
	if m := only(t, c, cell.Service); m.Health != Passing || m.Port != 9090 {
		t.Errorf("registered again: %+v", m)
	}
}

func TestSilenceIsToldFromAPushedCritical(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "1", "i1")
	cell.TTL = time.Second
	ok(t, c.Push(t.Context(), cell, Passing, "fine"))
	await(t, "the TTL runs out", func() error {
		if m := only(t, c, cell.Service); m.Health != Critical || !m.Silent {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	ok(t, c.Push(t.Context(), cell, Critical, "TTL expired, says the application"))
	if m := only(t, c, cell.Service); m.Health != Critical || m.Silent {
		t.Errorf("a pushed critical is taken for silence: %+v", m)
	}
}

func TestForgottenCellIsBackAtItsNextPush(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "1", "i1")
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	agent := raw(t, sharedConsul(t)).Agent()

	ok(t, agent.CheckDeregister(cell.CheckID()))
	await(t, "the check is gone", func() error {
		if m := only(t, c, cell.Service); m.Health != Critical || !m.Silent || !strings.Contains(m.Output, "no health check") {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	if m := only(t, c, cell.Service); m.Health != Passing {
		t.Errorf("after the check was lost: %+v", m)
	}
	ok(t, agent.ServiceDeregister(cell.ID()))
	ok(t, c.Push(t.Context(), cell, Warning, "busy"))
	if m := only(t, c, cell.Service); m.Health != Warning || m.Output != "busy" {
		t.Errorf("after the service was lost: %+v", m)
	}
}

func TestNewestIncarnationCounts(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	older, newer := cellFor(t, "1", "zz"), cellFor(t, "1", "aa")
	newer.BornAt = older.BornAt.Add(time.Second)
	ok(t, c.Push(t.Context(), newer, Warning, ""))
	ok(t, c.Push(t.Context(), older, Passing, ""))
	m := only(t, c, older.Service)
	if m.Incarnation != "aa" || m.Health != Warning || !slices.Equal(m.Older, []string{older.ID()}) {
		t.Fatalf("got %+v", m)
	}
	ok(t, c.Deregister(t.Context(), m.Older[0]))
	if m := only(t, c, older.Service); m.Incarnation != "aa" || m.Older != nil {
		t.Errorf("got %+v", m)
	}
	_, err := c.Member(t.Context(), older.Service, "api-2")
	wantError(t, err, ErrNotFound)
	if m := must(c.Member(t.Context(), older.Service, older.Name))(t); m.Incarnation != "aa" {
		t.Errorf("got %+v", m)
	}
}

func TestOddRegistrationsHideNoOther(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "1", "i1")
	ok(t, c.Push(t.Context(), cell, Passing, ""))
	agent := raw(t, sharedConsul(t)).Agent()
	for _, r := range []*api.AgentServiceRegistration{
		{ID: "by-hand", Name: cell.Service},                      // without our tag: not ours
		{ID: "api-7.x", Name: cell.Service, Tags: []string{tag}}, // no meta data, no check
		{ID: "other", Name: cell.Service, Tags: []string{tag}, Meta: map[string]string{ // meta data of nonsense
			metaCell: "api-8", metaPID: "many", metaBornAt: "yesterday", metaGeneration: "2"}},
	} {
		ok(t, agent.ServiceRegister(r))
	}
	var got []string
	for _, m := range must(c.Members(t.Context(), cell.Service))(t) {
		got = append(got, fmt.Sprintf("%s/%s %s %v %d", m.Name, m.Incarnation, m.Health, m.Silent, m.Generation))
	}
	want := []string{"api-7/x critical true 0", "api-8/ critical true 2", cell.Name + "/i1 passing false 3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestCatalogEntryOfADeadAgentIsRemoved(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	name := service(t)
	_, err := raw(t, sharedConsul(t)).Catalog().Register(&api.CatalogRegistration{
		Node: "gone-" + name, Address: "10.9.9.9", SkipNodeUpdate: false,
		Service: &api.AgentService{ID: "api-1.x", Service: name, Tags: []string{tag}},
	}, nil)
	ok(t, err)
	if m := only(t, c, name); m.Node != "gone-"+name || !m.Silent {
		t.Fatalf("got %+v", m)
	}
	ok(t, c.Deregister(t.Context(), "api-1.x"))
	if all := must(c.Members(t.Context(), name))(t); len(all) != 0 {
		t.Errorf("still there: %+v", all)
	}
}

func TestCellIsCheckedBeforeItIsRegistered(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{Addresses: []string{closedPort(t)}})
	for name, change := range map[string]func(*Cell){
		"no service":   func(c *Cell) { c.Service = "" },
		"no name":      func(c *Cell) { c.Name = "" },
		"a slash":      func(c *Cell) { c.Name = "a/b" },
		"a space":      func(c *Cell) { c.Incarnation = "a b" },
		"no TTL":       func(c *Cell) { c.TTL = 0 },
		"negative TTL": func(c *Cell) { c.TTL = -time.Second },
	} {
		cell := cellFor(t, "1", "i1")
		change(&cell)
		if err := c.Register(t.Context(), cell); err == nil || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLongReasonIsShortenedToWhatConsulTakes(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cell := cellFor(t, "1", "i1")
	cell.Reason = strings.Repeat("ü", 1000)
	ok(t, c.Push(t.Context(), cell, Passing, strings.Repeat("x", 100_000)))
	m := only(t, c, cell.Service)
	if len(m.Reason) > metaLimit || !strings.HasSuffix(m.Reason, "ü…") {
		t.Errorf("%d bytes: %s", len(m.Reason), m.Reason)
	}
}

func TestHealthIsTheWorstOfTheChecks(t *testing.T) {
	own := func(status, output string) *api.HealthCheck {
		return &api.HealthCheck{CheckID: "service:api-1.x", ServiceID: "api-1.x", Type: "ttl", Status: status, Output: output}
	}
	node := func(id, status string) *api.HealthCheck {
		return &api.HealthCheck{CheckID: id, Status: status, Output: "node says " + status}
	}
	for name, one := range map[string]struct {
		checks api.HealthChecks
		health Health
		silent bool
		output string
	}{
		"passing":               {api.HealthChecks{own("passing", "ok"), node("serfHealth", "passing")}, Passing, false, "ok"},
		"node check first":      {api.HealthChecks{node("serfHealth", "passing"), own("passing", "ok")}, Passing, false, "ok"},
		"agent failed":          {api.HealthChecks{own("passing", "ok"), node("serfHealth", "critical")}, Critical, true, "node says critical"},
		"pushed critical":       {api.HealthChecks{node("serfHealth", "passing"), own("critical", "no")}, Critical, false, "no"},
		"expired":               {api.HealthChecks{own("critical", "TTL expired (last output before timeout follows): ok")}, Critical, true, "TTL expired (last output before timeout follows): ok"},
		"in maintenance":        {api.HealthChecks{own("passing", "ok"), node("_node_maintenance", "maintenance")}, Critical, false, "node says maintenance"},
		"warning by another":    {api.HealthChecks{own("passing", "ok"), node("disk", "warning")}, Warning, false, "node says warning"},
		"no check of the cell":  {api.HealthChecks{node("serfHealth", "passing")}, Critical, true, "no health check is registered"},
		"no check at all":       {nil, Critical, true, "no health check is registered"},
		"a status never seen":   {api.HealthChecks{own("asleep", "z")}, Critical, false, "z"},
		"expired, agent failed": {api.HealthChecks{own("critical", "TTL expired"), node("serfHealth", "critical")}, Critical, true, "TTL expired"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := memberOf(&api.ServiceEntry{
				Node: &api.Node{Node: "n"}, Checks: one.checks,
				Service: &api.AgentService{ID: "api-1.x", Service: "api", Meta: map[string]string{metaCell: "api-1", metaIncarnation: "x"}},
			})
			ok(t, err)
			if m.Health != one.health || m.Silent != one.silent || m.Output != one.output {
				t.Errorf("got %s, silent %v, %q", m.Health, m.Silent, m.Output)
			}
		})
	}
}

// However registrations come, each cell is there once, by an incarnation that
// none is newer than, and nothing registered is left unnamed.
func TestMergeKeepsEachCellOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Member
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			m := Member{Health: rapid.SampledFrom([]Health{Passing, Warning, Critical}).Draw(t, "health")}
			m.Name = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "cell")
			m.Incarnation = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "incarnation")
			m.BornAt = time.Unix(int64(m.Incarnation[0])*rapid.SampledFrom([]int64{-1, 1}).Draw(t, "sign"), 0)
			m.Node, m.id = rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"), m.ID()
			all = append(all, m)
		}
		merged := merge(slices.Clone(all))
		if !slices.IsSortedFunc(merged, func(a, b Member) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatal("not in order")
		}
		for i, m := range merged {
			if i > 0 && merged[i-1].Name == m.Name {
				t.Fatalf("%s is there twice", m.Name)
			}
		}
		for _, m := range all {
			i := slices.IndexFunc(merged, func(o Member) bool { return o.Name == m.Name })
			if i < 0 {
				t.Fatalf("%s is missing", m.Name)
			}
			kept := merged[i]
			if m.BornAt.After(kept.BornAt) {
				t.Fatalf("%s: %v was kept, %v is newer", m.Name, kept.BornAt, m.BornAt)
			}
			if m.ID() == kept.ID() && m.BornAt.Equal(kept.BornAt) && severity(m.Health) < severity(kept.Health) {
				t.Fatalf("%s: kept in %s, it is also registered in %s", m.ID(), kept.Health, m.Health)
			}
			if m.ID() != kept.ID() && !slices.Contains(kept.Older, m.ID()) {
				t.Fatalf("%s is not among the older of %s", m.ID(), kept.ID())
			}
			if slices.Contains(kept.Older, kept.ID()) {
				t.Fatalf("%s is older than itself", kept.ID())
			}
		}
	})
}

func TestMembersOfAnAbsentConsulAreUnknown(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{
		"nobody listens": closedPort(t),
		"no cluster leader": fault(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
		}),
		"not Consul": fault(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) }),
	} {
		c := newClient(t, quiet(t, address))
		all, err := c.Members(t.Context(), "api")
		if all != nil {
			t.Errorf("%s: got %v", name, all)
		}
		wantError(t, err, ErrUnreachable)
		if !strings.Contains(err.Error(), address) {
			t.Errorf("%s: the message does not name the address: %v", name, err)
		}
	}
}
