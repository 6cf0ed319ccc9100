package cloud

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// Store is a store of bundles that machines can fetch from.
type Store struct {
	URL    string
	Folder string // what is served
	tb     testing.TB
}

// Serve serves a folder until the test ends.
func Serve(tb testing.TB) *Store {
	tb.Helper()
	s := &Store{Folder: tb.TempDir(), tb: tb}
	server := httptest.NewServer(http.FileServer(http.Dir(s.Folder)))
	tb.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// program has a genome bring what is to be the sidecar.
const program = "\nfile \"/usr/local/bin/homeostat\" {\n  content = \"a stand-in\"\n  mode = \"0755\"\n}\n"

// Publish publishes a genome for a service; that of the sidecar is added to it.
func (s *Store) Publish(c *fleet.Client, service, genome string) fleet.Published {
	s.tb.Helper()
	dir := s.tb.TempDir()
	src := bundle.Source{
		Service: service, Policy: filepath.Join(dir, "homeostat.hcl"), Module: filepath.Join(dir, "module"),
		Files: []string{filepath.Join(dir, "module/main.tf")}, Genome: filepath.Join(dir, "genome.hcl"),
	}
	for path, text := range map[string]string{src.Policy: "# a policy\n", src.Files[0]: "# a module\n", src.Genome: genome + program} {
		s.must(os.MkdirAll(filepath.Dir(path), 0o755))
		s.must(os.WriteFile(path, []byte(text), 0o644))
	}
	b, err := bundle.Build(s.tb.Context(), src)
	s.must(err)
	folder, err := bundle.OpenStore(s.Folder)
	s.must(err)
	_, err = folder.Put(s.tb.Context(), b)
	s.must(err)
	p, err := c.Publish(s.tb.Context(), service, fleet.Published{
		Bundle: b.Digest(), Genome: b.Genome.Digest(), Store: s.URL, Program: install.ProgramOf(b.Genome), By: "test",
	})
	s.must(err)
	return p
}

func (s *Store) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}
