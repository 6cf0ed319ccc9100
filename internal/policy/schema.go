package policy

import (
	"reflect"
	"strings"
)

// field is one attribute or block of the language, as a struct field's tags
// declare it.
type field struct {
	name     string
	or       string // another name, for a list of one written without brackets
	required bool
	label    bool
	def      string
	within   interval
	one      []string
	index    int
	typ      reflect.Type
}

// fieldsOf reads the tags of a struct's fields. Fields without a policy tag
// are none of the language.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("policy")
		if !ok {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		f := field{name: name, def: sf.Tag.Get("default"), index: i, typ: sf.Type}
		for option := range strings.SplitSeq(options, ",") {
			switch key, value, _ := strings.Cut(option, "="); key {
			case "required":
				f.required = true
			case "label":
				f.label = true
			case "or":
				f.or = value
			}
		}
		if within := sf.Tag.Get("within"); within != "" {
			f.within = parseInterval(within)
		}
		if one := sf.Tag.Get("one"); one != "" {
			f.one = strings.Split(one, "|")
		}
		fields = append(fields, f)
	}
	return fields
}

// block returns the struct type behind a block, nil for an attribute.
func (f field) block() reflect.Type {
	t := f.typ
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == fallbackType {
		return nil
	}
	return t
}

// home finds the blocks below t in which name is an attribute or a block, for
// a hint to who wrote it in the wrong place.
func home(t reflect.Type, name string) string {
	for _, f := range fieldsOf(t) {
		b := f.block()
		if b == nil {
			continue
		}
		for _, inner := range fieldsOf(b) {
			if inner.name == name && !inner.label {
				return f.name
			}
		}
		if deeper := home(b, name); deeper != "" {
			return f.name + " > " + deeper
		}
	}
	return ""
}
