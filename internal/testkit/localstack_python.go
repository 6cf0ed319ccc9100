package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// LocalStackPython returns the path of a Python 3.13 that has LocalStack: in a
// virtual environment in the cache, installed by pip when it isn't there, which
// takes a minute and 500 MB.
func LocalStackPython(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	requirements := filepath.Join(root, "internal", "testkit", "localstack", "requirements.txt")
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", fmt.Errorf("find the versions of LocalStack: %w", err)
	}
	python, err := python313(ctx)
	if err != nil {
		return "", err
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, "localstack-"+digest(text, []byte(python)), func(ctx context.Context, into string) error {
		return installPython(ctx, python, requirements, "localstack.runtime.main", into)
	})
	if err != nil {
		return "", fmt.Errorf("get LocalStack: %w", err)
	}
	return filepath.Join(dir, "bin", "python"), nil
}

// LocalStackPossible says why this machine can't have LocalStack, or nil.
func LocalStackPossible(ctx context.Context) error {
	_, err := python313(ctx)
	return err
}

// python313 finds a Python 3.13, the one version that this LocalStack runs on. A
// name on PATH may be a stand-in that has no such version to start, so each is
// asked.
func python313(ctx context.Context) (string, error) {
	candidates := []string{"python3.13", "python3", "python"}
	for _, home := range []string{os.Getenv("PYENV_ROOT"), filepath.Join(os.Getenv("HOME"), ".pyenv")} {
		if home == "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(home, "versions", "3.13*", "bin", "python3.13"))
		if err != nil {
			return "", err
		}
		candidates = append(candidates, found...)
	}
	for _, candidate := range candidates {
		out, err := exec.CommandContext(ctx, candidate, "-c", "import sys; print(*sys.version_info[:2], sys.executable)").Output()
		if path, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "3 13 "); err == nil && ok {
			return path, nil
		}
	}
	return "", errors.New("there is no Python 3.13 on PATH or among pyenv's versions, which LocalStack needs")
}
