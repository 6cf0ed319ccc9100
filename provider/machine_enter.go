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
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
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

// errShut ends the wait to be let into a machine whose door is shut behind its cell.
var errShut = errors.New("the cell lives, and its door is shut")

// enter gets into the machine. An earlier run of this birth may have been cut after
// it had shut the door: then nobody is let in any more.
func (b *machineBirth) enter(ctx context.Context) error {
	var err error
	if b.config, err = b.ssh.config(ctx, b.host.Address, b.spec.ID()); err != nil {
		return err
	}
	if b.secrets, err = readSecrets(ctx, b.ssh.Secrets); err != nil {
		return err
	}
	b.config.Secrets = slices.Collect(maps.Values(b.secrets))
	b.tried = true
	if err := b.enterUnlessShut(ctx); err != nil || b.born {
		return err
	}
	return b.clearRemains(ctx)
}

// enterUnlessShut opens a connection, or finds that the cell's sidecar says that the
// door is shut.
func (b *machineBirth) enterUnlessShut(ctx context.Context) error {
	if !b.begun {
		return b.dial(ctx)
	}
	waiting, stop := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if b.awaitShut(waiting) == nil {
			stop(errShut)
		}
	}()
	err := b.dial(waiting)
	stop(nil)
	<-watched
	if err != nil && errors.Is(context.Cause(waiting), errShut) {
		b.born, err = true, nil
	}
	return err
}

// clearRemains takes off what may be left of lives that had the machine before.
func (b *machineBirth) clearRemains(ctx context.Context) error {
	for _, r := range b.host.Remains {
		err := takeOff(ctx, b.machine, fleet.Cell{Service: r.Service, Name: r.Cell, Incarnation: r.Incarnation})
		if err != nil && !errors.Is(err, errOccupied) {
			return fmt.Errorf("clear what is left of %s/%s: %w", r.Service, r.Cell, err)
		}
	}
	b.host.Remains = nil
	return nil
}

// dial opens the connection, in the place of one that broke.
func (b *machineBirth) dial(ctx context.Context) error {
	b.close()
	machine, err := remote.Dial(ctx, b.config)
	b.machine = machine
	return err
}

// breakLimit is how long it may take after a command to see that its connection
// has ended too.
const breakLimit = 2 * time.Second

// through does a step again, over another connection, where the one it had broke:
// the network was cut, or the machine booted. It goes on where it was.
func (b *machineBirth) through(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for !b.born {
			err := do(ctx)
			if err == nil || !b.broke(ctx) {
				return err
			}
			tflog.Warn(ctx, "the connection broke: going on over another", map[string]any{"machine": b.host.Address, "error": err.Error()})
			if entered := b.enterUnlessShut(ctx); entered != nil {
				return fmt.Errorf("%w\nand then: %w", err, entered)
			}
		}
		return nil
	}
}

// broke reports whether the connection has ended, and not by the end of ctx.
func (b *machineBirth) broke(ctx context.Context) bool {
	short, cancel := context.WithTimeout(ctx, breakLimit)
	defer cancel()
	return b.machine.AwaitEnd(short) == nil && ctx.Err() == nil
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

// placeScript puts a program in its place, whole or not at all.
const placeScript = `install -m 0755 "$1" "$2.new" && mv -f "$2.new" "$2" || { rm -f "$2.new"; exit 1; }`

// bring brings the content that the machine lacks, and puts the program in place.
func (b *machineBirth) bring(ctx context.Context) error {
	program := install.ProgramOf(b.cached.Genome)
	if program == "" {
		return fmt.Errorf("the genome of %s has no file %s, which a cell on a machine of its own runs as its sidecar", b.cached.Manifest.Service, install.Program)
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
	return b.machine.Run(ctx, []string{"sh", "-c", placeScript, "sh", install.Home + "/blobs/" + program, install.Starter}, nil, nil)
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
