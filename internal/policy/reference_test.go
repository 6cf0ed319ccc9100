package policy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	referenceFile  = "../../docs/policy.md"
	referenceBegin = "<!-- The rest is written from internal/policy by `go test ./internal/policy -update`. -->\n"
)

// TestReference holds docs/policy.md against the language: each field with its
// kind, default, bounds and description.
func TestReference(t *testing.T) {
	text := read(t, referenceFile)
	at := bytes.Index(text, []byte(referenceBegin))
	if at < 0 {
		t.Fatalf("%s has lost its line %q", referenceFile, referenceBegin)
	}
	head := text[:at+len(referenceBegin)]
	want := string(head) + reference(t)
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s is not what the fields say; run with -update:\n%s", referenceFile, diff)
	}
}

// TestExamplesInReference parses each whole policy that docs/policy.md shows.
func TestExamplesInReference(t *testing.T) {
	parts := strings.Split(string(read(t, referenceFile)), "```hcl\n")
	if len(parts) < 2 {
		t.Fatal("no example")
	}
	for _, part := range parts[1:] {
		example, _, _ := strings.Cut(part, "```")
		parse(t, example)
	}
}

// reference writes a section for each block.
func reference(t *testing.T) string {
	comments := fieldComments(t)
	var out strings.Builder
	var write func(t reflect.Type, title string)
	write = func(typ reflect.Type, title string) {
		if title != "" {
			fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", title, comments[typ.Name()])
			writeTable(t, &out, typ, comments)
		}
		for _, f := range fieldsOf(typ) {
			if b := f.block(); b != nil {
				write(b, strings.TrimPrefix(title+" > "+f.name, " > "))
			}
		}
	}
	out.WriteString("\n## At the top of the file\n\n")
	writeTable(t, &out, reflect.TypeFor[Policy](), comments)
	write(reflect.TypeFor[Policy](), "")
	return out.String()
}

func writeTable(t *testing.T, out *strings.Builder, typ reflect.Type, comments map[string]string) {
	out.WriteString("| field | value | default | bounds | meaning |\n|---|---|---|---|---|\n")
	for _, f := range fieldsOf(typ) {
		comment := comments[typ.Name()+"."+typ.Field(f.index).Name]
		if f.block() != nil {
			continue
		}
		if comment == "" {
			t.Errorf("%s.%s has no comment", typ.Name(), typ.Field(f.index).Name)
		}
		name := "`" + f.name + "`"
		if f.label {
			name = "label"
		}
		if f.or != "" {
			name += " or `" + f.or + "`"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", name, kindColumn(f), defaultColumn(f), boundsColumn(f),
			strings.ReplaceAll(meaning(comment), "|", "\\|"))
	}
}

func kindColumn(f field) string {
	switch {
	case f.typ == fallbackType:
		return "string or number"
	case f.typ == durationType:
		return "duration"
	case f.typ == reflect.TypeFor[[]string]():
		return "list of strings"
	case f.typ.Kind() == reflect.Slice:
		return "list of durations"
	case f.typ.Kind() == reflect.Map:
		return "map of strings"
	case f.typ.Kind() == reflect.Int:
		return "whole number"
	case f.typ.Kind() == reflect.Float64:
		return "number"
	case f.typ.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "string"
	}
}

func defaultColumn(f field) string {
	switch k := f.typ.Kind(); {
	case f.required || f.label:
		return "**required**"
	case f.def == "" && k == reflect.Bool:
		return "`false`"
	case f.def == "":
		return "none"
	case f.typ != durationType && (k == reflect.Int || k == reflect.Float64 || k == reflect.Bool):
		return "`" + f.def + "`"
	case k == reflect.Slice:
		return "`[\"" + strings.ReplaceAll(f.def, ",", `", "`) + "\"]`"
	default:
		return "`\"" + f.def + "\"`"
	}
}

func boundsColumn(f field) string {
	if f.one != nil {
		return "`\"" + strings.Join(f.one, "\"`, `\"") + "\"`"
	}
	if f.within.text != "" {
		return strings.ReplaceAll(f.within.text, ",", ", ")
	}
	return ""
}

// meaning turns a Go comment into a description: without the field's Go name.
func meaning(comment string) string {
	comment = strings.Join(strings.Fields(comment), " ")
	_, rest, _ := strings.Cut(comment, " ")
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	if rest == "" {
		return ""
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

// fieldComments reads the comments of the package's structs and their fields
// from its source: Service, and Service.Min.
func fieldComments(t *testing.T) map[string]string {
	comments := map[string]string{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			for _, spec := range gen.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				structure, ok := typ.Type.(*ast.StructType)
				if !ok {
					continue
				}
				comments[typ.Name.Name] = section(gen.Doc.Text())
				for _, f := range structure.Fields.List {
					for _, name := range f.Names {
						comments[typ.Name.Name+"."+name.Name] = f.Doc.Text()
					}
				}
			}
		}
	}
	return comments
}

// section turns a struct's comment into paragraphs on one line each.
func section(comment string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(comment, "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	paragraphs[0] = meaning(paragraphs[0])
	return strings.Join(paragraphs, "\n\n")
}
