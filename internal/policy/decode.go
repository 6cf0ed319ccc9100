package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// decoder fills the structs of a policy and remembers where each value stood,
// so that checks made afterwards can point at it.
type decoder struct {
	diags hcl.Diagnostics
	// ranges holds, by the pointer to a field or struct, where its value or
	// block stands in the file.
	ranges map[any]hcl.Range
	// names holds what a field is called for a person: service "a", upper.
	names map[any]string
	// bad holds the fields that could not be read: nothing more is said of
	// them.
	bad map[any]bool
}

func newDecoder() *decoder {
	return &decoder{ranges: map[any]hcl.Range{}, names: map[any]string{}, bad: map[any]bool{}}
}

// policy decodes the file's body.
func (d *decoder) policy(body hcl.Body, p *Policy) {
	d.body(body, reflect.ValueOf(p).Elem(), "the policy")
}

// body decodes the content of one block, or of the file, into a struct.
func (d *decoder) body(body hcl.Body, into reflect.Value, where string) {
	t := into.Type()
	fields := fieldsOf(t)
	setDefaults(into)
	content, diags := body.Content(schemaOf(fields))
	d.explain(diags, t)
	confused := diags.HasErrors()
	missing := body.MissingItemRange()
	d.ranges[into.Addr().Interface()] = missing
	d.names[into.Addr().Interface()] = where
	for _, f := range fields {
		v := into.Field(f.index)
		switch {
		case f.label:
		case f.block() != nil:
			// A block whose name or label is wrong has been told of already.
			f.required = f.required && !confused
			d.blocks(content.Blocks.OfType(f.name), f, v, where, missing)
		default:
			d.attribute(content.Attributes, f, v, where, missing)
		}
	}
}

// schemaOf tells HCL the names of a struct's fields.
func schemaOf(fields []field) *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, f := range fields {
		switch b := f.block(); {
		case f.label:
		case b != nil && f.typ.Kind() == reflect.Slice:
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: f.name, LabelNames: []string{"name"}})
		case b != nil:
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: f.name})
		default:
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: f.name})
			if f.or != "" {
				schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: f.or})
			}
		}
	}
	return schema
}

// setDefaults fills a struct, and the structs in it, with the defaults.
func setDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		switch {
		case f.def != "":
			v.Field(f.index).Set(parseDefault(f.def, f.typ))
		case f.block() != nil && f.typ.Kind() == reflect.Struct:
			setDefaults(v.Field(f.index))
		}
	}
}

// blocks decodes the blocks of one name: at most one of them, or, where each
// has a label, any number.
func (d *decoder) blocks(blocks hcl.Blocks, f field, v reflect.Value, where string, missing hcl.Range) {
	if len(blocks) == 0 {
		if v.CanAddr() && f.typ.Kind() == reflect.Struct {
			d.name(v, inside(where, f.name), missing)
		}
		if f.required {
			d.add("Missing block", missing, "There is no block %s in %s. Add one; docs/policy.md lists its fields.", f.name, where)
			d.bad[v.Addr().Interface()] = true
		}
		return
	}
	for i, block := range blocks {
		if i > 0 && f.typ.Kind() != reflect.Slice {
			d.add("Block written twice", block.DefRange, "There is a block %s in %s already, at line %d. Make one of the two.",
				f.name, where, blocks[0].DefRange.Start.Line)
			return
		}
		d.block(block, f, v, where)
	}
}

func (d *decoder) block(block *hcl.Block, f field, v reflect.Value, where string) {
	target := v
	if f.typ.Kind() != reflect.Struct {
		target = reflect.New(f.block()).Elem()
	}
	if f.typ.Kind() == reflect.Slice {
		where = inside(where, fmt.Sprintf("%s %q", f.name, block.Labels[0]))
		target.FieldByName("Name").SetString(block.Labels[0])
		v.Set(reflect.Append(v, target.Addr()))
		d.ranges[target.FieldByName("Name").Addr().Interface()] = block.LabelRanges[0]
	} else {
		where = inside(where, f.name)
		if f.typ.Kind() == reflect.Pointer {
			v.Set(target.Addr())
		}
	}
	d.body(block.Body, target, where)
	d.ranges[target.Addr().Interface()] = block.DefRange
}

// name remembers where a block that isn't written would stand.
func (d *decoder) name(v reflect.Value, where string, at hcl.Range) {
	d.names[v.Addr().Interface()] = where
	d.ranges[v.Addr().Interface()] = at
}

// attribute decodes one attribute. Not written, it keeps its default.
func (d *decoder) attribute(attrs hcl.Attributes, f field, v reflect.Value, where string, missing hcl.Range) {
	key := v.Addr().Interface()
	d.names[key] = fmt.Sprintf("%s of %s", f.name, where)
	attr, name, typ := attrs[f.name], f.name, f.typ
	if other := attrs[f.or]; f.or != "" && other != nil {
		if attr != nil {
			d.add("Written twice", other.NameRange, "%s and %s say the same. Keep one of them.", f.or, f.name)
			return
		}
		attr, name, typ = other, f.or, f.typ.Elem()
	}
	if attr == nil {
		if f.required {
			d.add("Missing value", missing, "There is no %s in %s. Add the line %s = %s.", f.name, where, f.name, sample(f.typ))
			d.bad[key] = true
		}
		return
	}
	d.ranges[key] = attr.Expr.Range()
	if odd := computed(attr.Expr); odd != nil {
		d.bad[key] = true
		d.diags = append(d.diags, notPlain(odd.Range()))
		return
	}
	value, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		d.bad[key] = true
		d.diags = append(d.diags, diags...)
		return
	}
	converted, err := convert(value, typ)
	if err != nil {
		d.bad[key] = true
		d.add("Wrong kind of value", attr.Expr.Range(), "%s of %s %v.", name, where, err)
		return
	}
	if typ != f.typ {
		converted = reflect.Append(reflect.MakeSlice(f.typ, 0, 1), converted)
	}
	v.Set(converted)
	d.limits(f, v, fmt.Sprintf("%s of %s", name, where), attr.Expr.Range())
}

