package birth

import (
	"errors"
	"fmt"
)

// Condition says what runs of a cell.
type Condition string

// The conditions of a cell.
const (
	// Alive: its first process runs.
	Alive Condition = "alive"
	// Dead: its first process has ended, and others of its processes run on.
	Dead Condition = "dead"
	// Gone: nothing of it runs.
	Gone Condition = "gone"
)

// Sight is what was seen of a cell at one instant.
type Sight struct {
	Condition Condition
	// Record is nil when the host knows no such cell.
	Record *Record
	// Left is how many of its processes run.
	Left int
}

// Look says what runs of a cell, without its lock. A cell that was born on
// another host is an *ElsewhereError, never gone.
func (p *Processes) Look(service, name string) (Sight, error) {
	if err := errors.Join(CheckName("service", service), CheckName("name", name)); err != nil {
		return Sight{}, err
	}
	r, err := readRecord(p.Folder(service, name))
	if err != nil {
		return Sight{}, err
	}
	if r == nil {
		return Sight{Condition: Gone}, nil
	}
	return p.lookAt(*r)
}

func (p *Processes) lookAt(r Record) (Sight, error) {
	sight := Sight{Condition: Gone, Record: &r}
	sameBoot, err := p.host.sees(r.cell(), r.Host)
	if err != nil || !sameBoot {
		return sight, err
	}
	found, err := newHunt(r).sweep()
	if err != nil {
		return Sight{}, fmt.Errorf("look for the processes of cell %s: %w", r.cell(), err)
	}
	if sight.Left = len(found); sight.Left == 0 {
		return sight, nil
	}
	sight.Condition = Dead
	leader, err := findLeader(r)
	if err == nil && leader != (identity{}) {
		sight.Condition = Alive
	}
	return sight, err
}

// Stray reports whether processes run here that carry the mark of a cell's
// id, whether or not this host has a record of it.
func (p *Processes) Stray(id string) (bool, error) {
	all, err := processes()
	if err != nil {
		return false, err
	}
	for _, process := range all {
		if readMark(process.PID).ID == id {
			return true, nil
		}
	}
	return false, nil
}
