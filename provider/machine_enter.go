package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// bundleCache names the cache of bundles that a leader leads from: on a machine that
// a birth made, what came with it lies there.
const bundleCache = "HOMEOSTAT_BUNDLE_CACHE"

// fetch gets the published bundle from its store, as far as it isn't here.
func (b *machineBirth) fetch(ctx context.Context) error {
	store, err := bundle.OpenStore(b.published.Store)
	if err != nil {
		return err
	}
	cache := cmp.Or(os.Getenv(bundleCache), filepath.Join(b.births.Directory(), ".bundles"))
	b.cached, err = store.Fetch(ctx, b.published.Bundle, cache)
	return err
}

// dial gets into the machine.
func (b *machineBirth) dial(ctx context.Context) error {
	config, err := b.ssh.config(ctx, b.host.Address, b.spec.ID())
	if err != nil {
		return err
	}
	// Read before anything runs there, so that none of it is ever told.
	if b.secrets, err = b.ssh.secrets(ctx); err != nil {
		return err
	}
	config.Secrets = slices.Collect(maps.Values(b.secrets))
	b.config = config
	b.machine, err = remote.Dial(ctx, config)
	return err
}

// config is how a machine of the pool is entered.
func (m *sshModel) config(ctx context.Context, endpoint, id string) (remote.Config, error) {
	host := m.host(endpoint)
	address, portText, err := net.SplitHostPort(endpoint)
	if err != nil {
		return remote.Config{}, fmt.Errorf("the machine's address %q: %w", endpoint, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return remote.Config{}, fmt.Errorf("the machine's address %q: %w", endpoint, err)
	}
	c := remote.Config{
		Host: address, Port: port, User: m.User.ValueString(), AcceptNewHostKey: host.AcceptNewHostKey.ValueBool(),
		PrivateKey: []byte(m.PrivateKey.ValueString()),
	}
	if !host.HostKeys.IsNull() {
		if diags := host.HostKeys.ElementsAs(ctx, &c.HostKeys, false); diags.HasError() {
			return c, asError(diags)
		}
	}
	if file := m.PrivateKeyFile.ValueString(); file != "" {
		if c.PrivateKey, err = os.ReadFile(file); err != nil {
			return c, fmt.Errorf("read the private key: %w", err)
		}
	}
	if m.Agent.ValueBool() {
		if c.Agent = os.Getenv("SSH_AUTH_SOCK"); c.Agent == "" {
			return c, errors.New("SSH_AUTH_SOCK names no agent")
		}
	}
	if m.Authority != nil {
		principals, diags := m.principals(ctx)
		if diags.HasError() {
			return c, asError(diags)
		}
		c.Authority = &remote.Authority{
			File: m.Authority.KeyFile.ValueString(), Principals: principals,
			TTL: durationOr(m.Authority.TTL, defaultCertificate), KeyID: id,
		}
	}
	return c, nil
}

// bring brings the content that the machine lacks, and puts the program in place.
func (b *machineBirth) bring(ctx context.Context) error {
	program, err := programOf(b.cached)
	if err != nil {
		return err
	}
	all, err := b.cached.Blobs()
	if err != nil {
		return err
	}
	blobs := make([]remote.Blob, len(all))
	for i, blob := range all {
		blobs[i] = remote.Blob(blob)
	}
	b.begun = true
	missing, err := b.machine.Missing(ctx, blobs)
	if err != nil {
		return err
	}
	open := func(digest string) (io.ReadCloser, error) { return os.Open(b.cached.Blob(digest)) }
	told := time.Now()
	err = b.machine.Upload(ctx, missing, open, func(sent, total int64) {
		if sent == total || time.Since(told) > 5*time.Second {
			told = time.Now()
			tflog.Info(ctx, "bringing content", map[string]any{"machine": b.host.Address, "sent": sent, "of": total})
		}
	})
	if err != nil {
		return err
	}
	return b.machine.Run(ctx, []string{"install", "-m", "0755", install.Home + "/blobs/" + program, install.Starter}, nil, nil)
}

// programOf is the digest of the program that is to be the sidecar.
func programOf(c *bundle.Cached) (string, error) {
	for _, f := range c.Genome.Files {
		if f.Path == install.Program {
			return f.SHA256, nil
		}
	}
	return "", fmt.Errorf("the genome of %s has no file %s, which a cell on a machine of its own runs as its sidecar", c.Manifest.Service, install.Program)
}

// access is what the machine will have to forget.
func (b *machineBirth) access(ctx context.Context) (*door.Access, error) {
	key, authority, err := b.machine.Used(ctx)
	if err != nil {
		return nil, err
	}
	return &door.Access{
		User: b.config.User, AuthorizedKey: key, Authority: authority,
		Temporary: b.ssh.TemporaryUser.ValueBool(), SudoRule: b.ssh.SudoRule.ValueString(),
	}, nil
}
