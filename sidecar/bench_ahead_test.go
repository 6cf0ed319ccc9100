package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// plannedAhead is the leader's way in BenchmarkAhead.
const plannedAhead = "planned ahead"

// manyChanges lets an hour hold more orders than any number of rounds places.
const manyChanges = "  limits { changes_per_hour = 10000 }\n"

// BenchmarkAhead measures how long one more cell takes, from the instant an order is
// placed to the end of its apply, where the leader has planned it ahead, beside a bare
// `terraform apply -auto-approve` of the same change: on cells of this machine by our
// provider, and on instances of EC2, whose API is LocalStack's, by the AWS provider.
//
// Both are done in each round, in the same house and in turn, from the same one cell.
// The load that makes the leader order is a page of the test's.
func BenchmarkAhead(b *testing.B) {
	b.Run("cells", func(b *testing.B) {
		rounds := measuring(b)
		load := &tide{rate: 1}
		h := newHouse(b, houseOptions{Max: 2, Beat: "1s", Policy: load.policy(b) + manyChanges})
		h.env = append(h.env, "HOMEOSTAT_LOG_LEVEL=debug", "HOMEOSTAT_LOG_FORMAT=json")
		h.apply()
		h.settled(1, time.Minute)
		bench := &aheadBench{house: h, load: load, names: true}
		bench.measure(rounds, filepath.Join(h.dir, "cells", "pod", "pod-1", "*.log"))
	})
	b.Run("aws", func(b *testing.B) {
		rounds := measuring(b)
		mirror := testkit.AWSProvider(b)
		server := testkit.LocalStack(b)
		load := &tide{rate: 1}
		h := newHouse(b, houseOptions{
			Max: 2, Beat: "1s", Module: fmt.Sprintf(instances, server.URL()),
			Policy: "  members = \"state\"\n" + load.policy(b) + manyChanges,
		})
		build := testkit.Provider(b).With(b, h.dir, mirror, "registry.terraform.io/hashicorp/aws")
		h.env = append(build.Environment(), "HOMEOSTAT_LOG_LEVEL=debug", "HOMEOSTAT_LOG_FORMAT=json")
		h.edit("homeostat.hcl", testkit.Provider(b).CLIConfig, build.CLIConfig)
		h.apply()
		bench := &aheadBench{house: h, load: load}
		bench.measure(rounds, bench.lead())
	})
}

// instances is a root module of EC2 instances by count.
const instances = `
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.0" }
  }
}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
  endpoints {
    ec2 = %[1]q
    sts = %[1]q
  }
}
variable "desired_count" {
  type    = number
  default = 1
}
resource "aws_vpc" "pod" {
  cidr_block = "10.77.0.0/16"
}
resource "aws_subnet" "pod" {
  vpc_id     = aws_vpc.pod.id
  cidr_block = "10.77.1.0/24"
}
resource "aws_instance" "pod" {
  count         = var.desired_count
  ami           = "ami-ff0fea8310f3"
  instance_type = "t3.micro"
  subnet_id     = aws_subnet.pod.id
}
`

// aheadBench is a house whose orders follow from the load.
type aheadBench struct {
	*house
	figures
	load  *tide
	names bool   // its cells have names
	log   string // the leader's, as a pattern
	plans []time.Duration
}

// lead starts the one sidecar of a house whose cells are only in the state, which
// stands for the first of them, and returns its log. It reads the load's page.
func (b *aheadBench) lead() string {
	b.t.Helper()
	path := filepath.Join(b.dir, "leader.log")
	log, err := os.Create(path)
	b.must(err)
	cmd := exec.Command(b.program, "run", "-service", "pod", "-cell", "pod-0", "-policy", b.policy(), "--", "sleep", "100000")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = b.env, b.dir, log, log
	b.must(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the house ends it
		_ = log.Close()
		close(ended)
	}()
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-ended
	})
	return path
}

func (b *aheadBench) measure(rounds int, log string) {
	b.t.Helper()
	b.log = log
	b.ahead() // on the way of the first order it is learned what an order changes
	b.figures, b.plans = figures{}, nil
	ways := []func(){b.ahead, b.bare}
	for round := range rounds {
		for i := range ways {
			ways[(round+i)%len(ways)]()
		}
		b.t.Logf("round %d of %d, load %s: %s %.0f ms, %s %.0f ms", round+1, rounds, machineLoad(),
			plannedAhead, ms(last(b.of(plannedAhead, wholeReturn))), bare, ms(last(b.of(bare, wholeReturn))))
	}
	ahead, by := b.of(plannedAhead, wholeReturn), b.of(bare, wholeReturn)
	var ratios []float64
	for i := range ahead {
		ratios = append(ratios, float64(ahead[i])/float64(by[i]))
	}
	b.t.Logf("%d rounds, median in a round %.2f of a bare apply\n%s", rounds, median(ratios), b.table())
	if bb, ok := b.t.(*testing.B); ok {
		report(bb, map[string]float64{
			"ahead-ms": ms(quantile(ahead, 0.5)), "bare-ms": ms(quantile(by, 0.5)), "ratio": median(ratios),
			"plan-ms": ms(quantile(b.plans, 0.5)), "plan-cpu-ms": b.planCPU(),
		})
	}
}

func last(d []time.Duration) time.Duration { return d[len(d)-1] }

func median(values []float64) float64 {
	var d []time.Duration
	for _, v := range values {
		d = append(d, time.Duration(v*1e6))
	}
	return float64(quantile(d, 0.5)) / 1e6
}

