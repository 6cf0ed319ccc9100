// Command generate writes the provider's reference below docs/ from its schema
// and from the configurations in examples/ that are named after its resources.
//
// tfplugindocs would build the provider itself, but only where the root of the
// repository is a program. It is given the schema instead.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

const configuration = `terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := generate(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "generate the provider's reference:", err)
		os.Exit(1)
	}
}

func generate(ctx context.Context) (err error) {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	docs, err := testkit.DocsBinary(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "homeostat-generate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	schema := filepath.Join(work, "schema.json")
	if err := writeSchema(ctx, work, schema); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, docs, "generate", "--provider-name", "homeostat", "--providers-schema", schema)
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run tfplugindocs: %w\n%s", err, output)
	}
	return nil
}

// writeSchema writes the schema of the provider built from this tree to a file.
func writeSchema(ctx context.Context, work, to string) error {
	terraform, err := testkit.TerraformBinary(ctx)
	if err != nil {
		return err
	}
	provider, err := testkit.BuildProvider(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "main.tf"), []byte(configuration), 0o600); err != nil {
		return err
	}
	var schema []byte
	for _, args := range [][]string{{"init", "-input=false", "-no-color"}, {"providers", "schema", "-json"}} {
		cmd := exec.CommandContext(ctx, terraform, args...)
		cmd.Dir, cmd.Env = work, provider.Environment()
		if schema, err = cmd.Output(); err != nil {
			var failed *exec.ExitError
			if errors.As(err, &failed) {
				err = fmt.Errorf("%w\n%s", err, failed.Stderr)
			}
			return fmt.Errorf("run terraform %s: %w", args[0], err)
		}
	}
	if schema, err = nameShortly(schema); err != nil {
		return err
	}
	return os.WriteFile(to, schema, 0o600)
}

// nameShortly gives the provider the only name by which tfplugindocs finds one
// that isn't in HashiCorp's namespace.
func nameShortly(schema []byte) ([]byte, error) {
	var document struct {
		FormatVersion string                     `json:"format_version"`
		Schemas       map[string]json.RawMessage `json:"provider_schemas"`
	}
	if err := json.Unmarshal(schema, &document); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	ours, ok := document.Schemas[testkit.ProviderSource]
	if !ok {
		return nil, fmt.Errorf("read the schema: it lacks %s", testkit.ProviderSource)
	}
	document.Schemas = map[string]json.RawMessage{"homeostat": ours}
	return json.Marshal(document)
}
