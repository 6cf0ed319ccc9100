package front

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Consul lists nobody for a moment, and later on for good.
func TestEmptyListIsDoubted(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := NewCells(CellsConfig{Service: "api", Now: func() time.Time { return now }})
	cell := fleet.Member{Health: fleet.Passing}
	cell.Service, cell.Name, cell.Incarnation, cell.Port = "api", "api-1", "06h1eq7x0a02wv1wj", 80
	for _, step := range []struct {
		after time.Duration
		list  []fleet.Member
		want  int
	}{
		{0, nil, 0}, // there never was one
		{0, []fleet.Member{cell}, 1},
		{time.Second, nil, 1},
		{believed - time.Second, nil, 1},
		{0, []fleet.Member{cell}, 1},
		{time.Second, nil, 1}, // doubted anew
		{believed - time.Second, nil, 1},
		{time.Second, nil, 0},
	} {
		now = now.Add(step.after)
		c.setMembers(step.list)
		if members, healthy := c.size(); members != step.want || healthy != step.want {
			t.Errorf("after %s and %d listed: %d members, %d of them well, want %d", step.after, len(step.list), members, healthy, step.want)
		}
	}
}
