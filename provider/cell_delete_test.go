package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

func TestDeleteLeavesNothing(t *testing.T) {
	r := newRig(t)
	var begun []int
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(),
		Steps: []resource.TestStep{{
			Config: r.cell("well stubborn brood", `drain = { grace = "1s" }`),
			Check: func(*terraform.State) error {
				await(t, "four processes", func() bool { return len(r.said()) == 4 })
				begun = r.said()
				return nil
			},
		}},
		CheckDestroy: func(s *terraform.State) error {
			for _, pid := range begun {
				if alive(pid) {
					return fmt.Errorf("process %d is left", pid)
				}
			}
			return r.nothingLeft(s)
		},
	})
	tombstones, err := r.fleet.Tombstones(t.Context(), r.service)
	if err != nil || len(tombstones) != 1 || tombstones[0].Cell != "web-1" || !strings.HasPrefix(tombstones[0].By, "terraform on ") {
		t.Errorf("tombstones %+v, %v", tombstones, err)
	}
}

// The sidecar's log is kept aside, as it goes with the cell.
func TestDeleteDrains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, drain string
		want        []string
	}{
		{"until it is idle", `drain = { timeout = "1m" }`, []string{"drain PUT", "ended in order"}},
		{"not at all", `drain = { timeout = "0s" }`, []string{"ended in order"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			kept := filepath.Join(t.TempDir(), "log")
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
				Steps: []resource.TestStep{{
					Config: r.cell("well busy", c.drain),
					Check: func(*terraform.State) error {
						return os.Link(filepath.Join(r.dir, r.service, "web-1", "cell.log"), kept)
					},
				}},
			})
			b, err := os.ReadFile(kept)
			if err != nil {
				t.Fatal(err)
			}
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(line string) bool { return strings.HasPrefix(line, "begun") })
			if !slices.Equal(lines, c.want) {
				t.Errorf("the sidecar saw %q, want %q", lines, c.want)
			}
		})
	}
}

// What a cell has left in its spool others send; for that there is some time.
func TestAwaitSent(t *testing.T) {
	for name, c := range map[string]struct {
		sent time.Duration // after which they are
		ends time.Duration // after which the run is interrupted
		want string
	}{
		"sent meanwhile": {5 * time.Second, time.Hour, ""},
		"by nobody":      {time.Hour, time.Hour, "may hold messages"},
		"interrupted":    {time.Hour, time.Second, "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := t.TempDir()
				file := filepath.Join(data, unsent.Name(0, 1, 2))
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				sending := time.AfterFunc(c.sent, func() { _ = os.Remove(file) })
				defer sending.Stop()
				ctx, cancel := context.WithTimeout(t.Context(), c.ends)
				defer cancel()
				err := awaitSent(ctx, data, adoption)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestDeleteData(t *testing.T) {
	t.Parallel()
	for _, deleted := range []bool{false, true} {
		t.Run(fmt.Sprint(deleted), func(t *testing.T) {
			r := newRig(t)
			data := filepath.Join(t.TempDir(), "data", "web-1")
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
				Steps: []resource.TestStep{{
					Config: r.cell("well", fmt.Sprintf("data_directory = %q\n delete_data = %v", data, deleted)),
					Check: func(*terraform.State) error {
						return os.WriteFile(filepath.Join(data, "precious"), nil, 0o600)
					},
				}},
			})
			_, err := os.Stat(filepath.Join(data, "precious"))
			if os.IsNotExist(err) != deleted {
				t.Errorf("deleted: %v, want %v (%v)", os.IsNotExist(err), deleted, err)
			}
			if entries, err := os.ReadDir(filepath.Dir(data)); err != nil || deleted && len(entries) > 0 {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
	t.Run("with messages in it", func(t *testing.T) {
		r := newRig(t)
		data := filepath.Join(t.TempDir(), "data", "web-1")
		spool := filepath.Join(data, "spool", "web-1", "pages")
		config := r.cell("well", fmt.Sprintf("drain = { timeout = \"0s\" }\n data_directory = %q\n delete_data = true", data))
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
			Steps: []resource.TestStep{
				{
					Config: config,
					Check: func(*terraform.State) error {
						return errors.Join(os.MkdirAll(spool, 0o700), os.WriteFile(filepath.Join(spool, unsent.Name(0, 1, 2)), nil, 0o600))
					},
				},
				{Config: config, Destroy: true, ExpectError: spaced("may hold messages that were accepted")},
				{Config: config, Destroy: true, ExpectError: spaced("HOMEOSTAT_DATA_DIRECTORY=" + data + " homeostat run -policy POLICY -service " + r.service + " -cell web-1 -- sleep infinity")},
				{PreConfig: func() {
					if err := os.RemoveAll(spool); err != nil {
						t.Error(err)
					}
				}, Config: config, Destroy: true},
			},
		})
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Errorf("the data are left once their messages were sent: %v", err)
		}
	})
	t.Run("of somebody else", func(t *testing.T) {
		r := newRig(t)
		data := filepath.Join(t.TempDir(), "data")
		if err := os.MkdirAll(filepath.Join(data, "old"), 0o700); err != nil {
			t.Fatal(err)
		}
		config := r.cell("well", fmt.Sprintf("data_directory = %q\n delete_data = true", data))
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: factories(), CheckDestroy: r.nothingLeft,
			Steps: []resource.TestStep{
				{Config: config},
				{Config: config, Destroy: true, ExpectError: spaced("had content before the cell was born")},
				{
					// It was refused before anything was done.
					PreConfig: func() {
						if n := len(r.processes()); n != 1 {
							t.Errorf("%d processes, want 1", n)
						}
					},
					Config: strings.Replace(config, "delete_data = true", "delete_data = false", 1),
				},
			},
		})
	})
}
