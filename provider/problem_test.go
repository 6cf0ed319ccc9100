package main

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
)

func TestProblem(t *testing.T) {
	cases := map[string]struct {
		problem problem
		want    string
	}{
		"all of it": {
			problem{
				Object: "cell crawler/crawler-3", Endpoint: "host alpha, Consul at 127.0.0.1:8500",
				Cause: "its process 4711 ended before the cell was passing: exit status 1", Next: "see why in the lines below",
				LogPath: "/var/lib/cells/crawler/crawler-3/cell.log", Log: []string{"listen on :80", "permission denied"},
			},
			`Object:   cell crawler/crawler-3
Endpoint: host alpha, Consul at 127.0.0.1:8500
Cause:    its process 4711 ended before the cell was passing: exit status 1
Next:     see why in the lines below

Last lines of its log /var/lib/cells/crawler/crawler-3/cell.log:
  listen on :80
  permission denied`,
		},
		"an empty log": {
			problem{Object: "cell a/b", Cause: "it never registered", LogPath: "/x/cell.log"},
			`Object:   cell a/b
Cause:    it never registered

Its log /x/cell.log was empty.`,
		},
		"a cause of several lines": {
			problem{Cause: "it failed\nand was not cleared away", Next: "try again"},
			`Cause:    it failed
          and was not cleared away
Next:     try again`,
		},
		"a console": {
			problem{Object: "cell a/b", Console: []string{"kernel panic", "rebooting"}},
			`Object:   cell a/b

Last lines of its machine's console:
  kernel panic
  rebooting`,
		},
		"nothing": {problem{}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.problem.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	t.Run("as a diagnostic", func(t *testing.T) {
		var diags diag.Diagnostics
		addError(&diags, "Cell not born", problem{Object: "cell a/b"})
		if len(diags) != 1 || diags[0].Severity() != diag.SeverityError || diags[0].Summary() != "Cell not born" || diags[0].Detail() != "Object:   cell a/b" {
			t.Errorf("got %+v", diags)
		}
	})
}
