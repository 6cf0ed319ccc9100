package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// sshOf is the argument of modules that are given machines.
const sshOf = `ssh = {
    %s
    agent = true
  }`

// What a module is given wrongly is told when planning, by a sentence that says what
// to give.
func TestModuleInputs(t *testing.T) {
	c := newCLI(t, newRig(t))
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	front := `policy = "/etc/homeostat.hcl"` + "\n" + `fronts = "api"`
	checker := `policy = "/etc/homeostat.hcl"` + "\n" + `data_directory = "/srv/consul"` + "\n" + `retry_join = ["127.0.0.1:8301"]`
	a, b := `{ address = "10.0.0.6", host_keys = [] }`, `{ address = "10.0.0.7", host_keys = [] }`
	pool := fmt.Sprintf("hosts = [%s, %s]\nuser = \"root\"\nagent = true\n", a, b)
	first, second, third := c.service+"-1", c.service+"-2", c.service+"-3"
	for _, s := range []struct {
		name, module, service, inputs string
		plan                          int
		says, hides                   string
	}{
		{name: "fronts", module: "front", inputs: front, plan: 2, says: first},
		{name: "fronts of nothing", module: "front", inputs: `policy = "/etc/homeostat.hcl"`, plan: 1, says: "fronts must name the service whose cells get the clients"},
		{name: "fronts of themselves", module: "front", service: "api", inputs: front, plan: 1, says: "a front is a cell of a service of its own"},
		{name: "no policy", module: "front", inputs: `fronts = "api"`, plan: 1, says: "policy must be the absolute path"},
		{name: "no port", module: "front", inputs: front + "\nport = 0", plan: 1, says: "port must lie between 1 and 65535"},
		{name: "a port on machines", module: "front", inputs: "port = 80\n" + fmt.Sprintf(sshOf, "hosts = ["+a+"]"), plan: 1, says: "write HOMEOSTAT_PORT into the genome's environment"},
		{name: "half a front", module: "front", inputs: front + "\ndesired_count = 1.5", plan: 1, says: "must be a whole number"},
		{name: "fronts on machines", module: "front", inputs: "initial_count = 1\n" + fmt.Sprintf(sshOf, "hosts = ["+a+"]"), plan: 2, says: "10.0.0.6"},
		{name: "servers", module: "health-checker", inputs: checker, plan: 2, says: second},
		{name: "Consul's own name", module: "health-checker", service: "consul", inputs: checker, plan: 1, says: "Consul lists its own servers under that name"},
		{name: "no first server", module: "health-checker", inputs: strings.ReplaceAll(checker, `"127.0.0.1:8301"`, ""), plan: 1, says: "these servers join a cluster and never begin one"},
		{name: "two in one", module: "health-checker", inputs: strings.ReplaceAll(checker, ":8301", " ::1"), plan: 1, says: "one server in each place"},
		{name: "data anywhere", module: "health-checker", inputs: strings.ReplaceAll(checker, "/srv/", "srv/"), plan: 1, says: "data_directory must be an absolute path"},
		{name: "secrets anywhere", module: "health-checker", inputs: checker + "\nconfig_file = \"consul.hcl\"", plan: 1, says: "config_file must be an absolute path"},
		{name: "no seed", module: "health-checker", inputs: checker + "\nseeds = 0", plan: 1, says: "the first server is begun by hand"},
		{name: "a server on its machine", module: "health-checker", plan: 2, says: "10.0.0.7", hides: "10.0.0.6", inputs: fmt.Sprintf("cell_names = [%q]\n", second) +
			fmt.Sprintf(sshOf, fmt.Sprintf("machines = { %s = %s, %s = %s }", first, a, second, b))},
		{name: "a machine of nobody", module: "ssh-cells", plan: 2, says: third + "-has-no-machine-in-machine-of.invalid", hides: "10.0.0", inputs: pool + fmt.Sprintf("cell_names = [%q]\nmachine_of = { %s = %q }", third, first, "10.0.0.6")},
		{name: "no machine's address", module: "ssh-cells", inputs: strings.ReplaceAll(pool, "10.0.0.6", "birth@10.0.0.6") + "initial_count = 1", plan: 1, says: `must be of the form "host" or "host:port"`},
		{name: "a machine of another pool", module: "ssh-cells", inputs: pool + fmt.Sprintf("machine_of = { %s = %q }", first, "10.0.0.8"), plan: 1, says: "names a machine that isn't in hosts"},
		{name: "one machine for two", module: "ssh-cells", inputs: pool + fmt.Sprintf("machine_of = { %s = %q, %s = %[2]q }", first, "10.0.0.6", second), plan: 1, says: "gives two cells the same machine"},
	} {
		t.Run(s.name, func(t *testing.T) {
			service := c.service
			if s.service != "" {
				service = s.service
			}
			c.write(c.provider() + fmt.Sprintf("module \"cells\" {\n  source = %q\n  service = %q\n  %s\n}\n", filepath.Join(root, "modules")+"//"+s.module, service, s.inputs))
			out, code := c.terraform("plan", "-detailed-exitcode")
			if code != s.plan || !spaced(s.says).MatchString(out) {
				t.Errorf("the plan ends with %d, want %d and %q:\n%s", code, s.plan, s.says, out)
			}
			if s.hides != "" && strings.Contains(out, s.hides) {
				t.Errorf("the plan has %q:\n%s", s.hides, out)
			}
		})
	}
}
