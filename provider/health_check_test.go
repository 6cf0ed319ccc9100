package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

const checkAddress = "homeostat_health_check.db"

// healthCheck is a configuration with one check; more are its attributes. Ids
// of services are an agent's own, so the name is the rig's.
func (r *rig) healthCheck(more ...string) string {
	return r.provider() + fmt.Sprintf("resource \"homeostat_health_check\" \"db\" {\n  service = %q\n  name = %q\n  %s\n}\n", r.service, r.instance(), strings.Join(more, "\n  "))
}

func (r *rig) instance() string { return r.service + "-i" }

func (r *rig) agent() *api.Agent {
	r.t.Helper()
	client, err := r.consul.Client()
	if err != nil {
		r.t.Fatal(err)
	}
	return client.Agent()
}

// notRegistered is what must hold when the check is destroyed.
func (r *rig) notRegistered(*terraform.State) error {
	m := r.member(r.instance())
	if m != nil {
		return fmt.Errorf("it is registered: %+v", m)
	}
	return nil
}

func expect(a plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(checkAddress, a)},
		PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
	}
}

func TestHealthCheckLife(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-From") == "" && r.URL.Path == "/strict" {
			http.Error(w, "who are you", http.StatusForbidden)
		}
	}))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	health := func(want fleet.Health) resource.TestCheckFunc {
		return func(*terraform.State) error {
			await(t, "the health "+string(want), func() bool {
				m := r.member(r.instance())
				return m != nil && m.Health == want
			})
			return nil
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.notRegistered,
		Steps: []resource.TestStep{
			{Config: r.healthCheck(fmt.Sprintf("http = { url = %q, interval = \"1s\" }", server.URL)), ConfigPlanChecks: expect(plancheck.ResourceActionCreate), Check: health(fleet.Passing)},
			{Config: r.healthCheck(fmt.Sprintf("http = { url = %q, interval = \"1s\" }", server.URL+"/strict")), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: health(fleet.Critical)},
			{Config: r.healthCheck(fmt.Sprintf("http = { url = %q, interval = \"1s\", headers = { X-From = \"consul\" }, method = \"HEAD\" }", server.URL+"/strict")), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: health(fleet.Passing)},
			{Config: r.healthCheck(fmt.Sprintf("tcp = { address = %q, interval = \"1s\", timeout = \"1000ms\" }", at)), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: health(fleet.Passing)},
			{Config: r.healthCheck(`tcp = { address = "127.0.0.1:1", interval = "1s" }`), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: health(fleet.Critical)},
			{Config: r.healthCheck(`ttl = { ttl = "60s" }`), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: func(s *terraform.State) error {
				return errors.Join(r.agent().UpdateTTL("service:"+r.instance(), "I am well", api.HealthPassing), health(fleet.Passing)(s))
			}},
			{
				Config:           r.healthCheck(`ttl = { ttl = "60s" }`, `address = "10.0.0.1"`, `port = 5432`, `tags = ["primary"]`, `meta = { rack = "7" }`, `deregister_after = "5m"`),
				ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
				Check: func(s *terraform.State) error {
					service, _, err := r.agent().Service(r.instance(), nil)
					if err != nil {
						return err
					}
					if service.Address != "10.0.0.1" || service.Port != 5432 || !reflect.DeepEqual(service.Tags, []string{"primary", "homeostat"}) || service.Meta["rack"] != "7" {
						return fmt.Errorf("registered as %+v", service)
					}
					// The status outlives the change of the rest.
					return health(fleet.Passing)(s)
				},
			},
			// The way the check is made can't be read back from an agent.
			{ResourceName: checkAddress, ImportState: true, ImportStateVerify: true, ImportStateId: r.service + "/" + r.instance(), ImportStateVerifyIgnore: []string{"ttl.ttl", "ttl.%", "deregister_after"}},
			{Config: strings.Replace(r.healthCheck(`ttl = { ttl = "60s" }`), `service = "`, `service = "x`, 1), ConfigPlanChecks: expect(plancheck.ResourceActionReplace)},
			{Config: r.healthCheck(`ttl = { ttl = "60s" }`), ConfigPlanChecks: expect(plancheck.ResourceActionReplace)},
		},
	})
}

