// Package ec2 speaks to an EC2 API that keeps the books of instances but starts
// none, as LocalStack and moto do. It knows the few actions that are needed to
// start and end them in its place, in EC2's query protocol. Nothing is signed:
// such APIs read the region from the credential's scope and check no signature.
package ec2

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client asks one API for one region.
type Client struct {
	Endpoint string // URL
	Region   string
}

// Instance is what matters here of an instance.
type Instance struct {
	ID       string    `xml:"instanceId"`
	State    string    `xml:"instanceState>name"` // pending, running, ..., terminated
	Address  string    `xml:"privateIpAddress"`
	Name     string    `xml:"privateDnsName"`
	Launched time.Time `xml:"launchTime"`
	Tags     []struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	} `xml:"tagSet>item"`
}

// Tag is the value of a tag, or "".
func (i Instance) Tag(key string) string {
	for _, t := range i.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// described is one page of the answer that lists instances.
type described struct {
	XMLName      xml.Name `xml:"DescribeInstancesResponse"`
	Reservations *struct {
		Items []struct {
			Instances []Instance `xml:"instancesSet>item"`
		} `xml:"item"`
	} `xml:"reservationSet"`
	NextToken string `xml:"nextToken"`
}

// Instances lists all instances, those included that are no more but still in the
// books. An answer that isn't one is an error and not an empty list.
func (c *Client) Instances(ctx context.Context) ([]Instance, error) {
	var all []Instance
	form := url.Values{}
	for {
		var page described
		if err := c.Call(ctx, "DescribeInstances", form, &page); err != nil {
			return nil, err
		}
		if page.Reservations == nil {
			return nil, fmt.Errorf("ask %s for instances: the answer has no list of reservations", c.Endpoint)
		}
		for _, reservation := range page.Reservations.Items {
			all = append(all, reservation.Instances...)
		}
		if page.NextToken == "" {
			return all, nil
		}
		form = url.Values{"NextToken": {page.NextToken}}
	}
}

// UserData is what the instance's first boot is given.
func (c *Client) UserData(ctx context.Context, id string) ([]byte, error) {
	var answer struct {
		XMLName xml.Name `xml:"DescribeInstanceAttributeResponse"`
		Value   string   `xml:"userData>value"`
	}
	form := url.Values{"InstanceId": {id}, "Attribute": {"userData"}}
	if err := c.Call(ctx, "DescribeInstanceAttribute", form, &answer); err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(answer.Value))
	if err != nil {
		return nil, fmt.Errorf("decode the user data of %s: %w", id, err)
	}
	return data, nil
}

// ShutDown does with an instance whose machine has switched itself off what it was
// made with as its shutdown behaviour, and returns what that was.
func (c *Client) ShutDown(ctx context.Context, id string) (string, error) {
	var answer struct {
		XMLName xml.Name `xml:"DescribeInstanceAttributeResponse"`
		Value   string   `xml:"instanceInitiatedShutdownBehavior>value"`
	}
	form := url.Values{"InstanceId": {id}, "Attribute": {"instanceInitiatedShutdownBehavior"}}
	if err := c.Call(ctx, "DescribeInstanceAttribute", form, &answer); err != nil {
		return "", err
	}
	action := "StopInstances" // EC2's own default
	if answer.Value == "terminate" {
		action = "TerminateInstances"
	}
	return action, c.Call(ctx, action, url.Values{"InstanceId.1": {id}}, nil)
}

// callLimit is how long a call may take. LocalStack's first one loads the service,
// which takes half a minute where others are at work, too.
const callLimit = 2 * time.Minute

// Call calls an action and reads its answer into what encoding/xml can fill, or
// nowhere.
func (c *Client) Call(ctx context.Context, action string, form url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	form.Set("Action", action)
	form.Set("Version", "2016-11-15")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	day := time.Now().UTC().Format("20060102")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	request.Header.Set("X-Amz-Date", day+"T000000Z")
	request.Header.Set("Authorization", fmt.Sprintf(
		"AWS4-HMAC-SHA256 Credential=test/%s/%s/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature=0", day, c.Region))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	defer func() { _ = response.Body.Close() }()
	const most = 64 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("call %s: %s: %.300s", action, response.Status, text)
	}
	if into == nil {
		return nil
	}
	if err := xml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", action, err)
	}
	return nil
}
