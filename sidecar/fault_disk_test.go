package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestFullDisk fills the disk that the root module lies on, and then makes it
// read-only. The old variable file stays whole, the leader says what is wrong,
// and goes on when it can write again.
func TestFullDisk(t *testing.T) {
	h := faulty(t, houseOptions{})
	main := h.file("main.tf")
	h.mount(h.module(), "size=2m")
	h.write("pod/main.tf", main)
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)
	before := h.file("homeostat.auto.tfvars.json")

	full := h.fill("pod/.full") // hidden: it is no part of the module
	h.succeed("pin", "pod", "3")
	h.hears("the order was not carried out", "write variable file", "no space left on device")
	h.reads("trouble", "write variable file", "the old one is as it was; check free space")
	if now := h.file("homeostat.auto.tfvars.json"); now != before {
		t.Errorf("the variable file was changed: %q, was %q", now, before)
	}
	h.must(os.Remove(full))
	h.settled(3, patience)

	before = h.file("homeostat.auto.tfvars.json")
	h.must(syscall.Mount("", h.module(), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	h.succeed("pin", "pod", "4")
	h.hears("the order was not carried out", "write variable file", "read-only file system")
	h.must(syscall.Mount("", h.module(), "", syscall.MS_REMOUNT, "size=2m"))
	if now := h.file("homeostat.auto.tfvars.json"); now != before {
		t.Errorf("the variable file was changed: %q, was %q", now, before)
	}
	h.settled(4, patience)
}

// mount lays a file system in memory over a directory.
func (h *house) mount(dir, options string) {
	h.t.Helper()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		testkit.NotRun(h.t, h.t.Name(), "only root may mount a file system")
	}
	h.must(err)
	h.t.Cleanup(func() {
		h.clear() // what runs keeps it busy
		if err := syscall.Unmount(dir, 0); err != nil {
			h.t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// fill writes a file until the disk is full.
func (h *house) fill(name string) string {
	h.t.Helper()
	f, err := os.Create(filepath.Join(h.dir, name))
	h.must(err)
	page := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		h.t.Fatal(err)
	}
	h.must(f.Close())
	return f.Name()
}
