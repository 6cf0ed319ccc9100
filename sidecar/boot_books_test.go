package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// ec2Module is a root module of cells on instances of an EC2 API.
const ec2Module = `
terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
    aws       = { source = "hashicorp/aws", version = "~> 5.0" }
  }
}
provider "homeostat" {
  consul          = { address = %[1]q }
  peers_key_file  = %[2]q
  state_directory = %[3]q
}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  max_retries                 = 2
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
  endpoints {
    ec2 = %[4]q
    iam = %[4]q
    sts = %[4]q
  }
}
variable "desired_count" {
  type    = number
  default = null
}
variable "cell_names" {
  type    = list(string)
  default = null
}
module "cells" {
  source        = %[5]q
  service       = "pod"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = 1
  ami           = "ami-12345678"
  instance_type = "t3.micro"
  secrets       = { peers-key = %[2]q }
  console       = null
  timeouts      = { create = "4m", delete = "2m" }
}
`

// follow has a yard go by what EC2 says: what is running is on, what is terminated
// ends, and an API that is away or doesn't know a machine says nothing of it. A
// machine that has switched itself off is terminated in EC2.
func (y *yard) follow(ctx context.Context, api *ec2.Client) {
	for ctx.Err() == nil {
		all, err := api.Instances(ctx)
		if err != nil {
			all = nil
		}
		for _, i := range all {
			file := filepath.Join(y.folder, i.ID)
			_, missing := os.Stat(file)
			m := y.all()[i.ID]
			switch {
			case i.State == "running" && missing != nil:
				if text, err := api.UserData(ctx, i.ID); err == nil && len(text) > 0 {
					_ = renameio.WriteFile(file, text, 0o600) // the next look tries again
				}
			case i.State == "running" && m != nil && !m.On():
				_, _ = api.ShutDown(ctx, i.ID)
			case i.State == "terminated" && missing == nil:
				_ = os.Remove(file)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// newEC2House is a house of one cell on an instance of an EC2, which is moto's, and
// whose instances are machines of a yard.
func newEC2House(t *testing.T, machines int) (*house, *yard, *testkit.S3Server) {
	t.Helper()
	mirror := testkit.AWSProvider(t)
	var server *testkit.S3Server
	h, y := yardHouse(t, machines, func(h *house, y *yard) {
		server = testkit.S3(t) // which has an EC2 too
		build := testkit.Provider(t).With(t, h.dir, mirror, "registry.terraform.io/hashicorp/aws")
		h.env = build.Environment()
		h.edit("homeostat.hcl", "  genome = ", "  replace { mass_hold = \"1m\" }\n  genome = ")
		h.rewrite("homeostat.hcl", func(text string) string {
			return strings.Replace(text, testkit.Provider(t).CLIConfig, build.CLIConfig, 1)
		})
		root, err := testkit.Root()
		h.must(err)
		h.write("pod/main.tf", fmt.Sprintf(ec2Module, h.consulAt(y.net.Gateway()), filepath.Join(h.dir, "peers.key"), filepath.Join(h.dir, "cells"),
			server.URL(), filepath.Join(root, "modules", "ec2-cells")))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			y.follow(ctx, &ec2.Client{Endpoint: server.URL(), Region: "us-east-1"})
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
	})
	return h, y, server
}

// TestEC2IsAway kills the server of EC2's API in the middle of an order, and starts
// it again with nothing in its books. Neither ends a machine or a cell that lives: it
// is told, and the order goes on when it can. As the books stay as they are, another
// cell takes the place of the one that they don't know, and only then does it leave.
func TestEC2IsAway(t *testing.T) {
	h, y, server := newEC2House(t, 5)
	lives, first := h.lives(), y.on()
	h.succeed("pin", "pod", "2")
	// The provider asks for an instance again ten seconds after it is made. By then its
	// machine may not have booted, where others are at work: the books tell it at once.
	h.awaitLong("another instance", func(context.Context) error {
		if len(y.books()) < 2 {
			return errors.New("there is none")
		}
		return nil
	})
	h.must(server.Kill())
	h.readsLong("trouble", "connection refused")
	stays := func(when string) {
		if now := h.lives(); !contains(now, lives) || !contained(y.on(), first) {
			t.Errorf("%s: cells %v, were %v; machines %v, were %v", when, now, lives, y.on(), first)
		}
	}
	stays("the API is away")

	h.must(server.Start(t.Context()))
	h.readsLong("trouble", "pod-1, or a part of it, and it answers: the infrastructure may have lost its books")
	stays("the API has forgotten all")
	api := &ec2.Client{Endpoint: server.URL(), Region: "us-east-1"}
	h.awaitLong("cells that are all in the books", func(ctx context.Context) error {
		now := h.lives()
		if len(now) == 0 {
			t.Fatal("no cell is left")
		}
		known, err := running(ctx, api)
		if on := y.on(); err != nil || len(now) != 2 || now["pod-1"] != "" || len(on) != 2 || !slices.Equal(on, known) {
			return fmt.Errorf("passing %v, machines %v, instances %v: %w", now, on, known, err)
		}
		return nil
	})
	h.awaitLong("no trouble", func(context.Context) error {
		if text := h.succeed("status"); strings.Contains(text, "lost its books") {
			return errors.New(text)
		}
		return nil
	})
	if twice := y.claimedTwice(); len(twice) > 0 {
		t.Errorf("claimed twice: %v", twice)
	}
}

// contained reports whether all of some are among others.
func contained(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// running are the instances that an EC2 says are running.
func running(ctx context.Context, api *ec2.Client) (ids []string, err error) {
	all, err := api.Instances(ctx)
	for _, i := range all {
		if i.State == "running" {
			ids = append(ids, i.ID)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// awaitLong is await for what takes machines, and large providers.
func (h *house) awaitLong(what string, condition func(context.Context) error) {
	h.t.Helper()
	if err := testkit.Poll(h.t.Context(), bootPatience, condition); err != nil {
		h.t.Fatalf("%s: %v\n%s\n%s", what, err, h.succeed("status"), strings.Join(h.logsAlone(), ""))
	}
}

// readsLong is reads, as long.
func (h *house) readsLong(words ...string) {
	h.t.Helper()
	h.awaitLong(fmt.Sprintf("status without %q", words), func(context.Context) error {
		text := h.succeed("status")
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Errorf("%q is not in:\n%s", w, text)
			}
		}
		return nil
	})
}

// contains reports whether all of some lives are among others.
func contains(all, some map[string]string) bool {
	for name, life := range some {
		if all[name] != life {
			return false
		}
	}
	return true
}
