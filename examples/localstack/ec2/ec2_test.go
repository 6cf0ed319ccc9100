package ec2

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What isn't an answer is an error, and never an empty list.
func TestInstances(t *testing.T) {
	const two = `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>
<item><instancesSet><item><instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name></instanceState>
<privateIpAddress>10.0.0.4</privateIpAddress><privateDnsName>ip-10-0-0-4.ec2.internal</privateDnsName></item></instancesSet></item>
<item><instancesSet><item><instanceId>i-2</instanceId><instanceState><name>terminated</name></instanceState></item></instancesSet></item>
</reservationSet>`
	for _, c := range []struct {
		name    string
		status  int
		answers []string
		want    []string
		wrong   string
	}{
		{"two", 200, []string{two + `</DescribeInstancesResponse>`}, []string{"i-1 running", "i-2 terminated"}, ""},
		{"pages", 200, []string{two + `<nextToken>more</nextToken></DescribeInstancesResponse>`, two + `</DescribeInstancesResponse>`},
			[]string{"i-1 running", "i-2 terminated", "i-1 running", "i-2 terminated"}, ""},
		{"none", 200, []string{`<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>`}, nil, ""},
		{"no list", 200, []string{`<DescribeInstancesResponse/>`}, nil, "no list"},
		{"cut", 200, []string{two}, nil, "read the answer"},
		{"empty", 200, []string{``}, nil, "read the answer"},
		{"another answer", 200, []string{`<DescribeVpcsResponse/>`}, nil, "read the answer"},
		{"a page for people", 200, []string{`<html><body>Welcome`}, nil, "read the answer"},
		{"an error", 500, []string{`<Response><Errors/></Response>`}, nil, "500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if token := r.FormValue("NextToken"); (asked > 0) != (token == "more") {
					t.Errorf("page %d is asked for with %q", asked, token)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answers[asked]))
				asked++
			}))
			defer server.Close()
			all, err := (&Client{Endpoint: server.URL, Region: "us-east-1"}).Instances(t.Context())
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v, want %q", err, c.wrong)
			}
			var got []string
			for _, i := range all {
				got = append(got, i.ID+" "+i.State)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
