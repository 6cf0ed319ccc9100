package birth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckData(t *testing.T) {
	p := store(t)
	home := filepath.Join(t.TempDir(), "home")
	t.Setenv("HOME", home)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		path string
		del  bool
		want string // part of the error, empty for none
	}{
		"fine":                        {"/srv/crawler/1", true, ""},
		"relative":                    {"data", false, "must be an absolute path"},
		"not clean":                   {"/srv/../etc", false, "must be an absolute path"},
		"root":                        {"/", false, "directory of the system"},
		"var lib":                     {"/var/lib", true, "directory of the system"},
		"in the state directory":      {p.Directory() + "/crawler/x", false, "is Homeostat's own"},
		"above the state directory":   {filepath.Dir(p.Directory()), true, "the state directory"},
		"above it, kept":              {filepath.Dir(p.Directory()), false, ""},
		"home":                        {home, true, "the home directory"},
		"home, kept":                  {home, false, ""},
		"in home":                     {home + "/data", true, ""},
		"above the working directory": {filepath.Dir(here), true, "the working directory"},
		"beside the state directory":  {p.Directory() + "-data", true, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := p.CheckData(c.path, c.del)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestDataDirectory(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	dir := filepath.Join(t.TempDir(), "data", "crawler-1")
	spec := testSpec("wait")
	spec.DataDirectory = dir
	if err := claimData(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("claimed again by itself", func(t *testing.T) {
		if err := claimData(spec); err != nil {
			t.Error(err)
		}
	})
	t.Run("claimed by another", func(t *testing.T) {
		other := spec
		other.Name = "crawler-2"
		if err := claimData(other); err == nil || !strings.Contains(err.Error(), "belongs to cell crawler/crawler-1") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		if err := claimData(spec); !errors.Is(err, ErrDataGone) {
			t.Errorf("got %v, want ErrDataGone", err)
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a link to it", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteData(link); err == nil || !strings.Contains(err.Error(), "is no directory") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		if err := h.DeleteData(dir); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 0 {
			t.Errorf("left: %v, %v", entries, err)
		}
		if err := h.DeleteData(dir); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

func TestDeleteDataRefuses(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	t.Run("what was there before", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.MkdirAll(filepath.Join(dir, "old"), 0o700); err != nil {
			t.Fatal(err)
		}
		spec := testSpec("wait")
		spec.DataDirectory = dir
		if err := claimData(spec); err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteData(dir); err == nil || !strings.Contains(err.Error(), "had content before") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "old")); err != nil {
			t.Error(err)
		}
	})
	t.Run("what nobody claimed", func(t *testing.T) {
		if err := h.DeleteData(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no claim") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("what another claimed", func(t *testing.T) {
		spec := testSpec("wait")
		spec.Name, spec.DataDirectory = "crawler-2", filepath.Join(t.TempDir(), "data")
		if err := claimData(spec); err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteData(spec.DataDirectory); err == nil || !strings.Contains(err.Error(), "belongs to cell crawler/crawler-2") {
			t.Errorf("got %v", err)
		}
	})
}
