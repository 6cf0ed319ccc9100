package contest

import (
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Candidate is a law at one setting.
type Candidate struct {
	Name string
	// Peer says that it isn't ours, Default that it is a peer's default.
	Peer, Default bool
	// Law makes it for a row.
	Law func(Row) simulate.Entry
}

// Ours is our law under one policy for all rows.
func Ours(name string, cfg balance.Config) Candidate {
	entry := simulate.Ours(name, cfg)
	return Candidate{Name: name, Law: func(Row) simulate.Entry { return entry }}
}

func peer(isDefault bool, entry simulate.Entry) Candidate {
	return Candidate{Name: entry.Name, Peer: true, Default: isDefault, Law: func(Row) simulate.Entry { return entry }}
}

// Peers are the other laws, each at its defaults and over its main setting.
// Which of them count as defaults is part of the contest's rules.
func Peers() []Candidate {
	all := ofPods(simulate.HPA, simulate.KEDA)
	for _, target := range []float64{0.5, 0.6, 0.7, 0.8} {
		all = append(all, peer(target == 0.7, simulate.NomadTarget(target)))
	}
	all = append(all,
		peer(true, simulate.NomadThreshold(0.3, 0.7, 1, 1)),
		peer(true, simulate.NomadThreshold(0.5, 0.8, 0.1, 1)))
	for _, target := range []float64{0.5, 0.6, 0.7, 0.8} {
		all = append(all, peer(target == 0.7, simulate.Flink(target, 5*time.Minute)), peer(false, simulate.Flink(target, 0)))
	}
	return append(all, Candidate{
		Name: "static at the peak", Peer: true, Default: true,
		Law: func(r Row) simulate.Entry {
			return simulate.Static(fmt.Sprintf("static %d", r.Cells), r.Cells)
		},
	})
}

// PlainPeers are the plain copies of those peers that have one.
func PlainPeers() []Candidate { return ofPods(simulate.PlainHPA, simulate.PlainKEDA) }

// ofPods are the autoscaler of pods and the one built on it, over their settings.
func ofPods(hpa, keda func(setting float64) simulate.Entry) []Candidate {
	var all []Candidate
	for _, target := range []float64{0.5, 0.6, 0.7, 0.8, 0.85} {
		all = append(all, peer(target == 0.7, hpa(target)))
	}
	for _, lag := range []float64{10, 100, 1000} {
		all = append(all, peer(lag != 100, keda(lag)))
	}
	return all
}
