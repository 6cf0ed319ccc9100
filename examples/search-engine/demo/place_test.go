package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

func TestPolicyGetsThisRunsAddresses(t *testing.T) {
	p, err := newPlace(filepath.Join(t.TempDir(), "demo"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.copySources(addresses{consul: "127.0.0.1:1234", brokers: "127.0.0.1:2345,127.0.0.1:2346"}); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(p.policy())
	if err != nil {
		t.Fatal(err)
	}
	parsed, diags := policy.Parse(p.policy(), source)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got := strings.Join(parsed.Consul.Addresses, " "); got != "127.0.0.1:1234" {
		t.Errorf("Consul is at %s", got)
	}
	if got := strings.Join(parsed.Kafka.Brokers, " "); got != "127.0.0.1:2345 127.0.0.1:2346" {
		t.Errorf("the brokers are %s", got)
	}
	for _, service := range services {
		s := parsed.Service(service)
		if s == nil {
			t.Fatalf("the policy has no service %s", service)
		}
		if _, err := os.Stat(filepath.Join(p.example(), s.Terraform.Dir, "main.tf")); err != nil {
			t.Errorf("the root module of %s: %v", service, err)
		}
	}
	if got := parsed.Service("crawler").Min; got != minCrawlers {
		t.Errorf("the check holds crawlers to %d, the policy's min is %d", minCrawlers, got)
	}
	if got := parsed.Service("api").Min; got != minAPIs {
		t.Errorf("the check holds APIs to %d, the policy's min is %d", minAPIs, got)
	}
	if got := parsed.Service("db").Drain.Command; len(got) != 2 || got[0] != p.program("db") {
		t.Errorf("databases move their rows by %q", got)
	}
}

// Where the crawlers live on machines, policy and genome have this run's addresses.
func TestPolicyOfMachines(t *testing.T) {
	p, err := newPlace(filepath.Join(t.TempDir(), "demo"), true)
	if err != nil {
		t.Fatal(err)
	}
	at := addresses{consul: "10.1.2.1:1234", brokers: "10.1.2.1:2345", web: "http://10.1.2.1:3456/docs/", s3: "10.1.2.1:4567"}
	if err := p.copySources(at); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.policy())
	if err != nil {
		t.Fatal(err)
	}
	parsed, diags := policy.Parse(p.policy(), text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	crawler := parsed.Service("crawler")
	for what, place := range map[string]string{
		"the root module": filepath.Join(p.cloud(), crawler.Terraform.Dir, "main.tf"),
		"the same, here":  filepath.Join(p.module("crawler"), "main.tf"),
		"the database's":  filepath.Join(p.cloud(), parsed.Service("db").Terraform.Dir, "main.tf"),
		"the genome":      filepath.Join(p.cloud(), crawler.Genome),
	} {
		if _, err := os.Stat(place); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if crawler.Min != minCrawlers || crawler.Max >= mostMachines {
		t.Errorf("the policy has %d to %d crawlers, the demo %d and room for %d machines", crawler.Min, crawler.Max, minCrawlers, mostMachines)
	}
	genome, err := os.ReadFile(filepath.Join(p.cloud(), crawler.Genome))
	if err != nil {
		t.Fatal(err)
	}
	if all := string(text) + string(genome); strings.Contains(all, "10.77.0.") || !strings.Contains(all, at.web) || !strings.Contains(all, at.s3) {
		t.Errorf("the addresses are not all this run's:\n%s", all)
	}
}

func TestPlaceMustBeEmpty(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := newPlace(folder, false); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("newPlace = %v", err)
	}
}
