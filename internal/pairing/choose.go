package pairing

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Candidate is a cell that may become a partner.
type Candidate struct {
	Name, Address string
	// Room is what it has left by its own bounds, 0 to 1.
	Room reading.Reading
	// Pairs is how many cells are paired with it, Young how many of them so
	// lately that Room may not show it yet.
	Pairs, Young int
	// Spared is one whose health is warning: it is slow, and to be spared.
	Spared bool
}

// Settling is how long a pair counts as young: an application has opened its
// connections by then, and they have been counted.
const Settling = time.Minute

// ErrNobody says that there is no cell to be paired with.
var ErrNobody = errors.New("no cell takes work")

// Choose picks the candidate with the most room. Cells that are born together
// don't see in the room what each of them will take of it, so the room is
// divided among the young: the candidate with the largest room/(young+1) is
// taken, by which a number of newcomers spread in proportion to the room there
// is (the method of greatest divisors, after D'Hondt and Jefferson). Of equals
// the one with the fewest pairs is taken, then the first by name.
//
// A candidate whose room isn't known comes after those that have some, one that is
// to be spared after these, and last those that have none; where no room is known
// the pairs decide.
func Choose(all []Candidate) (Candidate, error) {
	if len(all) == 0 {
		return Candidate{}, ErrNobody
	}
	return slices.MinFunc(all, func(a, b Candidate) int {
		return cmp.Or(
			cmp.Compare(b.class(), a.class()),
			cmp.Compare(b.share(), a.share()),
			cmp.Compare(a.Pairs, b.Pairs),
			strings.Compare(a.Name, b.Name),
		)
	}), nil
}

// class is 3 with room, 2 where that isn't known, 1 for one to be spared, 0 without
// room.
func (c Candidate) class() int {
	switch {
	case c.Room.Known && c.Room.Value <= 0:
		return 0
	case c.Spared:
		return 1
	case !c.Room.Known:
		return 2
	default:
		return 3
	}
}

func (c Candidate) share() float64 {
	if !c.Room.Known {
		return 0
	}
	return c.Room.Value / float64(c.Young+1)
}