// What somebody else does in Consul is seen, and put back.
func TestHealthCheckDrift(t *testing.T) {
	r := newRig(t)
	config := r.healthCheck(`http = { url = "http://127.0.0.1:1/", interval = "60s" }`, `port = 5432`, `tags = ["primary"]`, `meta = { rack = "7" }`)
	registered := func(change func(*api.AgentServiceRegistration)) func() {
		return func() {
			service, _, err := r.agent().Service(r.instance(), nil)
			if err != nil {
				t.Fatal(err)
			}
			again := &api.AgentServiceRegistration{
				ID: service.ID, Name: service.Service, Port: service.Port, Tags: service.Tags, Meta: service.Meta, Address: service.Address,
				Check: &api.AgentServiceCheck{CheckID: "service:" + service.ID, HTTP: "http://127.0.0.1:1/", Method: "GET", Interval: "60s", Timeout: "5s"},
			}
			change(again)
			if err := r.agent().ServiceRegisterOpts(again, api.ServiceRegisterOpts{ReplaceExistingChecks: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	drifts := []struct {
		name   string
		change func()
		action plancheck.ResourceActionType
	}{
		{"port", registered(func(s *api.AgentServiceRegistration) { s.Port = 1 }), plancheck.ResourceActionUpdate},
		{"address", registered(func(s *api.AgentServiceRegistration) { s.Address = "10.1.1.1" }), plancheck.ResourceActionUpdate},
		{"tags", registered(func(s *api.AgentServiceRegistration) { s.Tags = append(s.Tags, "spare") }), plancheck.ResourceActionUpdate},
		{"its own tag", registered(func(s *api.AgentServiceRegistration) { s.Tags = []string{"primary"} }), plancheck.ResourceActionUpdate},
		{"meta", registered(func(s *api.AgentServiceRegistration) { s.Meta["rack"] = "8" }), plancheck.ResourceActionUpdate},
		{"interval", registered(func(s *api.AgentServiceRegistration) { s.Check.Interval = "30s" }), plancheck.ResourceActionUpdate},
		{"kind", registered(func(s *api.AgentServiceRegistration) {
			s.Check.HTTP, s.Check.Method, s.Check.TCP = "", "", "127.0.0.1:1"
		}), plancheck.ResourceActionUpdate},
		{"the whole by another", registered(func(s *api.AgentServiceRegistration) { s.Meta, s.Check.HTTP = nil, "http://127.0.0.1:2/" }), plancheck.ResourceActionUpdate},
		{"check gone", func() {
			if err := r.agent().CheckDeregister("service:" + r.instance()); err != nil {
				t.Fatal(err)
			}
		}, plancheck.ResourceActionUpdate},
		{"gone", func() {
			if err := r.agent().ServiceDeregister(r.instance()); err != nil {
				t.Fatal(err)
			}
		}, plancheck.ResourceActionCreate},
	}
	steps := []resource.TestStep{{Config: config}}
	for _, d := range drifts {
		t.Logf("step %d: %s", len(steps)+1, d.name)
		steps = append(steps, resource.TestStep{PreConfig: d.change, Config: config, ConfigPlanChecks: expect(d.action)})
	}
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(), CheckDestroy: r.notRegistered, Steps: steps})
}

func TestHealthCheckRefused(t *testing.T) {
	r := newRig(t)
	cases := []struct {
		name, config, want string
	}{
		{"no check", r.healthCheck(), "when one (and only one) of [http,tcp,ttl] is required"},
		{"two checks", r.healthCheck(`ttl = { ttl = "60s" }`, `tcp = { address = "a:1" }`), "when one (and only one) of [http,tcp,ttl] is required"},
		{"no URL", r.healthCheck(`http = { url = "localhost:80" }`), "must be a URL with a host"},
		{"no port", r.healthCheck(`tcp = { address = "localhost" }`), `must be of the form "host:port"`},
		{"a port out of range", r.healthCheck(`ttl = { ttl = "60s" }`, `port = 70000`), "between 1 and 65535"},
		{"too often", r.healthCheck(`tcp = { address = "a:1", interval = "10ms" }`), "at least 1s"},
		{"forgotten too soon", r.healthCheck(`ttl = { ttl = "60s" }`, `deregister_after = "10s"`), "at least 1m0s"},
		{"meta of ours", r.healthCheck(`ttl = { ttl = "60s" }`, `meta = { homeostat_cell = "x" }`), `don't begin with "homeostat_"`},
		{"tag of ours", r.healthCheck(`ttl = { ttl = "60s" }`, `tags = ["homeostat"]`), "homeostat"},
		{"a method", r.healthCheck(`http = { url = "http://a/", method = "get" }`), "method"},
	}
	var steps []resource.TestStep
	for i, c := range cases {
		t.Logf("step %d: %s", i+1, c.name)
		steps = append(steps, resource.TestStep{Config: c.config, PlanOnly: true, ExpectError: spaced(c.want)})
	}
	steps = append(steps, resource.TestStep{
		PreConfig: func() {
			if err := r.agent().ServiceRegister(&api.AgentServiceRegistration{ID: r.instance(), Name: "somebody-elses"}); err != nil {
				t.Fatal(err)
			}
		},
		Config: r.healthCheck(`ttl = { ttl = "60s" }`), ExpectError: spaced("the agent has a service with the id " + r.instance() + " already, an instance of somebody-elses"),
	}, resource.TestStep{
		Config: strings.Replace(r.healthCheck(`ttl = { ttl = "60s" }`), r.consul.Addr(), "127.0.0.1:1", 1), ExpectError: spaced("no agent of Consul answers"),
	})
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(), Steps: steps})
	if err := r.agent().ServiceDeregister(r.instance()); err != nil {
		t.Error(err)
	}
}
