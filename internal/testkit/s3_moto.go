package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// MotoPython returns the path of a Python that has moto, whose server speaks S3:
// in a virtual environment in the cache, installed by pip when it isn't there.
func MotoPython(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	requirements := filepath.Join(root, "internal", "testkit", "s3", "requirements.txt")
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", fmt.Errorf("find the versions of moto: %w", err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("get moto (install Python 3.10 or later, with venv and pip): %w", err)
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, "moto-"+digest(text, []byte(python)), func(ctx context.Context, into string) error {
		return installPython(ctx, python, requirements, "moto.server", into)
	})
	if err != nil {
		return "", fmt.Errorf("get moto (install Python 3.10 or later, with venv and pip): %w", err)
	}
	return filepath.Join(dir, "bin", "python"), nil
}

// installPython makes an environment with what is required, of which one module is
// tried. Python finds itself by where it is run, so it
// may get another name afterwards; the scripts beside it may not, and aren't used.
func installPython(ctx context.Context, python, requirements, module, into string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*downloadLimit)
	defer cancel()
	if err := run(ctx, into, nil, python, "-m", "venv", into); err != nil {
		return err
	}
	inside := filepath.Join(into, "bin", "python")
	install := run(ctx, into, nil, inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", requirements)
	return errors.Join(install, run(ctx, into, nil, inside, "-c", "import "+module))
}
