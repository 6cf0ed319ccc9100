package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// What a service is led from is what was published for it, never files that merely
// lie here:
//
//	nothing is published            what lies here
//	what lies here is published     what lies here
//	it is something else            what the store holds, in a cache
//	  ... and the state lies here   nothing: a person puts one of both right

// ground is what a service is to be led from now.
func (n *leading) ground(ctx context.Context, s *policy.Service) (*leading, error) {
	p, err := n.fleet.Published(ctx, s.Name)
	if err != nil || p == nil {
		return n, err
	}
	here, unlike := n.tree(ctx, s, p.Genome)
	if unlike == nil && here.Digest() == p.Bundle {
		return n.at(n.resolve(n.policyFile), s.Name, p.Bundle)
	}
	g, got, err := n.fetched(ctx, s, p)
	if err != nil {
		return nil, err
	}
	if err := n.sameState(s, g, unlike, here, got); err != nil {
		return nil, err
	}
	n.log.Info("what lies here isn't what is published; leading from what the store holds",
		"service", s.Name, "bundle", p.Bundle, "differs", differences(unlike, here, got), "folder", got.Tree)
	return g, nil
}

// tree is the manifest of what lies here.
func (n *leading) tree(ctx context.Context, s *policy.Service, genome string) (bundle.Manifest, error) {
	src, err := n.source(s)
	if err != nil {
		return bundle.Manifest{}, err
	}
	return bundle.Tree(ctx, src, genome)
}

// fetched gets what is published, and makes sure that nothing else lies with it.
func (n *leading) fetched(ctx context.Context, s *policy.Service, p *fleet.Published) (*leading, *bundle.Cached, error) {
	got, err := n.fetch(ctx, s, p)
	if err != nil {
		return nil, nil, err
	}
	g, err := n.at(got.Policy(), s.Name, p.Bundle)
	if err != nil {
		return nil, nil, err
	}
	there, err := g.tree(ctx, g.policy.Service(s.Name), p.Genome)
	if err != nil {
		return nil, nil, err
	}
	if there.Digest() != p.Bundle {
		return nil, nil, fmt.Errorf("something else than bundle %s lies in %s (%s): remove that folder, it is fetched again",
			p.Bundle, got.Tree, list(there.Differences(got.Manifest)))
	}
	return g, got, nil
}

// fetch gets a bundle from the store that the policy here names, or from the one
// that it was published to: the policy may have moved to another with it. Wherever
// it comes from, its digest says whether it is what was published.
func (n *leading) fetch(ctx context.Context, s *policy.Service, p *fleet.Published) (*bundle.Cached, error) {
	var stores []*bundle.Store
	var failures []error
	if n.policy.Bundle != "" {
		store, err := n.store()
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	if p.Store != "" && (len(stores) == 0 || stores[0].Address() != p.Store) {
		store, err := bundle.OpenStore(p.Store)
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	for _, store := range stores {
		got, err := store.Fetch(ctx, p.Bundle, n.cache(s))
		if err == nil {
			return got, nil
		}
		failures = append(failures, err)
	}
	if len(stores) == 0 {
		return nil, fmt.Errorf("bundle %s of %s is published and isn't what lies here, and neither the policy here nor what is published names a store: "+
			"add bundle to it, or put the published files here", p.Bundle, s.Name)
	}
	return nil, errors.Join(failures...)
}

// cache is where what is fetched is kept: where the policy here was laid out from,
// if it was, or beside Terraform's own data.
func (n *leading) cache(s *policy.Service) string {
	return cmp.Or(bundle.CacheOf(n.resolve(n.policyFile)),
		filepath.Join(n.resolve(s.Terraform.Dir), ".terraform", "homeostat", "bundles"))
}

// at is a copy that leads from the policy of a bundle's tree.
func (n *leading) at(path, service, digest string) (*leading, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	p, diags := policy.Parse(path, src)
	if diags.HasErrors() {
		return nil, fmt.Errorf("the published policy is wrong: %w", diags)
	}
	if p.Service(service) == nil {
		return nil, fmt.Errorf("the published policy %s has no service %q", path, service)
	}
	g := *n
	g.policy, g.dir, g.policyFile, g.goesBy = p, filepath.Dir(path), filepath.Base(path), digest
	return &g, nil
}

// sameState refuses to lead from elsewhere where the state would be another one: a
// local backend keeps it beside the root module, so that all cells would be unknown
// there, and be made once more.
func (n *leading) sameState(s *policy.Service, g *leading, unlike error, here bundle.Manifest, got *bundle.Cached) error {
	there, err := g.open(g.policy.Service(s.Name))
	if err != nil {
		return err
	}
	if there.LocalState() == "" {
		return nil
	}
	if root, err := n.open(s); err == nil && root.LocalState() == there.LocalState() {
		return nil
	}
	return fmt.Errorf("what lies in %s isn't bundle %s, which is published (%s), and its state is kept there, so it can't be led from elsewhere: "+
		"run homeostat publish %s there, or put the published files back", n.dir, g.goesBy, differences(unlike, here, got), s.Name)
}

// differences says how what lies here differs from what was published.
func differences(unlike error, here bundle.Manifest, got *bundle.Cached) string {
	if unlike != nil {
		return unlike.Error()
	}
	return list(here.Differences(got.Manifest))
}

// list names some of many.
func list(paths []string) string {
	const most = 5
	switch {
	case len(paths) == 0:
		return "its place"
	case len(paths) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(paths[:most], ", "), len(paths)-most)
	}
	return strings.Join(paths, ", ")
}

// current makes sure, once the lock is held, that nothing else was published since.
func (n *leading) current(ctx context.Context, service string) error {
	p, err := n.fleet.Published(ctx, service)
	if err != nil {
		return errors.Join(errors.New("whether another bundle was published isn't known"), err)
	}
	now := ""
	if p != nil {
		now = p.Bundle
	}
	if now != n.goesBy {
		return fmt.Errorf("%w while this sidecar stood for the lock", loop.ErrRepublished)
	}
	return nil
}
