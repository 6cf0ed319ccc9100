package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// What each attribute's change does to the cell, planned and not applied.
func TestCellPlanActions(t *testing.T) {
	r := newRig(t)
	data := t.TempDir()
	base := r.cell("well", fmt.Sprintf("data_directory = %q", data+"/one"))
	change := func(from, to string) string {
		changed := strings.ReplaceAll(base, from, to)
		if changed == base {
			t.Fatalf("%q isn't in the configuration", from)
		}
		return changed
	}
	cases := map[string]struct {
		config string
		action plancheck.ResourceActionType
	}{
		"nothing":             {base, plancheck.ResourceActionNoop},
		"service":             {change(`service = "`, `service = "x`), plancheck.ResourceActionReplace},
		"name":                {change(`"web-1"`, `"web-2"`), plancheck.ResourceActionReplace},
		"process.command":     {change(`.test"]`, `.test", "more"]`), plancheck.ResourceActionReplace},
		"process.environment": {change(`environment = {`, `environment = { MORE = "1", `), plancheck.ResourceActionReplace},
		"process.directory":   {change(`environment = {`, `directory = "/tmp", environment = {`), plancheck.ResourceActionReplace},
		"data_directory":      {change(data+"/one", data+"/two"), plancheck.ResourceActionReplace},
		"delete_data":         {change(`data_directory`, "delete_data = true\n data_directory"), plancheck.ResourceActionUpdate},
		"drain.timeout":       {change(`data_directory`, "drain = { timeout = \"1s\" }\n data_directory"), plancheck.ResourceActionUpdate},
		"drain.grace":         {change(`data_directory`, "drain = { grace = \"1s\" }\n data_directory"), plancheck.ResourceActionUpdate},
		"timeouts.create":     {change(`data_directory`, "timeouts = { create = \"1m\" }\n data_directory"), plancheck.ResourceActionUpdate},
		"timeouts.delete":     {change(`data_directory`, "timeouts = { delete = \"1m\" }\n data_directory"), plancheck.ResourceActionUpdate},
	}
	steps := []resource.TestStep{{Config: base}}
	for name, c := range cases {
		t.Logf("step %d: %s", len(steps)+1, name)
		steps = append(steps, resource.TestStep{
			Config: c.config, PlanOnly: true, ExpectNonEmptyPlan: c.action != plancheck.ResourceActionNoop,
			ConfigPlanChecks: resource.ConfigPlanChecks{
				PostApplyPreRefresh: []plancheck.PlanCheck{plancheck.ExpectResourceAction(cellAddress, c.action)},
			},
		})
	}
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft, Steps: steps})
}

// What can be told before anything is made is told when planning.
func TestCellConfigRefused(t *testing.T) {
	r := newRig(t)
	base := r.cell("well", `data_directory = "/srv/web"`)
	cases := []struct{ name, from, to, want string }{
		{"a path as name", `"web-1"`, `"../web"`, `The name "../web" must be 1 to 63 letters`},
		{"a dot in the service", `service = "`, `service = "a.b`, `The service "a\.b.*" must be 1 to 63 letters`},
		{"no command", `"` + strings.Split(base, `command     = ["`)[1][:strings.Index(strings.Split(base, `command     = ["`)[1], `"`)] + `"`, ``, `at least 1 element`},
		{"identity in the environment", `environment = {`, `environment = { HOMEOSTAT_CELL = "x", `, `HOMEOSTAT_CELL is set by Homeostat itself`},
		{"a relative directory", `environment = {`, `directory = "x", environment = {`, `must be an absolute path`},
		{"a relative data directory", `"/srv/web"`, `"web"`, `must be an absolute path`},
		{"a directory of the system", `"/srv/web"`, `"/etc"`, `data directory /etc is a directory of the system`},
		{"data in the state directory", `"/srv/web"`, `"` + r.dir + `/data"`, `which is Homeostat's own`},
		{"data above the state directory", `data_directory = "/srv/web"`, "delete_data = true\n data_directory = \"" + t.TempDir()[:4] + `"`, `data directory`},
		{"no duration", `data_directory`, "drain = { timeout = \"long\" }\n data_directory", `must be a duration`},
		{"a negative duration", `data_directory`, "drain = { grace = \"-1s\" }\n data_directory", `and at least 0s`},
		{"no timeout", `data_directory`, "timeouts = { create = \"soon\" }\n data_directory", `soon`},
	}
	var steps []resource.TestStep
	for i, c := range cases {
		t.Logf("step %d: %s", i+1, c.name)
		config := strings.Replace(base, c.from, c.to, 1)
		if config == base {
			t.Fatalf("%s: %q isn't in the configuration", c.name, c.from)
		}
		want := regexp.MustCompile(strings.ReplaceAll(c.want, " ", `\s+`))
		steps = append(steps, resource.TestStep{Config: config, PlanOnly: true, ExpectError: want})
	}
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft, Steps: steps})
}

// A provider whose configuration an apply has yet to tell plans new cells, and
// reads none.
func TestUnknownProviderConfiguration(t *testing.T) {
	r := newRig(t)
	config := fmt.Sprintf(`
resource "terraform_data" "consul" { input = %q }
provider "homeostat" {
  consul          = { address = terraform_data.consul.output }
  state_directory = %q
}
`, r.consul.Addr(), r.dir) + r.resource("web", "web-1", "well")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
		Steps: []resource.TestStep{{Config: config}},
	})
}
