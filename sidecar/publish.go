package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var publishCommand = command{
	name: "publish", args: "[SERVICE]",
	summary: "store policy, root module and genome as one bundle, and have cells renewed to it",
	note: "Without a service all that have a genome are published. The leader renews cells of another genome, as renew in the policy says.\n\n" +
		"Nothing can be put where bundle in the policy is a URL by https: -into writes what is to be served there into a folder.\n" +
		"Copy its content there, and publish without -into: that makes sure that it is there.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		s.defineLog(fs, "warn")
		dry := fs.Bool("dry-run", false, "check everything and say what would be published")
		into := fs.String("into", "", "write what a web server is to serve into this `folder`, and publish nothing")
		digest := fs.String("digest", "", "publish the bundle of this `digest` again, which the store holds")
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			if *into != "" && (*digest != "" || *dry) {
				return misused("-into goes with neither -digest nor -dry-run")
			}
			return s.publish(ctx, std, name, publication{digest: *digest, into: *into, dry: *dry})
		}
	},
}

// publication is how it is to be published.
type publication struct {
	digest, into string
	dry          bool
}

func (s *settings) publish(ctx context.Context, std stdio, name string, how publication) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	services, err := published(p, name)
	if err != nil {
		return err
	}
	if how.digest != "" && len(services) != 1 {
		return misused("name the service that the bundle is of")
	}
	log, err := s.logger(std.Err)
	if err != nil {
		return err
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	c, err := connect(p, nil, log)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := newLeading(p, dir, c, prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	n.policyFile = filepath.Base(s.path())
	store, err := n.store()
	if err != nil {
		return err
	}
	u := &publisher{leading: n, std: std, store: store, publication: how}
	if how.into != "" {
		if u.folder, err = folderFor(store, how.into); err != nil {
			return err
		}
	}
	if how.digest != "" {
		return u.again(ctx, services[0], how.digest)
	}
	return u.all(ctx, services)
}

// published are the services that can be published.
func published(p *policy.Policy, name string) ([]*policy.Service, error) {
	all, err := chosen(p, name)
	if err != nil {
		return nil, err
	}
	var with []*policy.Service
	for _, service := range all {
		if service.Genome != "" {
			with = append(with, service)
		}
	}
	switch {
	case len(with) > 0:
		return with, nil
	case name != "":
		return nil, fmt.Errorf("%s has no genome: write what its cells are made of, and name the file as genome in the policy", name)
	}
	return nil, errors.New("no service has a genome: write what its cells are made of, and name the file as genome in the policy")
}

// publisher publishes services one after the other, once all of them are sound.
type publisher struct {
	*leading
	publication
	std    stdio
	store  *bundle.Store
	folder *bundle.Store // what is to be served is written there instead, or nil
}

// store is the store that the policy names.
func (n *leading) store() (*bundle.Store, error) {
	at, err := policy.ParseStore(n.policy.Bundle)
	if err != nil {
		return nil, fmt.Errorf("bundle of the policy %w", err)
	}
	if at.Folder != "" {
		return bundle.OpenStore(n.resolve(at.Folder))
	}
	return bundle.OpenStore(n.policy.Bundle)
}

// folderFor is the folder for what a web server is to serve.
func folderFor(store *bundle.Store, into string) (*bundle.Store, error) {
	if !store.ReadOnly() {
		return nil, misused("-into is for a store by https; what is published is put into %s by itself", store)
	}
	path, err := filepath.Abs(into)
	if err != nil {
		return nil, fmt.Errorf("find the folder %s: %w", into, err)
	}
	return bundle.OpenStore(path)
}

func (u *publisher) all(ctx context.Context, services []*policy.Service) error {
	f := &findings{out: u.std.Err, quiet: true}
	var built []*bundle.Bundle
	for _, service := range services {
		before := f.errors
		if u.validateModule(f, service); f.errors > before {
			continue
		}
		if b := u.validateGenome(ctx, f, service); b != nil {
			built = append(built, b)
		}
	}
	if f.errors > 0 {
		return fmt.Errorf("%s to mend; nothing was published", plural(f.errors, "error"))
	}
	for i, b := range built {
		if err := u.one(ctx, services[i], b); err != nil {
			return err
		}
	}
	return nil
}

// validateGenome makes the bundle of a service from the files that lie here, nil
// where something is wrong with it.
func (n *leading) validateGenome(ctx context.Context, f *findings, s *policy.Service) *bundle.Bundle {
	b, err := n.bundle(ctx, s)
	wrong, ok := errors.AsType[*bundle.GenomeError](err)
	switch {
	case ok:
		f.file(s.Name, "genome", wrong.Diags)
	case err != nil:
		f.fail("%s: %v", s.Name, err)
	default:
		f.fine("%s: genome %s, %s", s.Name, short(b.Manifest.Genome), plural(len(b.Genome.Files), "file"))
		return b
	}
	return nil
}

func (n *leading) bundle(ctx context.Context, s *policy.Service) (*bundle.Bundle, error) {
	src, err := n.source(s)
	if err != nil {
		return nil, err
	}
	return bundle.Build(ctx, src)
}

// source is what a service's bundle is made from.
func (n *leading) source(s *policy.Service) (bundle.Source, error) {
	m, diags := act.Inspect(n.resolve(s.Terraform.Dir))
	if diags.HasErrors() {
		return bundle.Source{}, fmt.Errorf("read the root module of %s: %w", s.Name, diags)
	}
	files, err := m.Files()
	if err != nil {
		return bundle.Source{}, fmt.Errorf("read the root module of %s: %w", s.Name, err)
	}
	return bundle.Source{
		Service: s.Name, Policy: n.resolve(n.policyFile), Module: m.Dir, Files: files, Genome: n.resolve(s.Genome),
	}, nil
}

// one stores a bundle and publishes it.
func (u *publisher) one(ctx context.Context, s *policy.Service, b *bundle.Bundle) error {
	if u.dry {
		say(u.std.Out, "%s: bundle %s of %s, genome %s (not published: -dry-run)", s.Name, b.Digest(), plural(len(b.Blobs()), "file"), short(b.Genome.Digest()))
		return nil
	}
	if u.folder != nil {
		stored, err := u.folder.Put(ctx, b)
		if err != nil {
			return err
		}
		say(u.std.Out, "%s: bundle %s is in %s: %s, %d of them new (%d bytes)", s.Name, short(b.Digest()), u.folder, plural(stored.Files, "file"), stored.New, stored.Bytes)
		say(u.std.Out, "Nothing is published yet. Copy what is there to %s, manifests last, then: homeostat publish %s", u.store, s.Name)
		return nil
	}
	if u.store.ReadOnly() {
		if _, err := u.store.Manifest(ctx, b.Digest()); err != nil {
			return fmt.Errorf("%w\nNothing was published. Write it into a folder with homeostat publish -into FOLDER %s, copy what is there to %s, and publish again", err, s.Name, u.store)
		}
		say(u.std.Out, "%s: %s serves all of it", s.Name, u.store)
		return u.announce(ctx, s, b.Digest(), b.Genome)
	}
	stored, err := u.store.Put(ctx, b)
	if err != nil {
		return err
	}
	say(u.std.Out, "%s: stored %s, %d of them new (%d bytes)", s.Name, plural(stored.Files, "file"), stored.New, stored.Bytes)
	return u.announce(ctx, s, b.Digest(), b.Genome)
}

// again publishes a bundle that was published before.
func (u *publisher) again(ctx context.Context, s *policy.Service, digest string) error {
	m, err := u.store.Manifest(ctx, digest)
	if err != nil {
		return err
	}
	if m.Service != s.Name {
		return fmt.Errorf("bundle %s is one of %s, not of %s", digest, m.Service, s.Name)
	}
	if u.dry {
		say(u.std.Out, "%s: bundle %s, genome %s (not published: -dry-run)", s.Name, digest, short(m.Genome))
		return nil
	}
	genome, err := u.store.Genome(ctx, m.Genome)
	if err != nil {
		return err
	}
	return u.announce(ctx, s, digest, genome)
}

// announce says in Consul what is published, and on the terminal what follows.
func (u *publisher) announce(ctx context.Context, s *policy.Service, digest string, genome bundle.Genome) error {
	p, err := u.fleet.Publish(ctx, s.Name, fleet.Published{
		Bundle: digest, Genome: genome.Digest(), Store: u.store.Address(), Program: install.ProgramOf(genome), By: whoAmI(),
	})
	if err != nil {
		return err
	}
	say(u.std.Out, "%s: published bundle %s, genome %s", s.Name, digest, short(genome.Digest()))
	if s.Renew.AtOnce > 0 {
		say(u.std.Out, "Its leader renews cells of another genome, %d at a time; homeostat status %s shows how far it is.", s.Renew.AtOnce, s.Name)
	}
	if p.Before != "" {
		say(u.std.Out, "The way back: homeostat publish -digest %s %s", p.Before, s.Name)
	}
	return nil
}
