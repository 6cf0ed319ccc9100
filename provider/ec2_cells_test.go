package main

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// ec2 asks an EC2 API that takes any credentials.
type ec2 struct {
	t   *testing.T
	url string
}

func (e ec2) ask(ctx context.Context, into any, action string, more ...string) error {
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", action, resp.Status)
	}
	return xml.NewDecoder(resp.Body).Decode(into)
}

// instance is one, as far as it matters here.
type instance struct {
	ID    string `xml:"instanceId"`
	State string `xml:"instanceState>name"`
	Key   string `xml:"keyName"`
	Tags  []struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	} `xml:"tagSet>item"`
	Tokens string `xml:"metadataOptions>httpTokens"`
}

func (i instance) tag(key string) string {
	for _, t := range i.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

func (e ec2) instances(ctx context.Context) ([]instance, error) {
	var answer struct {
		All []instance `xml:"reservationSet>item>instancesSet>item"`
	}
	return answer.All, e.ask(ctx, &answer, "DescribeInstances")
}

// attribute is one of an instance's: its user data, or what a shutdown from inside
// does.
func (e ec2) attribute(ctx context.Context, id, name string) (string, error) {
	var answer struct {
		UserData string `xml:"userData>value"`
		Shutdown string `xml:"instanceInitiatedShutdownBehavior>value"`
	}
	err := e.ask(ctx, &answer, "DescribeInstanceAttribute", "InstanceId", id, "Attribute", name)
	return answer.UserData + answer.Shutdown, err
}

// power has the cloud boot what EC2 says is running, and end what isn't.
func (e ec2) power(ctx context.Context, c *cloud.Cloud) {
	for ctx.Err() == nil {
		all, err := e.instances(ctx)
		for _, i := range all {
			there := c.Machines()[i.ID] != nil
			switch {
			case err != nil:
			case i.State == "running" && !there:
				encoded, err := e.attribute(ctx, i.ID, "userData")
				if text, wrong := base64.StdEncoding.DecodeString(encoded); err == nil && wrong == nil && len(text) > 0 {
					_ = c.Boot(i.ID, string(text)) // the next look tries again
				}
			case i.State == "terminated" && there:
				_ = c.End(i.ID)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

const ec2Module = `
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
    iam = %[1]q
    sts = %[1]q
  }
}
module "cells" {
  source        = %[2]q
  service       = %[3]q
  ami           = "ami-12345678"
  instance_type = "t3.micro"
  tags          = { team = "search" }
  timeouts      = { create = "4m", delete = "2m" }
  initial_count = var.initial_count
}
variable "initial_count" {
  type    = number
  default = null
}
output "cells" { value = module.cells.cells }
`

// TestEC2Cells has an instance of EC2's API, which boots nothing, become a cell by
// its own user data.
func TestEC2Cells(t *testing.T) {
	r := newRig(t)
	mirror := testkit.AWSProvider(t)
	api := ec2{t, testkit.S3(t).URL()} // which has an EC2 too
	b := bootRigOn(t, r, cloud.Options{})
	c := newCLI(t, r)
	c.build = c.build.With(t, t.TempDir(), mirror, "registry.terraform.io/hashicorp/aws")
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	c.write(b.provider() + fmt.Sprintf(ec2Module, api.url, filepath.Join(root, "modules", "ec2-cells"), r.service))
	powered, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		api.power(powered, b.cloud)
	}()
	defer func() {
		cancel()
		<-done
	}()
	if out, code := c.terraform("plan"); code != 1 || !spaced("Consul knows neither a record nor a cell of "+r.service).MatchString(out) {
		t.Errorf("without a count the plan ends with %d:\n%s", code, out)
	}
	c.must("apply", "-auto-approve", "-var=initial_count=1")
	name := r.service + "-1"
	all, err := api.instances(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("instances %+v, %v", all, err)
	}
	i, m := all[0], b.member(name)
	if m == nil || m.Health != fleet.Passing || i.tag("homeostat:service") != r.service || i.tag("homeostat:cell") != name ||
		i.tag("homeostat:incarnation") != m.Incarnation || i.tag("team") != "search" || i.Key != "" || i.Tokens != "required" {
		t.Errorf("instance %+v, member %+v", i, m)
	}
	if shutdown, err := api.attribute(t.Context(), i.ID, "instanceInitiatedShutdownBehavior"); err != nil || shutdown != "terminate" {
		t.Errorf("a shutdown from inside does %q, %v", shutdown, err)
	}
	b.publish("two")
	c.must("plan", "-detailed-exitcode")
	c.must("destroy", "-auto-approve")
	if err := b.gone(nil); err != nil {
		t.Error(err)
	}
}
