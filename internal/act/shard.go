package act

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// A shard is the same root module in a workspace of its own. Each has its own
// data directory below that of the service, so that Terraform can run in several
// at once: parallel `workspace select` in one directory would race.

// withWorkspaces are the backends that have workspaces. Source:
// https://developer.hashicorp.com/terraform/language/state/workspaces, and the
// page of each backend.
var withWorkspaces = []string{"azurerm", "consul", "cos", "gcs", "kubernetes", "local", "oci", "oss", "pg", "s3"}

// Unspreadable returns why the cells of the module can't be spread over
// workspaces, or nothing. others are addresses that the state holds besides the
// cells: each workspace would make them once more. Before the shape of an order is
// known it judges by the module's files alone.
func (r *Root) Unspreadable(s guard.Shape, others []string) string {
	switch {
	case !slices.Contains(withWorkspaces, r.module.Backend):
		return fmt.Sprintf("the state's backend %q has no workspaces", r.module.Backend)
	case !r.module.Named:
		return fmt.Sprintf("the root module takes a bare count, by which no two workspaces could tell their cells apart: have it declare %s", NamesVariable)
	case r.module.Variables[NamesVariable].NeverNull && r.module.Variables[NamesVariable].HasDefault:
		return fmt.Sprintf("%s isn't nullable and has a default: the variable file of a service that is spread says null, and an apply by hand would take the default for the cells there are to be", NamesVariable)
	case len(s.Dependents) > 0:
		return fmt.Sprintf("%s changes with the cells and isn't one: each workspace would have one of its own. Move it to a root module of its own", s.Dependents[0].Address)
	case len(others) > 0:
		return fmt.Sprintf("the state holds %s, which is no cell: each workspace would make it once more. Move it to a root module of its own", others[0])
	default:
		return ""
	}
}

// shardWorkspace is the name of a shard's workspace; that of shard 0 is the
// policy's own.
func (c Config) shardWorkspace(n int) string {
	return policy.ShardWorkspace(c.Workspace, n)
}

const shardPrefix = policy.ShardPrefix

// ShardOf returns the shard whose workspace has this name. Shard 0 is the one that
// the policy names.
func (r *Root) ShardOf(workspace string) (int, bool) {
	if workspace == r.cfg.Workspace || workspace == "default" && r.cfg.Workspace == "" {
		return 0, true
	}
	n := policy.ShardOf(workspace)
	return n, n > 0 && r.cfg.shardWorkspace(n) == workspace
}

// Workspace is the name of the workspace; empty for the default one.
func (r *Root) Workspace() string { return r.cfg.Workspace }

// Shards lists the shards whose workspaces there are, without shard 0. The root
// module must be initialised.
func (r *Root) Shards(ctx context.Context) ([]int, error) {
	var names []string
	err := r.run(ctx, "workspace", func(ctx context.Context, tf *tfexec.Terraform) (err error) {
		names, _, err = tf.WorkspaceList(ctx)
		return err
	})
	var shards []int
	for _, name := range names {
		if n, ours := r.ShardOf(name); ours && n > 0 {
			shards = append(shards, n)
		}
	}
	slices.Sort(shards)
	return shards, err
}

// Shard returns the root module in the workspace of a shard from 1 on. there says
// that the workspace is known to exist; else it is made. r is shard 0 and must be
// initialised: what init has put into its data directory is linked, since a hundred
// copies of a provider would fill the disk. share is how many of them work side by
// side: they share the policy's parallelism.
func (r *Root) Shard(ctx context.Context, n int, there bool, share int) (*Root, error) {
	name := r.cfg.shardWorkspace(n)
	s := &Root{cfg: r.cfg, module: r.module, env: maps.Clone(r.env), environ: r.environ, calls: r.calls}
	s.cfg.Workspace, s.cfg.DataDir = name, filepath.Join(r.cfg.DataDir, shardPrefix+strconv.Itoa(n))
	s.env["TF_DATA_DIR"] = s.cfg.DataDir
	if r.cfg.Parallelism > 0 {
		s.cfg.Parallelism = max(1, r.cfg.Parallelism/max(1, share))
	}
	if err := s.settle(ctx, r.cfg.DataDir, there); err != nil {
		return nil, fmt.Errorf("open workspace %s of root module %s: %w", name, r.cfg.Dir, err)
	}
	return s, nil
}

