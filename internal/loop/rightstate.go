package loop

import (
	"context"
	"fmt"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// mendState puts a state back that a killed Terraform left cut. A leader that
// only looks mends nothing.
func (l *Leader) mendState(root *act.Root) error {
	if l.lease == nil {
		return nil
	}
	mended, err := root.MendState()
	if mended {
		l.Log.Warn("the state was cut by a killed Terraform: put back as it was before that apply", "module", root.Module().Dir)
	}
	return err
}

// rightState refuses a state that doesn't hold cells which the record names and
// which are heard: it is another one than that they were made by, and acting on
// it would make all of them again. Cells that an order still makes may be heard
// before any state knows of them, and those whose birth failed without that.
func (l *Leader) rightState(ctx context.Context, p *preparation) error {
	if l.Service.Members == policy.MembersState || !p.root.Module().Named {
		return nil
	}
	members, err := l.Fleet.Members(ctx, l.Service.Name)
	if err != nil {
		return fmt.Errorf("compare the state with the cells that are heard: %w", err)
	}
	unborn := unmade(p.record)
	expected := slices.DeleteFunc(slices.Clone(p.record.Names), func(name string) bool { return unborn[name] })
	var strange []string
	for _, m := range members {
		if _, held := p.held[m.Name]; !held && m.Health == fleet.Passing && slices.Contains(expected, m.Name) {
			strange = append(strange, m.Name)
		}
	}
	if len(strange) > 0 {
		return fmt.Errorf("the state of %s doesn't hold %v, which are heard and passing: is it the right one, with the right backend and workspace? Import them, or bring the state back",
			p.root.Module().Dir, strange)
	}
	return nil
}
