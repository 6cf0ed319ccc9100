package main

import (
	"context"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// spread fails where a service may have more cells than a shard takes and can't be
// spread. The leader would keep all of them in one state, ever more slowly.
func (f *findings) spread(s *policy.Service, cant string) {
	size := s.Terraform.ShardSize
	if size == 0 || s.Max <= size {
		return
	}
	if cant == "" {
		f.fine("%s: spread over up to %s as it grows, of at most %s each", s.Name, plural((s.Max+size-1)/size, "workspace"), plural(size, "cell"))
		return
	}
	f.fail("%s: max = %s are more than terraform.shard_size = %d, and can't be spread over workspaces: %s. Or write shard_size = 0: then all stay in one state, whose plans take a time that grows with the square of the count",
		s.Name, plural(s.Max, "cell"), size, cant)
}

// validateSpread looks whether the state holds anything but cells, which each
// workspace would make once more.
func (n *leading) validateSpread(ctx context.Context, f *findings, s *policy.Service, root *act.Root, shape guard.Shape) {
	if size := s.Terraform.ShardSize; size == 0 || s.Max <= size || root.Unspreadable(guard.Shape{}, nil) != "" {
		return // there is nothing to spread, or it was told of
	}
	_, others, err := root.Holds(ctx, shape)
	if err != nil {
		f.fail("%s: %v", s.Name, err)
		return
	}
	if cant := root.Unspreadable(shape, others); cant != "" {
		f.spread(s, cant)
	}
}