// limits checks a value against the bounds and choices of its tags.
func (d *decoder) limits(f field, v reflect.Value, name string, at hcl.Range) {
	for _, n := range numbers(v) {
		if !f.within.holds(n) {
			d.bad[v.Addr().Interface()] = true
			d.add("Out of bounds", at, "%s must be %s.", name, f.within)
			return
		}
	}
	if f.one != nil && !slices.Contains(f.one, v.String()) {
		d.bad[v.Addr().Interface()] = true
		d.add("No such choice", at, "%s is one of: %s. It can't be %q.", name, quoted(f.one), v.String())
	}
	if f.required && f.typ.Kind() == reflect.String && v.String() == "" {
		d.bad[v.Addr().Interface()] = true
		d.add("Empty value", at, "%s must not be empty.", name)
	}
}

// numbers returns what an interval bounds: durations in seconds.
func numbers(v reflect.Value) []float64 {
	switch x := v.Interface().(type) {
	case time.Duration:
		return []float64{x.Seconds()}
	case []time.Duration:
		var ns []float64
		for _, e := range x {
			ns = append(ns, e.Seconds())
		}
		return ns
	case int:
		return []float64{float64(x)}
	case float64:
		return []float64{x}
	default:
		return nil
	}
}

// explain adds to HCL's own words on unknown names what can be said of this
// language.
func (d *decoder) explain(diags hcl.Diagnostics, t reflect.Type) {
	for _, diag := range diags {
		name := between(diag.Detail, `named "`, `"`) + between(diag.Detail, `of type "`, `"`)
		if secretHints[name] != "" {
			diag.Extra = hidden{from: diag.Subject.End.Byte}
		}
		if name != "" && !strings.Contains(diag.Detail, "Did you mean") {
			diag.Detail += " " + hint(t, name)
		}
		d.diags = append(d.diags, diag)
	}
}

// secretHints answers who wrote a secret into the policy.
var secretHints = map[string]string{
	"token": "A policy holds no secrets: name the file that holds it with token_file, or set CONSUL_HTTP_TOKEN in the environment.",
	"key":   "A policy holds no secrets: name the file that holds it with key_file.",
	"password": "A policy holds no secrets: name the environment variable or the file that holds it with password_env " +
		"or password_file.",
}

// hint says what to do with a name that is not known in a block.
func hint(t reflect.Type, name string) string {
	if at, ok := secretHints[name]; ok {
		return at
	}
	if at := home(t, name); at != "" {
		return fmt.Sprintf("It belongs in the block %s.", at)
	}
	if at := home(reflect.TypeFor[Policy](), name); at != "" {
		return fmt.Sprintf("It belongs in the block %s.", at)
	}
	var known []string
	for _, f := range fieldsOf(t) {
		if !f.label {
			known = append(known, f.name)
		}
	}
	return fmt.Sprintf("Known here: %s.", strings.Join(known, ", "))
}

// written tells whether the field was in the file.
func (d *decoder) written(ptr any) bool {
	_, ok := d.ranges[ptr]
	return ok
}

// sound tells whether all the fields could be read. What can't be is not
// compared with anything.
func (d *decoder) sound(ptrs ...any) bool {
	return !slices.ContainsFunc(ptrs, func(ptr any) bool { return d.bad[ptr] })
}

// at returns where the first of the fields or blocks stands that was written.
func (d *decoder) at(ptrs ...any) hcl.Range {
	for _, ptr := range ptrs {
		if r, ok := d.ranges[ptr]; ok {
			return r
		}
	}
	return hcl.Range{}
}

// refuse records an error about one field. The detail begins with the field's
// name: topic of kafka_lag in service "crawler" ...
func (d *decoder) refuse(summary string, ptr any, format string, args ...any) {
	if d.bad[ptr] {
		return
	}
	d.bad[ptr] = true
	d.add(summary, d.at(ptr), "%s %s", d.names[ptr], fmt.Sprintf(format, args...))
}

// add records an error.
func (d *decoder) add(summary string, at hcl.Range, format string, args ...any) {
	d.diags = append(d.diags, problem(summary, at, format, args...))
}

func inside(where, name string) string {
	if where == "the policy" {
		return name
	}
	return name + " in " + where
}

func quoted(list []string) string {
	var q []string
	for _, s := range list {
		q = append(q, fmt.Sprintf("%q", s))
	}
	return strings.Join(q, ", ")
}

// between returns what stands between two texts in s, empty if they aren't
// there.
func between(s, before, after string) string {
	_, rest, ok := strings.Cut(s, before)
	if !ok {
		return ""
	}
	found, _, _ := strings.Cut(rest, after)
	return found
}
