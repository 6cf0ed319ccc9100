package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

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
		shard := fs.Int("shard", -1, "of a service that is spread, write the file of this `shard`, to be given with -var-file")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			return s.vars(ctx, std, name, *shard)
		}
	},
}

func (s *settings) vars(ctx context.Context, std stdio, name string, shard int) error {
	return s.withLeading(std, name, func(n *leading, service *policy.Service) error {
		record, _, err := n.fleet.Record(ctx, service.Name)
		if errors.Is(err, fleet.ErrNoRecord) {
			return fmt.Errorf("there is no record of %s, so there is nothing to write: nobody has led it yet", service.Name)
		}
		if err != nil {
			return err
		}
		move, err := n.fleet.Move(ctx, service.Name)
		if err != nil {
			return err
		}
		if move != nil {
			return fmt.Errorf("cells of %s are being moved from shard %d to shard %d since %s: try again when the leader has done it", service.Name, move.From, move.To, move.Since.Format(time.RFC3339))
		}
		root, err := n.open(service)
		if err != nil {
			return err
		}
		switch {
		case shard >= 0 && !record.Spread() && !record.Emptied:
			return fmt.Errorf("%s isn't spread: leave -shard out", service.Name)
		case shard >= 0:
			return writeShard(std, root, record, shard)
		case record.Spread():
			return fmt.Errorf("%s is spread, and no one file is right in each of its workspaces: name one with -shard", service.Name)
		case record.Emptied:
			return fmt.Errorf("all cells of %s are in one state again, but the workspaces of its shards would read the file, too, and an apply there would make each once more: write -shard 0, or delete them (terraform workspace delete) and have the leader look for them, as it does after a pause", service.Name)
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

// writeShard writes the variables of one shard into a file of its own.
func writeShard(std stdio, root *act.Root, record *fleet.Record, shard int) error {
	names := record.In(shard)
	path, err := root.WriteShardVariables(shard, act.Desired{Count: len(names), Names: names})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.Out, "written: %s (%s): in that workspace, terraform apply -var-file=%s\n", path, plural(len(names), "cell"), filepath.Base(path))
	return err
}