// ahead has the load come near an order, waits for its plan, and lets the load go on.
func (b *aheadBench) ahead() {
	b.t.Helper()
	began := time.Now()
	b.load.set(nearSecond)
	b.awaited("no plan ahead", func(context.Context) error {
		if s := b.status(); s.Last == nil || s.Last.Ahead == "" {
			return errors.New("none lies ready")
		}
		return nil
	})
	b.plans = append(b.plans, b.between("terraform begins plan", "terraform ended plan", began))
	b.load.set(secondCell)
	order := b.ordered()
	b.landed(2)
	applied := b.at("order applied as planned ahead", order.Placed)
	ended := b.at("terraform ended apply", order.Placed)
	if applied.IsZero() || ended.IsZero() {
		b.t.Fatal("the order was not applied as planned ahead")
	}
	b.add(plannedAhead, toApply, b.at("terraform begins apply", order.Placed).Sub(order.Placed))
	b.add(plannedAhead, wholeReturn, ended.Sub(order.Placed))
	b.load.set(1)
	b.landed(1)
}

// bare is the same change by hand, while the leader is paused, and then its undoing.
func (b *aheadBench) bare() {
	b.t.Helper()
	b.must(b.fleet.Pause(b.t.Context(), "pod", fleet.Pause{By: "benchmark"}))
	record, _, err := b.fleet.Record(b.t.Context(), "pod")
	b.must(err)
	more, fewer := map[string]any{"desired_count": 2}, map[string]any{"desired_count": 1}
	if b.names {
		fewer["cell_names"] = record.Names
		more["cell_names"] = append([]string{"pod-bare-" + fmt.Sprint(time.Now().Unix())}, record.Names...)
	}
	began := time.Now()
	b.byHand("more", more)
	b.add(bare, wholeReturn, time.Since(began))
	b.byHand("fewer", fewer)
	b.must(b.fleet.Resume(b.t.Context(), "pod"))
}

func (b *aheadBench) byHand(name string, variables map[string]any) {
	b.t.Helper()
	text, err := json.Marshal(variables)
	b.must(err)
	b.write(name+".tfvars.json", string(text))
	cmd := exec.CommandContext(b.t.Context(), b.terraform, "apply", "-no-color", "-input=false", "-auto-approve", "-var-file="+filepath.Join(b.dir, name+".tfvars.json"))
	cmd.Dir, cmd.Env = b.module(), b.env
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("terraform apply: %v\n%s", err, out)
	}
}

func (b *aheadBench) awaited(what string, condition func(context.Context) error) {
	b.t.Helper()
	if err := testkit.PollEvery(b.t.Context(), seldom, 10*time.Minute, condition); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.lastLines())
	}
}

// ordered waits for the record to order a birth.
func (b *aheadBench) ordered() (order fleet.Order) {
	b.t.Helper()
	if err := testkit.PollEvery(b.t.Context(), 20*time.Millisecond, time.Minute, func(ctx context.Context) error {
		record, _, err := b.fleet.Record(ctx, "pod")
		if err == nil && (len(record.Orders) == 0 || len(record.Orders[0].Add) == 0) {
			err = errors.New("no birth is ordered")
		}
		if err == nil {
			order = record.Orders[0]
		}
		return err
	}); err != nil {
		b.t.Fatalf("%v\n%s", err, b.lastLines())
	}
	return order
}

// landed waits until the record has n cells and no order.
func (b *aheadBench) landed(n int) {
	b.t.Helper()
	b.awaited(fmt.Sprintf("%d cells", n), func(ctx context.Context) error {
		record, _, err := b.fleet.Record(ctx, "pod")
		if err == nil && (record.Count != n || len(record.Orders) > 0) {
			err = fmt.Errorf("%d cells, orders %+v", record.Count, record.Orders)
		}
		return err
	})
}

// at is when the leader first said something since an instant; zero if it didn't.
func (b *aheadBench) at(message string, since time.Time) time.Time {
	b.t.Helper()
	paths, err := filepath.Glob(b.log)
	b.must(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		b.must(err)
		for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
			var line logLine
			if json.Unmarshal(scan.Bytes(), &line) != nil || line.Time.Before(since) { // the application's own lines are no JSON
				continue
			}
			if line.Message == message || line.Message+" "+line.Command == message {
				return line.Time
			}
		}
	}
	return time.Time{}
}

func (b *aheadBench) between(from, to string, since time.Time) time.Duration {
	b.t.Helper()
	begin := b.at(from, since)
	return b.at(to, begin).Sub(begin)
}

// planCPU is what a plan ahead has cost on average, in milliseconds of CPU time, by
// the leader's own metrics.
func (b *aheadBench) planCPU() float64 {
	b.t.Helper()
	members, err := b.fleet.Members(b.t.Context(), "pod")
	b.must(err)
	scraper, err := sense.NewScraper(sense.ScraperConfig{URL: members[0].Vitals + "/metrics", Timeout: 5 * time.Second})
	b.must(err)
	defer scraper.Close()
	page, err := scraper.Scrape(b.t.Context())
	b.must(err)
	seconds, err := page.Value("homeostat_plans_ahead_cpu_seconds_total", map[string]string{"service": "pod"})
	b.must(err)
	plans, err := page.Value("homeostat_plans_ahead_total", map[string]string{"service": "pod"})
	b.must(err)
	return 1000 * seconds / plans
}

func (b *aheadBench) lastLines() string {
	paths, _ := filepath.Glob(b.log)
	var text []byte
	for _, path := range paths {
		more, _ := os.ReadFile(path)
		text = append(text, more[max(0, len(more)-6000):]...)
	}
	return string(text)
}
