package loop

import (
	"errors"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestRepublished(t *testing.T) {
	one := &fleet.Published{Bundle: "one"}
	for _, c := range []struct {
		name      string
		goesBy    string
		published *fleet.Published
		busy      string
		err       error
		ends      bool
	}{
		{name: "nothing was published"},
		{name: "the same", goesBy: "one", published: one},
		{name: "for the first time", published: one, ends: true},
		{name: "another", goesBy: "zero", published: one, ends: true},
		{name: "no longer", goesBy: "one", ends: true},
		{name: "another, while something runs", goesBy: "zero", published: one, busy: "an apply"},
		{name: "not known", goesBy: "one", err: errors.New("no Consul")},
	} {
		l := &Leader{LeaderConfig: LeaderConfig{Bundle: c.goesBy}, busy: c.busy}
		err := l.republished(view{published: c.published, consulErr: c.err})
		if errors.Is(err, ErrRepublished) != c.ends || !c.ends && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
