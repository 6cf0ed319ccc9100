package policy

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Knob is a number of a service that others can be tried in the place of, such as
// law.price.
type Knob struct {
	// Path is the field as the policy writes it, with the blocks it is in.
	Path  string
	steps []int // indices of fields, from the service down
	field field
}

// knobBlocks are the blocks in which a name without a path is looked for, after
// the service itself. The others follow in the order in which they are declared.
var knobBlocks = []string{"law", "utilization", "limits", "birth"}

// similar suggests the number that was meant, by its path or its name alone.
func similar(all []Knob, name string) string {
	least, meant := min(3, len(name)/2+1), ""
	for _, k := range all {
		for _, known := range []string{k.Path, k.Path[strings.LastIndex(k.Path, ".")+1:]} {
			if d := levenshtein.Distance(name, known, nil); d < least {
				least, meant = d, fmt.Sprintf("; did you mean %q?", k.Path)
			}
		}
	}
	return meant
}

// FindKnob finds a number of a service by its path, or by its name alone: first
// among the service's own, then in its law, utilization, limits and birth, then
// in the other blocks.
func FindKnob(name string) (Knob, error) {
	all := Knobs()
	for _, prefix := range append([]string{""}, knobBlocks...) {
		path := name
		if prefix != "" {
			path = prefix + "." + name
		}
		for _, k := range all {
			if k.Path == path {
				return k, nil
			}
		}
	}
	for _, k := range all {
		if strings.HasSuffix(k.Path, "."+name) {
			return k, nil
		}
	}
	return Knob{}, fmt.Errorf("no number of a service is called %q%s (docs/policy.md has their names)", name, similar(all, name))
}

// Knobs are all numbers of a service: counts, shares and durations. Blocks that a
// service may have several of, such as its schedules, are left out.
func Knobs() []Knob { return knobsOf(reflect.TypeFor[Service](), "", nil) }

func knobsOf(t reflect.Type, prefix string, steps []int) []Knob {
	var all []Knob
	for _, f := range fieldsOf(t) {
		at := append(append([]int{}, steps...), f.index)
		if b := f.block(); b != nil && f.typ.Kind() != reflect.Slice {
			all = append(all, knobsOf(b, prefix+f.name+".", at)...)
			continue
		}
		switch f.typ.Kind() {
		case reflect.Int, reflect.Int64, reflect.Float64:
			all = append(all, Knob{Path: prefix + f.name, steps: at, field: f})
		}
	}
	return all
}

// Value is what the service has, durations in seconds. It is false where the
// service has no such block.
func (k Knob) Value(s *Service) (float64, bool) {
	v, ok := k.in(s)
	if !ok {
		return 0, false
	}
	return numberOf(v), true
}

// in is the knob's field of a service; false where the service has no such block.
func (k Knob) in(s *Service) (reflect.Value, bool) {
	v := reflect.ValueOf(s).Elem()
	for _, i := range k.steps {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

func numberOf(v reflect.Value) float64 {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return time.Duration(v.Int()).Seconds()
	case v.CanInt():
		return float64(v.Int())
	}
	return v.Float()
}

// Setting is a value for a knob, durations in seconds.
type Setting struct {
	Knob
	To float64
}

// With is the service with other values, all of them at once: they may only be
// valid together. What a policy must not say is an error. The service itself stays
// as it is.
func (s *Service) With(settings ...Setting) (*Service, error) {
	changed := *s
	for _, x := range settings {
		if err := x.set(&changed); err != nil {
			return nil, err
		}
	}
	changed.Law.Utilization, changed.Law.RequestUtilization = changed.Utilization.Upper, changed.Utilization.Upper
	changed.Schedules = nil
	for _, own := range s.Schedules {
		w := *own
		w.follow(&changed)
		changed.Schedules = append(changed.Schedules, &w)
	}
	if err := changed.checkNumbers(settings); err != nil {
		return nil, err
	}
	return &changed, nil
}

// set sets the knob's field, in copies of the blocks on the way to it.
func (x Setting) set(s *Service) error {
	if !x.field.within.holds(x.To) || math.IsNaN(x.To) {
		return fmt.Errorf("%s = %s must be %s", x.Path, x.Say(x.To), x.field.within)
	}
	v := reflect.ValueOf(s).Elem()
	for _, i := range x.steps {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return fmt.Errorf("the service %s has no block for %s", s.Name, x.Path)
			}
			block := reflect.New(v.Type().Elem())
			block.Elem().Set(v.Elem())
			v.Set(block)
			v = block.Elem()
		}
		v = v.Field(i)
	}
	switch {
	case x.Duration():
		v.SetInt(int64(x.To * float64(time.Second)))
	case v.CanInt():
		v.SetInt(int64(math.Round(x.To)))
	default:
		v.SetFloat(x.To)
	}
	return nil
}

// checkNumbers holds a service whose numbers were changed to what a policy must keep
// to. What equals its default counts as not written, as nobody can tell.
func (s *Service) checkNumbers(changed []Setting) error {
	d := newDecoder()
	for _, k := range Knobs() {
		v, ok := k.in(s)
		if !ok {
			continue
		}
		ptr := v.Addr().Interface()
		d.names[ptr] = k.Path
		def, err := k.Parse(k.field.def)
		set := slices.ContainsFunc(changed, func(x Setting) bool { return x.Path == k.Path })
		if set || err != nil || def != numberOf(v) {
			d.ranges[ptr] = hcl.Range{}
		}
	}
	d.numbers(s)
	for _, w := range s.Schedules {
		if w.Min > w.Max {
			d.add("", hcl.Range{}, "min of schedule %q would be %d, above its max of %d.", w.Name, w.Min, w.Max)
		}
	}
	if !d.diags.HasErrors() {
		return nil
	}
	return errors.New(strings.TrimSuffix(d.diags[0].Detail, "."))
}

// Parse reads a value as the policy writes it, durations with or without a unit.
func (k Knob) Parse(text string) (float64, error) {
	if k.Duration() {
		if d, err := time.ParseDuration(text); err == nil {
			return d.Seconds(), nil
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || k.Whole() && v != math.Trunc(v) {
		return 0, fmt.Errorf("%s: %q is no %s", k.Path, text, k.kind())
	}
	return v, nil
}

func (k Knob) kind() string {
	switch {
	case k.Duration():
		return "duration, such as 90s"
	case k.Whole():
		return "whole number"
	}
	return "number"
}

// Say writes a value as the policy does, without quotes.
func (k Knob) Say(value float64) string {
	if k.Duration() {
		return short(time.Duration(value * float64(time.Second)))
	}
	return strconv.FormatFloat(value, 'g', 6, 64)
}

// Line is the line of the policy that sets the value, with its blocks around it.
func (k Knob) Line(value float64) string {
	text := k.Say(value)
	if k.Duration() {
		text = strconv.Quote(text)
	}
	parts := strings.Split(k.Path, ".")
	last := len(parts) - 1
	line := parts[last] + " = " + text
	for i := last - 1; i >= 0; i-- {
		line = parts[i] + " { " + line + " }"
	}
	return line
}

// Duration reports whether it is a time.
func (k Knob) Duration() bool { return k.field.typ == reflect.TypeFor[time.Duration]() }

// Whole reports whether it is a count.
func (k Knob) Whole() bool { return k.field.typ.Kind() == reflect.Int }

// Share reports whether it is a part from 0 to 1.
func (k Knob) Share() bool {
	return k.field.typ.Kind() == reflect.Float64 && k.field.within.text != "" && k.field.within.up <= 1
}
