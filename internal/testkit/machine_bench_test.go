package testkit

import (
	"sync"
	"testing"
)

// BenchmarkMachineBoot measures from power to sshd, from power to all that a
// machine starts with its user data run, and four machines at once.
func BenchmarkMachineBoot(b *testing.B) {
	for _, c := range []struct {
		name  string
		spec  MachineSpec
		count int
	}{
		{"sshd", MachineSpec{}, 1},
		{"userdata", MachineSpec{UserData: "#!/bin/sh\nexit 0\n", Booted: true}, 1},
		{"four", MachineSpec{}, 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := MachinesFor(b, c.count)
			for b.Loop() {
				var boots sync.WaitGroup
				for range c.count {
					boots.Go(func() {
						if _, err := n.StartMachine(b.Context(), c.spec); err != nil {
							b.Error(err)
						}
					})
				}
				boots.Wait()
				b.StopTimer()
				for _, m := range n.present() {
					if err := m.Close(); err != nil {
						b.Error(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}
