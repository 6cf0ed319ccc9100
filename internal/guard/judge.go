package guard

import (
	"fmt"
	"slices"
	"strings"
)

// Judge judges the changes of a plan's JSON stream. The stream leaves out what
// does nothing and does not tell deposed objects from living ones; where that
// matters the verdict asks for the whole plan.
func Judge(s Shape, o Order, changes []Change, l Limits) Verdict {
	return judge(s, o, changes, l, false)
}

// JudgeFull judges the changes of a whole plan, as FromPlan lists them.
func JudgeFull(s Shape, o Order, changes []Change, l Limits) Verdict {
	return judge(s, o, changes, l, true)
}

// CheckPatterns reports what in Limits.MayChange is no address.
func CheckPatterns(mayChange []string) error {
	_, err := compilePatterns(mayChange)
	return err
}

func compilePatterns(texts []string) ([]address, error) {
	var list []address
	for _, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func judge(s Shape, o Order, changes []Change, l Limits, full bool) Verdict {
	j, err := newJudgement(s, o, l, full)
	if err != nil {
		v := Verdict{Refused: []Refusal{{Why: err.Error()}}}
		v.settle()
		return v
	}
	j.sort(changes)
	j.findLost()
	for _, c := range j.planned {
		j.change(c)
	}
	j.cells()
	j.v.Targets = j.targets(s)
	if l.Destroys > 0 && j.v.Destroys > l.Destroys {
		j.v.refuse("", kindDelete, "", "the plan would destroy %d, more than the %d that one apply may", j.v.Destroys, l.Destroys)
	}
	j.v.settle()
	return j.v
}

// judgement is the work on one plan.
type judgement struct {
	m         *matcher
	order     Order
	roles     map[Key]role
	mayChange []address
	full      bool
	v         Verdict

	planned   []parsed
	drifted   map[string]string         // address -> kind of drift
	done      map[Key]map[string]string // cell -> address -> kind of what happens to it
	destroyed map[Key]bool              // cells that lose something still there
	lost      map[Key]bool              // kept cells that are lost
}

// parsed is a change with its address taken apart.
type parsed struct {
	Change
	at   address
	cell Key
	part part
	kind string
}

func newJudgement(s Shape, o Order, l Limits, full bool) (*judgement, error) {
	m, err := s.compile()
	if err != nil {
		return nil, fmt.Errorf("the shape of an order can't be read: %w", err)
	}
	if len(m.patterns) == 0 {
		return nil, fmt.Errorf("the shape of an order is not known yet: learn it before judging a plan")
	}
	roles, err := o.roles()
	if err != nil {
		return nil, err
	}
	may, err := compilePatterns(l.MayChange)
	if err != nil {
		return nil, err
	}
	return &judgement{
		m: m, order: o, roles: roles, mayChange: may, full: full,
		drifted: make(map[string]string), done: make(map[Key]map[string]string), destroyed: make(map[Key]bool),
		lost: make(map[Key]bool),
	}, nil
}

// sort parses the changes and sets drift apart; what can't be read is refused.
func (j *judgement) sort(changes []Change) {
	seen := make(map[string]bool)
	for _, c := range inOrder(changes) {
		a, err := parseAddress(c.Address)
		if err != nil {
			if !c.Drift {
				j.v.refuse(c.Address, c.kind(), "", "its address can't be read: %v", err)
			}
			continue
		}
		text := a.String()
		if c.Drift {
			if c.Deposed == "" {
				j.drifted[text] = c.kind()
			}
			continue
		}
		p := parsed{Change: c, at: a, kind: c.kind()}
		p.cell, p.part = j.m.cell(a)
		if c.Deposed == "" && seen[text] {
			j.twice(p)
		}
		seen[text] = seen[text] || c.Deposed == ""
		j.planned = append(j.planned, p)
	}
}

// inOrder sorts changes by all they say, so that a verdict can't depend on the
// order in which Terraform reported them.
func inOrder(changes []Change) []Change {
	type keyed struct {
		Change
		key string
	}
	list := make([]keyed, len(changes))
	for i, c := range changes {
		list[i] = keyed{c, fmt.Sprintf("%q", []any{c})}
	}
	slices.SortStableFunc(list, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	sorted := make([]Change, len(list))
	for i := range list {
		sorted[i] = list[i].Change
	}
	return sorted
}

// twice is a second change at one address: an old object left over beside a
// living one, or nothing anyone has seen.
func (j *judgement) twice(p parsed) {
	if j.full {
		j.v.refuse(p.Address, p.kind, p.cell, "the plan changes the address twice")
		return
	}
	j.v.doubt("the stream names %s twice", p.Address)
}

// change judges one planned change.
func (j *judgement) change(c parsed) {
	if why := j.impossible(c); why != "" {
		j.v.refuse(c.Address, c.label(), c.cell, "%s", why)
		return
	}
	switch {
	case c.Mode == modeData: // read, or dropped from the state: nothing changes
	case c.Deposed != "":
		j.deposed(c)
	case c.part == learned:
		j.part(c)
	case c.kind == kindNoOp:
	case c.kind == kindUpdate && j.mayUpdate(c.at):
	case c.part == inside:
		j.v.refuse(c.Address, c.kind, c.cell, "it lies in cell %q but doesn't come and go with a cell", c.cell)
	default:
		j.foreign(c)
	}
}

// label is the action's name for a person.
func (c parsed) label() string {
	switch {
	case c.Importing:
		return "import"
	case c.kind == kindNoOp && c.moved():
		return "move"
	case c.kind == kindUnknown && len(c.Actions) > 0:
		return c.Actions[0]
	}
	return c.kind
}

// impossible says why a change may be no part of any order, or "".
func (j *judgement) impossible(c parsed) string {
	switch {
	case c.Mode != c.at.mode || c.Mode != modeManaged && c.Mode != modeData:
		return fmt.Sprintf("resources of mode %q are unknown here", c.Mode)
	case c.Importing:
		return "an import is nobody's order"
	case c.kind == kindForget:
		return "Terraform would forget the object and leave it running"
	case slices.Contains(c.Actions, "deferred"):
		return "Terraform puts it off to a later plan"
	case c.kind == kindUnknown:
		return fmt.Sprintf("the actions %q are unknown here", c.Actions)
	case c.Mode == modeData && !slices.Contains([]string{kindRead, kindNoOp, kindDelete}, c.kind):
		return "a data source can only be read"
	case c.Mode == modeManaged && c.kind == kindRead:
		return "a managed resource can't only be read"
	case c.Deposed != "" && c.kind != kindDelete:
		return "an old object left over from a replacement can only be destroyed"
	case c.moved():
		return j.moveRefused(c)
	}
	return ""
}

// moveRefused lets a move within the state pass if no cell's border is crossed:
// it renames, and what happens to the object besides is judged as ever.
func (j *judgement) moveRefused(c parsed) string {
	from, err := parseAddress(c.PreviousAddress)
	if err != nil {
		return fmt.Sprintf("its previous address can't be read: %v", err)
	}
	key, part := j.m.cell(from)
	switch {
	case c.part == outside && part == outside:
		return ""
	case c.part == outside:
		return fmt.Sprintf("it would move out of cell %q, from %s", key, c.PreviousAddress)
	case part != outside && key != c.cell:
		return fmt.Sprintf("it would move from cell %q to cell %q, from %s", key, c.cell, c.PreviousAddress)
	case part == outside && !from.holds(c.cell):
		return fmt.Sprintf("it would move into cell %q, from %s", c.cell, c.PreviousAddress)
	}
	return ""
}

// deposed judges the end of an old object: in a cell it ends a replacement
// that was already judged and got stuck, elsewhere it must be a dependent's.
func (j *judgement) deposed(c parsed) {
	d, dependent := j.m.dependents[c.at.String()]
	if c.part == learned || dependent && slices.Contains(d.Kinds, kindReplace) {
		j.v.Destroys++
		return
	}
	j.v.refuse(c.Address, c.kind, c.cell, "an old object left over from a replacement outside the cells")
}

// unexplained asks for the whole plan when the stream doesn't say why something
// is deleted: it may be an old object left over from a replacement, at the
// address of one that stays.
func (j *judgement) unexplained(c parsed) bool {
	if j.full || c.kind != kindDelete || c.Reason != "" {
		return false
	}
	j.v.doubt("the stream doesn't say why %s is deleted", c.Address)
	return true
}

func (j *judgement) mayUpdate(a address) bool {
	return slices.ContainsFunc(j.mayChange, func(p address) bool { return p.covers(a) })
}

// foreign judges a change outside the cells.
func (j *judgement) foreign(c parsed) {
	text := c.at.String()
	d, ok := j.m.dependents[text]
	if !ok {
		j.v.refuse(c.Address, c.kind, "", "it is outside the cells and doesn't change with them")
		return
	}
	if j.unexplained(c) {
		return
	}
	if why := j.dependent(d, c); why != "" {
		j.v.refuse(c.Address, c.kind, "", "%s", why)
		return
	}
	if c.kind == kindDelete {
		j.v.Destroys++
	}
	if _, drifted := j.drifted[text]; drifted && !j.full && c.kind == kindUpdate {
		j.v.doubt("%s changes with the cells and was changed by someone else too", c.Address)
	}
}

// dependent says why a dependent's change is not the order's, or "".
func (j *judgement) dependent(d Dependent, c parsed) string {
	exists := d.Edge != nil && *d.Edge < j.order.After()
	switch c.kind {
	case kindUpdate, kindReplace:
		if c.kind == kindReplace && c.tainted() && (exists || d.Edge == nil) {
			return "" // its making was cut short, as that of a cell can be
		}
		if !slices.Contains(d.Kinds, c.kind) {
			return fmt.Sprintf("it changes with the cells, but not by %s", c.kind)
		}
		if c.kind == kindUpdate && c.Attributes != nil && d.Attributes != nil {
			for _, name := range sortedKeys(c.Attributes) {
				if !slices.Contains(d.Attributes, name) {
					return fmt.Sprintf("its attribute %q doesn't change with the cells", name)
				}
			}
		}
		return ""
	case kindCreate:
		// An earlier order may have crossed the edge and failed before this was made;
		// but what somebody destroyed isn't made again by an order that crosses none.
		due := exists && (j.order.Before() <= *d.Edge || j.drifted[c.at.String()] != kindDelete)
		if due || slices.Contains(d.Kinds, kindReplace) {
			return "" // a replacement cut between its halves is finished by a creation
		}
	case kindDelete:
		if d.Edge != nil && j.order.After() <= *d.Edge {
			return ""
		}
	}
	return fmt.Sprintf("it changes with the cells, but no %s goes with this order", c.kind)
}
