package policy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	fallbackType = reflect.TypeFor[Fallback]()
)

// kind says in words what a field's value is.
func kind(t reflect.Type) string {
	switch t {
	case durationType:
		return `a duration with its unit, such as "30s"`
	case fallbackType:
		return `"hold", "floor" or a number of cells`
	case reflect.TypeFor[[]time.Duration]():
		return `a list of durations, such as ["1m", "5m"]`
	}
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return `a list of strings, such as ["a", "b"]`
	case reflect.Map:
		return `a map of strings, such as { name = "value" }`
	default:
		return "a string in quotes"
	}
}

// sample is a value of a field, for an example of the line that is missing.
func sample(t reflect.Type) string {
	switch {
	case t == durationType:
		return `"30s"`
	case t.Kind() == reflect.Int:
		return "1"
	case t.Kind() == reflect.Slice:
		return `["..."]`
	default:
		return `"..."`
	}
}

// convert turns an HCL value into a Go value of type t. It is stricter than
// HCL itself: a number in quotes is a string. The error says what is wrong
// with the value and how to write it.
func convert(v cty.Value, t reflect.Type) (reflect.Value, error) {
	wrong := func() (reflect.Value, error) {
		return reflect.Value{}, fmt.Errorf("needs %s, not %s", kind(t), describe(v))
	}
	if v.IsNull() {
		return reflect.Value{}, fmt.Errorf("needs %s, not null: leave the line out for the default", kind(t))
	}
	if !v.IsWhollyKnown() {
		return wrong()
	}
	switch {
	case t == durationType:
		return convertDuration(v)
	case t == fallbackType:
		return convertFallback(v)
	case t.Kind() == reflect.Slice:
		return convertList(v, t)
	case t.Kind() == reflect.Map:
		return convertMap(v, t)
	case t.Kind() == reflect.String && v.Type() == cty.String:
		return reflect.ValueOf(v.AsString()), nil
	case t.Kind() == reflect.Bool && v.Type() == cty.Bool:
		return reflect.ValueOf(v.True()), nil
	case t.Kind() == reflect.Float64 && v.Type() == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return reflect.ValueOf(f), nil
	case t.Kind() == reflect.Int && v.Type() == cty.Number:
		return convertInt(v)
	default:
		return wrong()
	}
}

func convertInt(v cty.Value) (reflect.Value, error) {
	n := v.AsBigFloat()
	if !n.IsInt() {
		return reflect.Value{}, fmt.Errorf("needs a whole number, not %s", n.Text('g', 10))
	}
	i, accuracy := n.Int64()
	if accuracy != 0 || i > math.MaxInt32 || i < math.MinInt32 {
		return reflect.Value{}, fmt.Errorf("is too large: %s", n.Text('g', 10))
	}
	return reflect.ValueOf(int(i)), nil
}

func convertDuration(v cty.Value) (reflect.Value, error) {
	switch v.Type() {
	case cty.Number:
		n := v.AsBigFloat().Text('g', 10)
		return reflect.Value{}, fmt.Errorf(`has no unit: write "%ss" for %s seconds, or "%sm" for minutes`, n, n, n)
	case cty.String:
		d, err := parseDuration(v.AsString())
		return reflect.ValueOf(d), err
	default:
		return reflect.Value{}, fmt.Errorf("needs %s, not %s", kind(durationType), describe(v))
	}
}

// parseDuration is time.ParseDuration with errors for people who don't know
// Go.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil {
		return d, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf(`has no unit: write "%ss" for %s seconds, or "%sm" for minutes`, text, text, text)
	}
	return 0, fmt.Errorf("is no duration: %q. Write a number and one of the units ms, s, m and h, "+
		`such as "90s" or "1h30m" (a day is "24h")`, text)
}

func convertFallback(v cty.Value) (reflect.Value, error) {
	if v.Type() == cty.Number {
		n, err := convertInt(v)
		if err != nil {
			return n, err
		}
		return reflect.ValueOf(Fallback{Kind: FallbackNumber, Number: int(n.Int())}), nil
	}
	if v.Type() == cty.String {
		if s := v.AsString(); s == FallbackHold || s == FallbackFloor {
			return reflect.ValueOf(Fallback{Kind: s}), nil
		}
	}
	return reflect.Value{}, fmt.Errorf("needs %s, not %s", kind(fallbackType), describe(v))
}

func convertList(v cty.Value, t reflect.Type) (reflect.Value, error) {
	if !v.Type().IsTupleType() && !v.Type().IsListType() {
		return reflect.Value{}, fmt.Errorf("needs %s, not %s", kind(t), describe(v))
	}
	list := reflect.MakeSlice(t, 0, v.LengthInt())
	for i, e := range v.AsValueSlice() {
		c, err := convert(e, t.Elem())
		if err != nil {
			return reflect.Value{}, fmt.Errorf("needs %s: number %d in it %w", kind(t), i+1, err)
		}
		list = reflect.Append(list, c)
	}
	return list, nil
}

func convertMap(v cty.Value, t reflect.Type) (reflect.Value, error) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return reflect.Value{}, fmt.Errorf("needs %s, not %s", kind(t), describe(v))
	}
	values := v.AsValueMap()
	m := reflect.MakeMapWithSize(t, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		c, err := convert(values[key], t.Elem())
		if err != nil {
			return reflect.Value{}, fmt.Errorf("needs %s: %q in it %w", kind(t), key, err)
		}
		m.SetMapIndex(reflect.ValueOf(key), c)
	}
	return m, nil
}

// describe names a value's type and, where it is short, the value.
func describe(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case !v.IsKnown():
		return "something unknown"
	case v.Type() == cty.String && len(v.AsString()) <= 40:
		return fmt.Sprintf("the string %q", v.AsString())
	case v.Type() == cty.Number:
		return "the number " + v.AsBigFloat().Text('g', 10)
	case v.Type() == cty.Bool:
		return strconv.FormatBool(v.True())
	case v.Type().IsTupleType():
		return "a list"
	case v.Type().IsObjectType():
		return "a map"
	default:
		return "a " + v.Type().FriendlyName()
	}
}

// short prints a duration as a person writes it: 15m rather than 15m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseDefault reads a default from a struct tag. One that can't be read is a
// mistake in this package, so it panics.
func parseDefault(text string, t reflect.Type) reflect.Value {
	v, err := readDefault(text, t)
	if err != nil {
		panic(fmt.Sprintf("policy: default %q of a %s: %v", text, t, err))
	}
	return v
}

func readDefault(text string, t reflect.Type) (reflect.Value, error) {
	switch {
	case t == durationType:
		d, err := time.ParseDuration(text)
		return reflect.ValueOf(d), err
	case t == fallbackType:
		return reflect.ValueOf(Fallback{Kind: text}), nil
	case t.Kind() == reflect.String:
		return reflect.ValueOf(text), nil
	case t.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		return reflect.ValueOf(b), err
	case t.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		return reflect.ValueOf(n), err
	case t.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		return reflect.ValueOf(f), err
	case t.Kind() == reflect.Slice:
		list := reflect.MakeSlice(t, 0, 4)
		for part := range strings.SplitSeq(text, ",") {
			e, err := readDefault(part, t.Elem())
			if err != nil {
				return list, err
			}
			list = reflect.Append(list, e)
		}
		return list, nil
	default:
		return reflect.Value{}, errors.New("no such default")
	}
}
