package birth

import (
	"os"
	"slices"
)

// hunt finds every process of one life of a cell, again and again until none
// is left. A process is the cell's when it carries the cell's mark, when its
// parent is the cell's, or when it is in a session that the cell began; unless
// it carries the mark of another cell, as the newborn of a leader does.
//
// What was found once stays known through the hunt, since a process whose
// parent has died shows no more whose child it was.
type hunt struct {
	id     string
	leader identity
	known  map[identity]bool
	// sessions maps the id of each session that the cell began to the start
	// time of the process that began it.
	sessions map[int]uint64
	// list and mark read /proc.
	list func() ([]process, error)
	mark func(pid int) mark
}

func newHunt(r Record) *hunt {
	return &hunt{
		id: r.ID(), leader: r.leader(), known: map[identity]bool{}, sessions: map[int]uint64{},
		list: processes, mark: readMark,
	}
}

// quietLooks is how many sweeps in a row must find nothing. A process that is
// just becoming another program shows no environment for an instant, and one
// that begins while /proc is listed isn't on the list.
const quietLooks = 3

// sweep goes through all processes once and returns the cell's, the oldest first.
func (h *hunt) sweep() ([]process, error) {
	all, err := h.list()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b process) int {
		return cmpIdentity(a.identity, b.identity)
	})
	marks := make(map[int]mark, len(all))
	for _, p := range all {
		marks[p.PID] = h.mark(p.PID)
	}
	orphaned := !slices.ContainsFunc(all, func(p process) bool { return p.PID == h.leader.PID })
	ours := map[int]bool{}
	// A child may have a lower id than its parent when ids begin anew, so this
	// goes on until nothing is added.
	for added := true; added; {
		added = false
		for _, p := range all {
			if !ours[p.PID] && h.owns(p, marks[p.PID], ours, orphaned) {
				ours[p.PID], added = true, true
				h.remember(p)
			}
		}
	}
	return slices.DeleteFunc(all, func(p process) bool { return !ours[p.PID] }), nil
}

func (h *hunt) owns(p process, m mark, ours map[int]bool, orphaned bool) bool {
	if m.ID != "" {
		return m.ID == h.id
	}
	if h.known[p.identity] || p.identity == h.leader || ours[p.Parent] {
		return true
	}
	if began, ok := h.sessions[p.Session]; ok && p.Started >= began {
		return true
	}
	// The session of a first process that is no more: its number may have been
	// given to somebody else since, whose environment then is a whole one.
	return orphaned && h.leader.PID > 0 && p.Session == h.leader.PID && p.Started >= h.leader.Started && !m.Intact
}

func (h *hunt) remember(p process) {
	h.known[p.identity] = true
	if p.Session == p.PID {
		h.sessions[p.PID] = p.Started
	}
}

// includesSelf reports whether this very program is one of the cell's.
func includesSelf(found []process) bool {
	return slices.ContainsFunc(found, func(p process) bool { return p.PID == os.Getpid() })
}

func cmpIdentity(a, b identity) int {
	switch {
	case a.Started != b.Started:
		if a.Started < b.Started {
			return -1
		}
		return 1
	default:
		return a.PID - b.PID
	}
}
