package main

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestCellLife(t *testing.T) {
	r := newRig(t)
	action := func(a plancheck.ResourceActionType) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{
			PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(cellAddress, a)},
			PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		CheckDestroy:             r.nothingLeft,
		Steps: []resource.TestStep{
			{
				Config:           r.cell("well"),
				ConfigPlanChecks: action(plancheck.ResourceActionCreate),
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("id"), knownvalue.StringExact(r.service+"/web-1")),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("incarnation"), knownvalue.StringRegexp(regexp.MustCompile(`^[0-9a-z]{16}$`))),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("address"), knownvalue.StringExact("127.0.0.1")),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("born_at"), knownvalue.StringRegexp(regexp.MustCompile(`^20\d\d-`))),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("parent"), knownvalue.Null()),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("generation"), knownvalue.Null()),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("reason"), knownvalue.Null()),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("status"), knownvalue.StringExact("running")),
					statecheck.ExpectKnownValue(cellAddress, tfjsonpath.New("delete_data"), knownvalue.Bool(false)),
				},
				Check: func(s *terraform.State) error {
					m := r.member("web-1")
					got := s.RootModule().Resources[cellAddress].Primary.Attributes
					if m == nil || m.Health != fleet.Passing || got["port"] != fmt.Sprint(m.Port) || got["incarnation"] != m.Incarnation {
						return fmt.Errorf("registered as %+v, state has %v", m, got)
					}
					if n := len(r.processes()); n != 1 {
						return fmt.Errorf("%d processes, want 1", n)
					}
					return nil
				},
			},
			{ResourceName: cellAddress, ImportState: true, ImportStateVerify: true, ImportStateId: r.service + "/web-1"},
			{Config: r.cell("well", `drain = { timeout = "1s", grace = "2s" }`), ConfigPlanChecks: action(plancheck.ResourceActionUpdate)},
			{Config: r.cell("well", `delete_data = true`), ConfigPlanChecks: action(plancheck.ResourceActionUpdate)},
			{Config: r.cell("well", `timeouts = { create = "40s" }`), ConfigPlanChecks: action(plancheck.ResourceActionUpdate)},
			{Config: r.cell("well otherwise"), ConfigPlanChecks: action(plancheck.ResourceActionReplace)},
			{Config: r.cell("well otherwise", fmt.Sprintf("data_directory = %q", t.TempDir()+"/data")), ConfigPlanChecks: action(plancheck.ResourceActionReplace)},
			{Config: r.provider() + r.resource("web", "web-2", "well"), ConfigPlanChecks: action(plancheck.ResourceActionReplace)},
		},
	})
}
