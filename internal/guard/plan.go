package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	tfjson "github.com/hashicorp/terraform-json"
)

// FromPlan lists the changes of a whole plan, those that do nothing included:
// by them the guard knows what there is. Drift, deferred changes and action
// invocations are in the list too.
func FromPlan(p *tfjson.Plan) []Change {
	var changes []Change
	for _, rc := range p.ResourceDrift {
		changes = append(changes, fromResourceChange(rc, true))
	}
	for _, rc := range p.ResourceChanges {
		changes = append(changes, fromResourceChange(rc, false))
	}
	for _, d := range p.DeferredChanges {
		c := Change{Actions: []string{"deferred"}, Reason: d.Reason}
		if d.ResourceChange != nil {
			c = fromResourceChange(d.ResourceChange, false)
			c.Actions, c.Reason = []string{"deferred"}, d.Reason
		}
		changes = append(changes, c)
	}
	for _, a := range p.ActionInvocations {
		changes = append(changes, Change{Address: a.Address, Type: a.Type, Provider: a.ProviderName, Mode: "action", Actions: []string{"invoke"}})
	}
	return changes
}

func fromResourceChange(rc *tfjson.ResourceChange, drift bool) Change {
	c := Change{
		Address: rc.Address, PreviousAddress: rc.PreviousAddress, Type: rc.Type, Provider: rc.ProviderName,
		Mode: string(rc.Mode), Drift: drift, Reason: string(rc.ActionReason), Deposed: rc.DeposedKey,
	}
	if rc.Change == nil {
		return c // without actions: an unknown kind, which never passes
	}
	for _, a := range rc.Change.Actions {
		c.Actions = append(c.Actions, string(a))
	}
	c.Importing = rc.Change.Importing != nil
	c.Attributes = changedAttributes(rc.Change)
	return c
}

// changedAttributes digests what the top-level attributes become. The digest
// takes the place of the value, which may be a secret.
func changedAttributes(ch *tfjson.Change) map[string]string {
	before, after, unknown := object(ch.Before), object(ch.After), object(ch.AfterUnknown)
	names := maps.Clone(before)
	maps.Copy(names, after)
	maps.Copy(names, unknown)
	changed := make(map[string]string)
	for name := range names {
		was, is, open := encode(before[name]), encode(after[name]), encode(unknown[name])
		if was == is && !anyTrue(unknown[name]) {
			continue
		}
		sum := sha256.Sum256([]byte(is + "\x00" + open))
		changed[name] = hex.EncodeToString(sum[:8])
	}
	return changed
}

func object(v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return m
}

// encode writes a decoded JSON value back; map keys come out sorted.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "unencodable" // cannot happen to a value that came from JSON
	}
	return string(b)
}

// anyTrue tells whether a part of an after_unknown value is unknown.
func anyTrue(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case []any:
		return slices.ContainsFunc(v, anyTrue)
	case map[string]any:
		for _, e := range v {
			if anyTrue(e) {
				return true
			}
		}
	}
	return false
}
