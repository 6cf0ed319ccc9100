package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
)

// userDataConfig renders user data; join, published and environment are
// expressions.
func userDataConfig(format, join, published, environment string) string {
	join = strings.Replace(join, "consul_ca = null", "consul_ca = null, published = "+published, 1)
	return fmt.Sprintf(`
output "it" {
  value = provider::homeostat::user_data({
    format      = %q
    join        = %s
    environment = %s
  })
}
`, format, join, environment)
}

// joinOf is what a homeostat_join gives.
func joinOf(ticket boot.Ticket) string {
	return fmt.Sprintf(`{
      service = %q, name = %q, incarnation = %q, token = %q, issued_at = "2026-01-02T03:00:05.5Z", expires_at = "2026-01-02T03:04:05Z"
      parent = "web-0", generation = 3, reason = "it's \"lag\""
      consul_addresses = ["10.0.0.1:8500"], consul_datacenter = null, consul_prefix = null, consul_ca = null
    }`, ticket.Service, ticket.Name, ticket.Incarnation, ticket.Token)
}

func publishedAs(store, program string) string {
	digest := strings.Repeat("ab", 32)
	return fmt.Sprintf(`{ bundle = %[1]q, genome = %[1]q, store = %[2]q, program = %[3]s }`, digest, store, program)
}

func TestUserData(t *testing.T) {
	needServers(t)
	ticket, err := boot.NewTicket("web", "web-1", "01a")
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("ab", 32)
	program := fmt.Sprintf(`{ url = "https://h/blobs/x", sha256 = %q }`, digest)
	good := publishedAs("https://h/x", program)
	// A value that only an apply will tell.
	later := `resource "terraform_data" "later" { input = "x" }` + "\n"
	large := fmt.Sprintf(`{ LARGE = %q }`, strings.Repeat("x", boot.UserDataLimit))
	unknownJoin := strings.Replace(joinOf(ticket), fmt.Sprintf("token = %q", ticket.Token), "token = terraform_data.later.output", 1)
	refused := map[string]struct{ config, want string }{
		"nothing published":           {userDataConfig("shell", joinOf(ticket), "null", "null"), "nothing is published for web: a machine is made from what 'homeostat publish web' has stored"},
		"a folder":                    {userDataConfig("shell", joinOf(ticket), publishedAs("/srv/bundles", fmt.Sprintf("{ url = null, sha256 = %q }", digest)), "null"), "is kept in the folder /srv/bundles, which no machine can fetch from"},
		"no program":                  {userDataConfig("shell", joinOf(ticket), publishedAs("https://h/x", "null"), "null"), "the genome of web has no file /usr/local/bin/homeostat"},
		"a format":                    {userDataConfig("ignition", joinOf(ticket), good, "null"), `the format "ignition" is neither "cloud-init" nor "shell"`},
		"an identity":                 {userDataConfig("shell", joinOf(ticket), good, `{ HOMEOSTAT_CELL = "x" }`), "HOMEOSTAT_CELL is set by Homeostat itself"},
		"no join":                     {userDataConfig("shell", "null", good, "null"), "join is null: give a homeostat_join"},
		"too large":                   {userDataConfig("shell", joinOf(ticket), good, large), "are the most that EC2 takes"},
		"too large, the rest unknown": {later + userDataConfig("cloud-init", unknownJoin, good, large), "are the most that EC2 takes"},
		"a folder, the rest unknown":  {later + userDataConfig("cloud-init", unknownJoin, publishedAs("/srv", fmt.Sprintf("{ url = null, sha256 = %q }", digest)), "null"), "which no machine can fetch from"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(),
				Steps:                    []resource.TestStep{{Config: c.config, PlanOnly: true, ExpectError: spaced(c.want)}},
			})
		})
	}
	for format, begins := range map[string]string{formatShell: `#!/bin/sh`, formatCloudInit: `#cloud-config`} {
		t.Run(format, func(t *testing.T) {
			is := knownvalue.StringRegexp(regexp.MustCompile(`(?s)^` + begins + `.*` + regexp.QuoteMeta(ticket.Token) + `.*"HOMEOSTAT_GENERATION":"3","HOMEOSTAT_PARENT":"web-0","HOMEOSTAT_REASON":"it's \\"lag\\"","MORE":"x"`))
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(),
				Steps: []resource.TestStep{{
					Config:            userDataConfig(format, joinOf(ticket), good, `{ MORE = "x" }`),
					ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownOutputValue("it", is)},
				}, {
					Config:            later + userDataConfig(format, unknownJoin, good, `{ MORE = "x" }`),
					ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownOutputValue("it", knownvalue.NotNull())},
					ExpectError:       regexp.MustCompile("the token isn't one that NewTicket has made"),
				}},
			})
		})
	}
}