// Hasty is the same root module, in which Terraform doesn't wait for the state's lock.
func (r *Root) Hasty() *Root {
	hasty := *r
	hasty.cfg.LockTimeout = 0
	return &hasty
}

// settle makes the data directory of a shard, and its workspace where it isn't there.
func (r *Root) settle(ctx context.Context, base string, there bool) error {
	if err := os.MkdirAll(r.cfg.DataDir, 0o700); err != nil {
		return err
	}
	if err := r.sweep(); err != nil {
		return err
	}
	if err := link(base, r.cfg.DataDir); err != nil {
		return err
	}
	// Terraform keeps the name of the workspace that is selected in this file. What
	// `workspace select` would write is written here, without a run of Terraform for
	// each of a hundred. Selects proves that it is understood.
	selected := filepath.Join(r.cfg.DataDir, "environment")
	if there {
		return replace(selected, []byte(r.cfg.Workspace))
	}
	return r.run(ctx, "workspace", func(ctx context.Context, tf *tfexec.Terraform) error {
		if err := os.Remove(selected); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := tf.WorkspaceNew(ctx, r.cfg.Workspace)
		if err != nil && strings.Contains(err.Error(), "already exists") {
			return replace(selected, []byte(r.cfg.Workspace))
		}
		return err
	})
}

// link has a data directory share the providers and modules of another, and copies
// what was said of the backend.
func link(base, dir string) error {
	for _, name := range []string{"providers", "modules"} {
		to, at := filepath.Join(base, name), filepath.Join(dir, name)
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if now, err := os.Readlink(at); err == nil && now == to {
			continue
		}
		if err := os.RemoveAll(at); err != nil {
			return err
		}
		if err := os.Symlink(to, at); err != nil {
			return err
		}
	}
	backend, err := os.ReadFile(filepath.Join(base, "terraform.tfstate"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, "terraform.tfstate"), backend)
}

// replace writes a small file unless it holds that already.
func replace(path string, content []byte) error {
	if now, err := os.ReadFile(path); err == nil && string(now) == string(content) {
		return nil
	}
	return renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(filepath.Dir(path)))
}

// Selects makes sure that Terraform works in the workspace of the root module, by
// asking it.
func (r *Root) Selects(ctx context.Context) error {
	var now string
	err := r.run(ctx, "workspace", func(ctx context.Context, tf *tfexec.Terraform) (err error) {
		now, err = tf.WorkspaceShow(ctx)
		return err
	})
	if err == nil && now != r.cfg.Workspace {
		err = fmt.Errorf("terraform works in workspace %q where it should in %q: %w", now, r.cfg.Workspace, ErrBackend)
	}
	return err
}

// ReleaseVariables has the variable file say null of count and names. Once a service
// is spread the file, which Terraform reads in all of its workspaces, can't say what
// is right in each. Our modules then read the record, and others fail, where a
// person applies by hand; the leader gives each shard a file of its own.
func (r *Root) ReleaseVariables() (path string, changed bool, err error) {
	path = filepath.Join(r.cfg.Dir, VariableFile)
	content := fmt.Appendf(nil, "{\n  %q: null,\n  %q: null\n}\n", NamesVariable, r.cfg.Variable)
	return r.writeVariables(path, content)
}

// WriteShardVariables writes the variables of one shard into a file that Terraform
// doesn't load by itself, for a person's own apply in that workspace.
func (r *Root) WriteShardVariables(n int, d Desired) (path string, err error) {
	path = filepath.Join(r.cfg.Dir, fmt.Sprintf("homeostat.%s%d.tfvars.json", shardPrefix, n))
	content, err := r.encode(d)
	if err != nil {
		return path, fmt.Errorf("write variable file %s: %w", path, err)
	}
	_, _, err = r.writeVariables(path, content)
	return path, err
}
