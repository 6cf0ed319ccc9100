package guard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tfjson "github.com/hashicorp/terraform-json"
)

// TestStreamAndPlanAgree reads both forms of one plan, as Terraform wrote them:
// a replacement, a deletion, a removal from the state, a move and a creation.
func TestStreamAndPlanAgree(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "plan.stream.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stream, err := ReadStream(f)
	if err != nil {
		t.Fatal(err)
	}
	if doubt := stream.Doubt(); doubt != "" {
		t.Error(doubt)
	}
	b, err := os.ReadFile(filepath.Join("testdata", "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	var plan tfjson.Plan
	if err := json.Unmarshal(b, &plan); err != nil {
		t.Fatal(err)
	}
	var whole []Change
	for _, c := range FromPlan(&plan) {
		if c.kind() != kindNoOp || c.moved() {
			whole = append(whole, c)
		}
	}
	options := cmp.Options{
		cmpopts.SortSlices(func(a, b Change) bool { return a.Address < b.Address }),
		cmp.Transformer("kind", func(c Change) any {
			return struct{ Address, Previous, Mode, Type, Kind string }{c.Address, c.PreviousAddress, c.Mode, c.Type, c.kind()}
		}),
	}
	if diff := cmp.Diff(whole, stream.Changes, options); diff != "" {
		t.Error("(-plan +stream)\n" + diff)
	}
}

func TestReadStream(t *testing.T) {
	addr := func(a string) string {
		return `"resource":{"addr":"` + a + `","resource_type":"t","implied_provider":"p"}`
	}
	for _, c := range []struct {
		name, line string
		want       Change
	}{
		{"create", `{"type":"planned_change","change":{` + addr("t.n") + `,"action":"create"}}`, Change{Actions: []string{"create"}}},
		{"replace", `{"type":"planned_change","change":{` + addr("t.n") + `,"action":"replace","reason":"tainted"}}`, Change{Actions: []string{"delete", "create"}, Reason: "tainted"}},
		{"forget", `{"type":"planned_change","change":{` + addr("t.n") + `,"action":"remove"}}`, Change{Actions: []string{"forget"}}},
		{"move", `{"type":"planned_change","change":{` + addr("t.n") + `,"previous_resource":{"addr":"t.o"},"action":"move"}}`, Change{Actions: []string{"no-op"}, PreviousAddress: "t.o"}},
		{"import", `{"type":"planned_change","change":{` + addr("t.n") + `,"action":"import","importing":{"id":"x"}}}`, Change{Actions: []string{"no-op"}, Importing: true}},
		{"import with an update", `{"type":"planned_change","change":{` + addr("t.n") + `,"action":"update","importing":{}}}`, Change{Actions: []string{"update"}, Importing: true}},
		{"unknown action", `{"type":"planned_change","change":{` + addr("t.n") + `,"action":"swap"}}`, Change{Actions: []string{"swap"}}},
		{"drift", `{"type":"resource_drift","change":{` + addr("t.n") + `,"action":"delete"}}`, Change{Actions: []string{"delete"}, Drift: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ReadStream(strings.NewReader(c.line))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Address, c.want.Type, c.want.Provider, c.want.Mode = "t.n", "t", "p", modeManaged
			if diff := cmp.Diff([]Change{c.want}, s.Changes); diff != "" {
				t.Error("(-want +got)\n" + diff)
			}
		})
	}
	for _, line := range []string{
		`{"type":"planned_change"}`, `{"type":"resource_drift"}`, `{"type":"diagnostic"}`, `{"type":"change_summary"}`,
		`{"type":"planned_change","change":{"resource":{"addr":"t.n"}`, `{`, `{"type":3}`,
	} {
		if _, err := ReadStream(strings.NewReader(line)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestDoubt(t *testing.T) {
	const made = `{"type":"planned_change","change":{"resource":{"addr":"t.n"},"action":"create"}}` + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"none", made + `{"type":"change_summary","changes":{"add":1}}`, ""},
		{"no summary", made, "no summary"},
		{"another count", made + `{"type":"change_summary","changes":{"add":1,"remove":1}}`, "counts"},
		{"an unknown message", `{"type":"planned_action_invocation"}` + "\n" + `{"type":"change_summary","changes":{}}`, "planned_action_invocation"},
		{"words and blank lines", "\nWarning: something\n" + `{"type":"change_summary","changes":{}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ReadStream(strings.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Doubt(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFromPlanNeverForgetsAKind(t *testing.T) {
	plan := &tfjson.Plan{
		DeferredChanges: []*tfjson.DeferredResourceChange{
			{Reason: "provider_config_unknown", ResourceChange: &tfjson.ResourceChange{Address: "t.n", Mode: "managed", Change: &tfjson.Change{Actions: tfjson.Actions{"create"}}}},
			{Reason: "absent"},
		},
		ActionInvocations: []*tfjson.ActionInvocation{{Address: "action.t.n", Type: "t"}},
		ResourceChanges:   []*tfjson.ResourceChange{{Address: "t.m", Mode: "managed"}},
	}
	changes := FromPlan(plan)
	if len(changes) != 4 {
		t.Fatalf("%d changes", len(changes))
	}
	for _, c := range changes {
		if v := JudgeFull(twoParts, Order{Keep: keysOf("0")}, []Change{c}, Limits{}); v.OK {
			t.Errorf("passed: %+v", c)
		}
	}
}

func TestChangedAttributes(t *testing.T) {
	object := func(text string) any {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	got := changedAttributes(&tfjson.Change{
		Before:       object(`{"same": [1, {"a": 2}], "port": 80, "gone": "x", "list": ["a"]}`),
		After:        object(`{"same": [1, {"a": 2}], "port": 81, "new": true, "list": ["a", null]}`),
		AfterUnknown: object(`{"same": [false, {"a": false}], "list": [false, true], "id": true}`),
	})
	want := []string{"gone", "id", "list", "new", "port"}
	if diff := cmp.Diff(want, sortedKeys(got)); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
	for name, digest := range got {
		if len(digest) != 16 {
			t.Errorf("%s: %q is no digest", name, digest)
		}
	}
}
