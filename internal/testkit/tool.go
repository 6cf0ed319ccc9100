package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// tools are the programs for developing that are built from modules of their
// own below tools/, by the name of their module's directory.
var tools = map[string]struct{ program, pkg string }{
	"lint": {"golangci-lint", "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
	"docs": {"tfplugindocs", "github.com/hashicorp/terraform-plugin-docs/cmd/tfplugindocs"},
}

// LintBinary returns the path of golangci-lint in exactly the version of
// tools/lint/go.mod, built into the cache when it isn't there.
func LintBinary(ctx context.Context) (string, error) { return toolBinary(ctx, "lint") }

// DocsBinary returns the path of tfplugindocs in exactly the version of
// tools/docs/go.mod, built into the cache when it isn't there.
func DocsBinary(ctx context.Context) (string, error) { return toolBinary(ctx, "docs") }

func toolBinary(ctx context.Context, module string) (string, error) {
	tool := tools[module]
	source, sum, err := toolModule(module)
	if err != nil {
		return "", err
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, tool.program+"-"+digest(sum), func(ctx context.Context, into string) error {
		return buildTool(ctx, source, tool.pkg, filepath.Join(into, tool.program))
	})
	if err != nil {
		return "", fmt.Errorf("build %s: %w", tool.program, err)
	}
	return filepath.Join(dir, tool.program), nil
}

// toolModule returns the directory of a module below tools/ and its go.sum,
// which names exactly what a program built there is made of.
func toolModule(name string) (dir string, sum []byte, err error) {
	root, err := Root()
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(root, "internal", "testkit", "tools", name)
	if sum, err = os.ReadFile(filepath.Join(dir, "go.sum")); err != nil {
		return "", nil, fmt.Errorf("find the versions of %s: %w", name, err)
	}
	return dir, sum, nil
}

// buildTool builds one program in a module of its own, whose go.mod and go.sum
// say exactly which, so that this module's dependencies stay its own.
func buildTool(ctx context.Context, moduleDirectory, pkg, to string) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	environment := []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0"}
	return run(ctx, moduleDirectory, environment,
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", to, pkg)
}
