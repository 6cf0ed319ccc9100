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

// copies are the laws of which there are two: whole, and plain.
type copies struct {
	hpa, keda, nomad func(setting float64) simulate.Entry
	flink            func(target float64, restart time.Duration) simulate.Entry
}

// Peers are the other laws, each at its defaults and over its main setting.
// Which of them count as defaults is part of the contest's rules.
func Peers() []Candidate {
	return peers(copies{simulate.HPA, simulate.KEDA, simulate.NomadTarget, simulate.Flink})
}

// PlainPeers are Peers with the plain copies in the place of the whole ones: the
// opponents of the published figures, as it seems.
func PlainPeers() []Candidate {
	return peers(copies{simulate.PlainHPA, simulate.PlainKEDA, simulate.PlainNomadTarget, simulate.PlainFlink})
}

func peers(of copies) []Candidate {
	var all []Candidate
	for _, target := range []float64{0.5, 0.6, 0.7, 0.8, 0.85} {
		all = append(all, peer(target == 0.7, of.hpa(target)))
	}
	for _, lag := range []float64{10, 100, 1000} {
		all = append(all, peer(lag != 100, of.keda(lag)))
	}
	for _, target := range []float64{0.5, 0.6, 0.7, 0.8} {
		all = append(all, peer(target == 0.7, of.nomad(target)))
	}
	all = append(all,
		peer(true, simulate.NomadThreshold(0.3, 0.7, 1, 1)),
		peer(true, simulate.NomadThreshold(0.5, 0.8, 0.1, 1)))
	for _, target := range []float64{0.5, 0.6, 0.7, 0.8} {
		all = append(all, peer(target == 0.7, of.flink(target, 5*time.Minute)), peer(false, of.flink(target, 0)))
	}
	return append(all, Candidate{
		Name: "static at the peak", Peer: true, Default: true,
		Law: func(r Row) simulate.Entry {
			return simulate.Static(fmt.Sprintf("static %d", r.Cells), r.Cells)
		},
	})
}
