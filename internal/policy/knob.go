package policy

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
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
	return Knob{}, fmt.Errorf("no number of a service is called %q", name)
}

// Knobs are all numbers of a service: counts, shares and durations.
func Knobs() []Knob { return knobsOf(reflect.TypeFor[Service](), "", nil) }

func knobsOf(t reflect.Type, prefix string, steps []int) []Knob {
	var all []Knob
	for _, f := range fieldsOf(t) {
		at := append(append([]int{}, steps...), f.index)
		if b := f.block(); b != nil {
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
	v := reflect.ValueOf(s).Elem()
	for _, i := range k.steps {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return 0, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return numberOf(v), true
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

// With is the service with another value, durations in seconds. The service itself
// stays as it is.
func (k Knob) With(s *Service, value float64) (*Service, error) {
	if !k.field.within.holds(value) || math.IsNaN(value) {
		return nil, fmt.Errorf("%s = %s must be %s", k.Path, k.Say(value), k.field.within)
	}
	changed := *s
	v := reflect.ValueOf(&changed).Elem()
	for _, i := range k.steps {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil, fmt.Errorf("the service %s has no block for %s", s.Name, k.Path)
			}
			block := reflect.New(v.Type().Elem())
			block.Elem().Set(v.Elem())
			v.Set(block)
			v = block.Elem()
		}
		v = v.Field(i)
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(value * float64(time.Second)))
	case v.CanInt():
		v.SetInt(int64(math.Round(value)))
	default:
		v.SetFloat(value)
	}
	if changed.Min > changed.Max {
		return nil, fmt.Errorf("%s = %s: min %d would be above max %d", k.Path, k.Say(value), changed.Min, changed.Max)
	}
	changed.Law.Utilization, changed.Law.RequestUtilization = changed.Utilization.Upper, changed.Utilization.Upper
	return &changed, nil
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

// Duration, Whole and Share tell what kind of number it is: a time, a count, or a
// part of one from 0 to 1.
func (k Knob) Duration() bool { return k.field.typ == reflect.TypeFor[time.Duration]() }

// Whole reports whether it is a count.
func (k Knob) Whole() bool { return k.field.typ.Kind() == reflect.Int }

// Share reports whether it is a part from 0 to 1.
func (k Knob) Share() bool {
	return k.field.typ.Kind() == reflect.Float64 && k.field.within.text != "" && k.field.within.up <= 1
}
