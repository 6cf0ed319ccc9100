package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// postgresVersion is the version downloaded where none is found.
const postgresVersion = embeddedpostgres.V15

// postgresPlaces are where packages put PostgreSQL's programs, most of which
// are on no PATH.
var postgresPlaces = []string{
	"/usr/lib/postgresql/*/bin",         // Debian
	"/usr/pgsql-*/bin",                  // Red Hat
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew
	"/usr/local/pgsql/bin",              // built from source
}

// PostgresBinaries returns a directory with the programs postgres and initdb:
// one found on the machine, else one downloaded into the cache. PostgreSQL does
// not run as root; the account that runs it for root can read what this returns.
func PostgresBinaries(ctx context.Context) (string, error) {
	if dir := postgresOnPath(); dir != "" {
		return dir, nil
	}
	for _, place := range postgresPlaces {
		found, err := filepath.Glob(place)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL in %s: %w", place, err)
		}
		slices.SortFunc(found, func(a, b string) int { return majorOf(b) - majorOf(a) })
		for _, dir := range found {
			if hasPostgres(dir) {
				return dir, nil
			}
		}
	}
	dir, err := embeddedPostgres(ctx)
	if err != nil {
		return "", fmt.Errorf("get PostgreSQL (or install a package of it): %w", err)
	}
	return dir, nil
}

// postgresOnPath follows links, as initdb looks for its other files beside
// where it really is.
func postgresOnPath() string {
	path, err := exec.LookPath("postgres")
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	if dir := filepath.Dir(path); hasPostgres(dir) {
		return dir
	}
	return ""
}

func hasPostgres(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// majorOf is the version in a path such as /usr/lib/postgresql/15/bin, else 0.
func majorOf(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

// embeddedPostgres returns PostgreSQL's programs from the cache and downloads
// them there first if need be.
func embeddedPostgres(ctx context.Context) (string, error) {
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	account, err := postgresAccount()
	if err != nil {
		return "", err
	}
	if account != nil && !mayEnter(*account, cache) {
		// A home directory that only root may enter holds nothing that another
		// account could run.
		cache = "/var/cache/homeostat"
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return "", fmt.Errorf("create a cache that PostgreSQL's account may enter: %w", err)
		}
	}
	dir, err := cached(ctx, cache, "postgres-"+string(postgresVersion), downloadPostgres)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin"), nil
}

// downloadPostgres lets the library that knows where to find the programs for
// this machine fetch and unpack them. It does so only on the way to a running
// server, which it does not get as root; that is no failure here as long as the
// programs run.
func downloadPostgres(ctx context.Context, into string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	defer returnPorts([]int{port})
	work, err := os.MkdirTemp("", "homeostat-postgres-")
	if err != nil {
		return err
	}
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(postgresVersion).
		Port(uint32(port)).
		BinariesPath(into).
		CachePath(filepath.Join(work, "download")).
		RuntimePath(filepath.Join(work, "run")).
		DataPath(filepath.Join(work, "data")).
		StartTimeout(time.Minute).
		Logger(io.Discard))
	started := make(chan error, 1)
	go func() {
		err := server.Start()
		if err == nil {
			err = server.Stop()
		}
		started <- errors.Join(err, os.RemoveAll(work))
	}()
	ctx, cancel := context.WithTimeout(ctx, downloadLimit)
	defer cancel()
	select {
	case err = <-started:
	case <-ctx.Done(): // the library can't be interrupted; it ends with the process
		return fmt.Errorf("download PostgreSQL %s: %w", postgresVersion, context.Cause(ctx))
	}
	if hasPostgres(filepath.Join(into, "bin")) {
		return run(ctx, into, nil, filepath.Join(into, "bin", "postgres"), "--version")
	}
	return fmt.Errorf("download PostgreSQL %s: %w", postgresVersion, err)
}
