package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const modulePath = "github.com/homeostat-io/terraform-provider-homeostat"

// Root returns the directory of this module's source, which programs are built
// from: where this file was compiled, or the module around the working
// directory when the path was trimmed from the binary.
func Root() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Join(filepath.Dir(file), "..", ".."); isRoot(dir) {
			return dir, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w", modulePath, err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if isRoot(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find the source of %s: run from inside a checkout of it", modulePath)
}

func isRoot(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(mod), "module "+modulePath+"\n")
}

// run runs a command in a directory to its end and returns an error with the
// end of its output. The environment gets the given additions.
func run(ctx context.Context, dir string, environment []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environment...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
		}
		text := output.String()
		return fmt.Errorf("run %s %s: %w\n%s", name, strings.Join(args, " "), err, text[max(0, len(text)-4000):])
	}
	return nil
}
