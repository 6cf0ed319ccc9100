package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// plansNothing fails the test if a person's plan has anything to change.
func (h *house) plansNothing() {
	h.t.Helper()
	out, code := h.run(h.terraform, "plan", "-no-color", "-detailed-exitcode", "-lock-timeout=1m")
	if code != 0 {
		h.t.Errorf("terraform plan: exit %d, want 0: nothing to change\n%s", code, out)
	}
}

// nothingIsLeft fails the test if something of a cell outlived its destruction:
// in Consul, among the processes, in the state, or in the folders of cells.
func (h *house) nothingIsLeft() {
	h.t.Helper()
	h.await("something is left", func(ctx context.Context) error {
		members, err := h.fleet.Members(ctx, "pod")
		if err != nil {
			return err
		}
		state, err := h.stateCells()
		if err != nil {
			return err
		}
		folders, err := filepath.Glob(filepath.Join(h.dir, "cells", "pod", "*"))
		if err != nil {
			return err
		}
		folders = slices.DeleteFunc(folders, func(f string) bool {
			info, err := os.Stat(f)
			return err == nil && !info.IsDir() // a lock is a file that stays
		})
		if processes := h.sidecars(); len(members)+len(state)+len(folders)+len(processes) > 0 {
			return fmt.Errorf("members %v, state %v, folders %v, processes %v", members, state, folders, processes)
		}
		return nil
	})
}
