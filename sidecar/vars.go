package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var varsCommand = command{
	name: "vars", args: "[SERVICE]",
	summary: "write the variable file from the record, for a person's or a pipeline's own apply",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		s.defineLog(fs, "warn")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			return s.vars(ctx, std, name)
		}
	},
}

func (s *settings) vars(ctx context.Context, std stdio, name string) error {
	return s.withLeading(std, name, func(n *leading, service *policy.Service) error {
		record, _, err := n.fleet.Record(ctx, service.Name)
		if errors.Is(err, fleet.ErrNoRecord) {
			return fmt.Errorf("there is no record of %s, so there is nothing to write: nobody has led it yet", service.Name)
		}
		if err != nil {
			return err
		}
		root, err := n.open(service)
		if err != nil {
			return err
		}
		d := act.Desired{Count: record.Count}
		if root.Module().Named {
			d.Names = append([]string{}, record.Names...)
		}
		path, changed, err := root.WriteVariables(d)
		if err != nil {
			return err
		}
		what := "unchanged"
		if changed {
			what = "written"
		}
		_, err = fmt.Fprintf(std.Out, "%s: %s (%s)\n", what, path, plural(record.Count, "cell"))
		return err
	})
}
