package act

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// MoveCells moves cells from the state of one shard to that of another. Nothing of a
// cell is touched: what one state said of it the other says afterwards, word for word.
//
// The cells are written into the second state before they are taken out of the
// first, so that a cut leaves them in both and never in none; called again it goes on
// from there. Each state is written under its lock, and only if it is the one that
// was read: that is looked at just before, and Terraform refuses a state whose serial
// isn't the next one. Only where there was no state at all it takes any, and another's
// write in the instant between the look and ours is lost. prove is asked before each
// state is written, whether that may still be done. What both were before is kept in
// backup, readable by its owner alone, as a state may hold secrets.
//
// Where it fails, begun is whether the second state may hold any of the cells: if it
// doesn't, nothing was moved.
func MoveCells(ctx context.Context, from, to *Root, s guard.Shape, names []string, backup string, prove func(context.Context) error) (begun bool, err error) {
	keys := make(map[guard.Key]bool, len(names))
	for _, n := range names {
		keys[guard.Key(n)] = true
	}
	source, err := from.pull(ctx, backup)
	if err != nil {
		return false, err
	}
	target, err := to.pull(ctx, backup)
	if err != nil {
		return false, err
	}
	target.begin(source)
	taken := source.take(s, keys)
	added, err := target.add(taken)
	begun = added < len(taken) // the others are there since it was cut
	if err != nil {
		return begun, fmt.Errorf("move cells from %s to %s: %w", from.shardName(), to.shardName(), err)
	}
	if added > 0 {
		if err := from.locks(ctx, addressOf(taken[0].resource, taken[0].content)); err != nil {
			return begun, err
		}
		pushed, err := to.write(ctx, target, prove)
		if begun = begun || pushed; err != nil {
			return begun, err
		}
	}
	if len(taken) > 0 {
		_, err = from.write(ctx, source, prove)
	}
	return true, err
}

// locks takes the lock of the state, and gives it back: one that somebody else holds would
// leave a move half done. Terraform takes it even where it only says what it would remove.
func (r *Root) locks(ctx context.Context, address string) error {
	return r.run(ctx, "state rm -dry-run", func(ctx context.Context, tf *tfexec.Terraform) error {
		return tf.StateRm(ctx, address, tfexec.DryRun(true), tfexec.Lock(true), tfexec.LockTimeout(r.cfg.LockTimeout.String()))
	})
}

// write writes the state if that may still be done and it is the one that was read. It
// reports whether it may be written: what isn't known of a Terraform that failed, but
// for one that didn't get the lock.
func (r *Root) write(ctx context.Context, state *stateFile, prove func(context.Context) error) (pushed bool, err error) {
	if err := prove(ctx); err != nil {
		return false, fmt.Errorf("write the state of %s: %w", r.shardName(), err)
	}
	now, err := r.readText(ctx)
	if err != nil {
		return false, err
	}
	if !sameState(now, state.read) {
		return false, fmt.Errorf("the state of %s was written by another while cells were moved, and is left as it is: %w", r.shardName(), ErrBackend)
	}
	err = r.push(ctx, state)
	var locked *LockedError
	return !errors.As(err, &locked), err
}

// readText reads the state as Terraform gives it; nothing where there is none.
func (r *Root) readText(ctx context.Context) (text string, err error) {
	err = r.run(ctx, "state pull", func(ctx context.Context, tf *tfexec.Terraform) (err error) {
		text, err = tf.StatePull(ctx)
		return err
	})
	return text, err
}

func (r *Root) shardName() string {
	if r.cfg.Workspace == "" {
		return "workspace default"
	}
	return "workspace " + r.cfg.Workspace
}

// stateFile is a state in Terraform's own format, version 4, of which only the
// resources are looked into.
type stateFile struct {
	read      string // as it was read
	fields    map[string]json.RawMessage
	resources []stateResource
}

type stateResource struct {
	fields    map[string]json.RawMessage
	instances []json.RawMessage
}

