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
