package boot

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestNarrowACL has a machine be born that may do in Consul what ADR 017 says and
// no more.
func TestNarrowACL(t *testing.T) {
	const management, anonymous = "6f9a5c0e-8c7b-4a53-9f4e-5d5d0f6d1a11", "00000000-0000-0000-0000-000000000002"
	t.Setenv("CONSUL_HTTP_TOKEN", management)
	consul := testkit.ConsulWith(t, testkit.ConsulOptions{Config: `acl {
		enabled = true
		default_policy = "deny"
		tokens { initial_management = "` + management + `" agent = "` + management + `" }
	}`})
	r := rigOn(t, consul)
	admin, err := consul.Client()
	must(t, err)
	rules := `key_prefix "homeostat/boot.joins/" { policy = "write" } key_prefix "homeostat/boot.tickets/" { policy = "read" }`
	_, _, err = admin.ACL().PolicyCreate(&api.ACLPolicy{Name: "unborn", Rules: strings.ReplaceAll(rules, "homeostat", r.order.Prefix)}, nil)
	must(t, err)
	_, _, err = admin.ACL().TokenUpdate(&api.ACLToken{AccessorID: anonymous, Policies: []*api.ACLLink{{Name: "unborn"}}}, nil)
	must(t, err)
	must(t, os.Unsetenv("CONSUL_HTTP_TOKEN"))

	unborn, err := fleet.New(fleet.Config{Addresses: []string{consul.Addr()}, Prefix: r.order.Prefix})
	must(t, err)
	t.Cleanup(unborn.Close)
	if _, err := unborn.AdmitContact(r.ctx, r.ticket.ID(), "another", ""); !errors.Is(err, fleet.ErrDenied) {
		t.Errorf("a machine that isn't born may note who was answered: %v", err)
	}
	if err := Revoke(r.ctx, unborn, r.ticket); !errors.Is(err, fleet.ErrDenied) {
		t.Errorf("a machine that isn't born may revoke a ticket: %v", err)
	}
	if _, err := unborn.Published(r.ctx, "pod"); !errors.Is(err, fleet.ErrDenied) {
		t.Errorf("a machine that isn't born may read what is published: %v", err)
	}
	m := r.machine()
	received, _ := r.receive(r.ctx, nil)
	must(t, m.boot(r.ctx))
	must(t, received())
	r.born(m)
}