// instance is one instance of a resource with the fields that it belongs to.
type instance struct {
	resource map[string]json.RawMessage
	content  json.RawMessage
}

// pull reads the state, and keeps a copy of it in a folder.
func (r *Root) pull(ctx context.Context, backup string) (*stateFile, error) {
	text, err := r.readText(ctx)
	if err != nil {
		return nil, err
	}
	state, err := readState([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", r.shardName(), err)
	}
	if len(state.fields) == 0 {
		return state, nil // there is none yet
	}
	if err := os.MkdirAll(backup, 0o700); err != nil {
		return nil, fmt.Errorf("keep the state as it was: %w", err)
	}
	name := fmt.Sprintf("%s-%s-%s.tfstate", strings.TrimPrefix(r.shardName(), "workspace "), lineage(state), state.fields["serial"])
	if err := replace(filepath.Join(backup, name), []byte(text)); err != nil {
		return nil, fmt.Errorf("keep the state as it was: %w", err)
	}
	return state, nil
}

func lineage(s *stateFile) string {
	return strings.Trim(string(s.fields["lineage"]), `"`)
}

// push writes the state, with the serial that follows the one that was read.
func (r *Root) push(ctx context.Context, state *stateFile) error {
	content, err := state.next()
	if err != nil {
		return fmt.Errorf("write the state of %s: %w", r.shardName(), err)
	}
	dir, err := r.scratch()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "state")
	err = os.WriteFile(path, content, 0o600)
	if err == nil {
		err = r.run(ctx, "state push", func(ctx context.Context, tf *tfexec.Terraform) error {
			return tf.StatePush(ctx, path, tfexec.Lock(true), tfexec.LockTimeout(r.cfg.LockTimeout.String()))
		})
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// readState takes a state apart; nothing at all is a state that isn't there yet.
func readState(text []byte) (*stateFile, error) {
	s := &stateFile{read: string(text), fields: map[string]json.RawMessage{}}
	if len(bytes.TrimSpace(text)) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(text, &s.fields); err != nil {
		return nil, err
	}
	if version := string(s.fields["version"]); version != "4" {
		return nil, fmt.Errorf("its format is version %s, and 4 is known here: %w", version, ErrBackend)
	}
	var resources []map[string]json.RawMessage
	if err := json.Unmarshal(s.fields["resources"], &resources); err != nil {
		return nil, err
	}
	for _, fields := range resources {
		r := stateResource{fields: fields}
		if err := json.Unmarshal(fields["instances"], &r.instances); err != nil {
			return nil, err
		}
		s.resources = append(s.resources, r)
	}
	return s, nil
}

// begin makes a state that isn't there yet.
func (s *stateFile) begin(like *stateFile) {
	if len(s.fields) > 0 {
		return
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // crypto/rand's reader never fails
	s.fields = map[string]json.RawMessage{
		"version": json.RawMessage("4"), "terraform_version": like.fields["terraform_version"],
		"serial": json.RawMessage("0"), "outputs": json.RawMessage("{}"), "check_results": json.RawMessage("null"),
		"lineage": json.RawMessage(fmt.Sprintf(`"%x-%x-%x-%x-%x"`, id[:4], id[4:6], id[6:8], id[8:10], id[10:])),
	}
}

// next writes the state with the next serial.
func (s *stateFile) next() ([]byte, error) {
	serial, err := strconv.ParseUint(string(s.fields["serial"]), 10, 64)
	if err != nil {
		return nil, err
	}
	s.fields["serial"] = json.RawMessage(strconv.FormatUint(serial+1, 10))
	resources := make([]map[string]json.RawMessage, 0, len(s.resources))
	for _, r := range s.resources {
		if len(r.instances) == 0 {
			continue
		}
		if r.fields["instances"], err = json.Marshal(r.instances); err != nil {
			return nil, err
		}
		resources = append(resources, r.fields)
	}
	if s.fields["resources"], err = json.Marshal(resources); err != nil {
		return nil, err
	}
	return json.Marshal(s.fields)
}

// take removes the cells from the state and returns what it said of them.
func (s *stateFile) take(shape guard.Shape, keys map[guard.Key]bool) (taken []instance) {
	for i := range s.resources {
		r := &s.resources[i]
		r.instances = slices.DeleteFunc(r.instances, func(content json.RawMessage) bool {
			key, cell := shape.CellKey(addressOf(r.fields, content))
			if !cell || !keys[key] {
				return false
			}
			taken = append(taken, instance{r.fields, slices.Clone(content)})
			return true
		})
	}
	return taken
}

// add puts instances into the state. One that is there already must be the same: it
// was put there before the move was cut.
func (s *stateFile) add(taken []instance) (added int, err error) {
	at := map[string]int{}
	for i, r := range s.resources {
		at[resourceKey(r.fields)] = i
	}
	for _, t := range taken {
		key := resourceKey(t.resource)
		i, known := at[key]
		if !known {
			fields := map[string]json.RawMessage{}
			for k, v := range t.resource {
				if k != "instances" {
					fields[k] = v
				}
			}
			i = len(s.resources)
			s.resources, at[key] = append(s.resources, stateResource{fields: fields}), i
		}
		r := &s.resources[i]
		same := slices.IndexFunc(r.instances, func(c json.RawMessage) bool { return instanceKey(c) == instanceKey(t.content) })
		switch {
		case same < 0:
			r.instances = append(r.instances, t.content)
			added++
		case !equalJSON(r.instances[same], t.content):
			return added, fmt.Errorf("%s is in both states and differs: take it out of the one that is wrong with terraform state rm: %w", addressOf(t.resource, t.content), ErrBackend)
		}
	}
	return added, nil
}

// sameState compares two texts of a state. Terraform gives what checks have found in another
// order each time, and they are found anew by each plan.
func sameState(a, b string) bool {
	if strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" {
		return strings.TrimSpace(a) == strings.TrimSpace(b)
	}
	var one, other map[string]json.RawMessage
	if json.Unmarshal([]byte(a), &one) != nil || json.Unmarshal([]byte(b), &other) != nil {
		return false
	}
	delete(one, "check_results")
	delete(other, "check_results")
	return maps.EqualFunc(one, other, equalJSON)
}

// equalJSON compares two values by what they say.
func equalJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	m, errA := json.Marshal(x)
	n, errB := json.Marshal(y)
	return errA == nil && errB == nil && bytes.Equal(m, n)
}

// resourceKey tells resources of a state apart.
func resourceKey(fields map[string]json.RawMessage) string {
	var b strings.Builder
	for _, name := range []string{"module", "mode", "type", "name"} {
		b.Write(fields[name])
		b.WriteByte('\n')
	}
	return b.String()
}

// instanceKey tells instances of a resource apart: by index, and by whether it is an
// old object left over from a replacement.
func instanceKey(content json.RawMessage) string {
	var i struct {
		Index   json.RawMessage `json:"index_key"`
		Deposed string          `json:"deposed"`
	}
	if err := json.Unmarshal(content, &i); err != nil {
		return string(content)
	}
	return string(i.Index) + "\n" + i.Deposed
}

// addressOf is an instance's address.
func addressOf(fields map[string]json.RawMessage, content json.RawMessage) string {
	text := func(name string) (s string) {
		_ = json.Unmarshal(fields[name], &s) // one that is absent is empty
		return s
	}
	var i struct {
		Index json.RawMessage `json:"index_key"`
	}
	_ = json.Unmarshal(content, &i) // without an index there is none in the address
	address := text("type") + "." + text("name")
	if text("mode") == "data" {
		address = "data." + address
	}
	if module := text("module"); module != "" {
		address = module + "." + address
	}
	if len(i.Index) > 0 {
		address += "[" + string(i.Index) + "]"
	}
	return address
}
