package main

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// TestServiceInAWorkspace tells of a record what concerns the workspace that asks.
func TestServiceInAWorkspace(t *testing.T) {
	spread := &fleet.Record{Count: 3, Names: []string{"pod-1", "pod-2", "pod-3"}, Shards: []int{0, 2, 2}}
	one := &fleet.Record{Count: 2, Names: []string{"pod-1", "pod-2"}}
	for name, c := range map[string]struct {
		record    *fleet.Record
		workspace types.String
		want      []string
	}{
		"the first":              {spread, types.StringValue("default"), []string{"pod-1"}},
		"a shard":                {spread, types.StringValue("shard-2"), []string{"pod-2", "pod-3"}},
		"a shard of prod":        {spread, types.StringValue("prod-shard-2"), []string{"pod-2", "pod-3"}},
		"one without cells":      {spread, types.StringValue("shard-7"), []string{}},
		"one that only looks so": {spread, types.StringValue("myshard-2"), []string{"pod-1"}},
		"one that was emptied":   {one, types.StringValue("shard-2"), []string{}},
		"not said":               {one, types.StringNull(), []string{"pod-1", "pod-2"}},
		"not spread":             {one, types.StringValue("prod"), []string{"pod-1", "pod-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := serviceModel{Workspace: c.workspace}
			m.tell(c.record)
			var got []string
			if diags := m.Names.ElementsAs(t.Context(), &got, false); diags.HasError() {
				t.Fatal(diags)
			}
			if len(got) != len(c.want) || m.DesiredCount.ValueInt64() != int64(len(c.want)) {
				t.Fatalf("%v, count %d; want %v", got, m.DesiredCount.ValueInt64(), c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
		})
	}
}

// TestServiceIsUnclear has no answer be right in the workspace that asks.
func TestServiceIsUnclear(t *testing.T) {
	spread := &fleet.Record{Count: 2, Names: []string{"pod-1", "pod-2"}, Shards: []int{0, 2}}
	one := &fleet.Record{Count: 1, Names: []string{"pod-1"}}
	again := &fleet.Record{Count: 1, Names: []string{"pod-1"}, Emptied: true}
	move := &fleet.MoveNote{From: 0, To: 2, Names: []string{"pod-2"}, Since: time.Unix(0, 0)}
	for name, c := range map[string]struct {
		record    *fleet.Record
		move      *fleet.MoveNote
		workspace types.String
		want      string
	}{
		"cells are being moved":           {one, move, types.StringValue("default"), "from shard 0 to shard 2"},
		"the record is lost, in a shard":  {nil, nil, types.StringValue("prod-shard-2"), "there is no record"},
		"the record is lost, in shard 0":  {nil, nil, types.StringValue("prod"), ""},
		"spread, and no workspace":        {spread, nil, types.StringNull(), "doesn't say which one"},
		"spread, and its workspace":       {spread, nil, types.StringValue("shard-2"), ""},
		"in one state, and no workspace":  {one, nil, types.StringNull(), ""},
		"in one again, and no workspace":  {again, nil, types.StringNull(), "doesn't say which one"},
		"in one again, and a workspace":   {again, nil, types.StringValue("default"), ""},
		"in one state, and a shard's own": {one, nil, types.StringValue("shard-2"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := (&serviceModel{Workspace: c.workspace}).unclear(c.record, c.move)
			if p == nil && c.want != "" || p != nil && (c.want == "" || !strings.Contains(p.Cause, c.want)) {
				t.Errorf("%+v, want %q", p, c.want)
			}
		})
	}
}
