package act

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Module is what a root module's files say; nothing of it is evaluated.
type Module struct {
	Dir             string
	Variables       map[string]Variable
	Named           bool              // it declares cell_names
	Backend         string            // the backend's type; local if none is named, cloud for a cloud block
	BackendSettings map[string]string // its literal settings; "" for one that is no literal
	Calls           map[string]string // module calls: name -> source
	RequiredVersion []string
	LockFile        bool                // .terraform.lock.hcl is there
	Setters         map[string][]string // variable -> files that Terraform loads by themselves and that set it, ours left out
	Digest          string              // names the contents of all its files, local modules included
}

// Variable is an input variable's declaration.
type Variable struct {
	Type       string // as written; empty if not given
	HasDefault bool
	Ephemeral  bool
	NeverNull  bool // nullable = false: given null it takes its default
	Range      hcl.Range
}

// OtherSetters lists the files that set a variable besides ours. With
// -var-file ours still wins, but a person's own plan would see theirs.
func (m Module) OtherSetters(variable string) []string { return m.Setters[variable] }

var moduleSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "terraform"},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "module", LabelNames: []string{"name"}},
}}

var terraformSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "required_version"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "backend", LabelNames: []string{"type"}},
		{Type: "state_store", LabelNames: []string{"type"}},
		{Type: "cloud"},
	},
}

var variableSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "ephemeral"}, {Name: "nullable"}}}

var callSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "source"}}}

// Inspect reads a root module's files, in HCL and in JSON, without running
// Terraform. Errors carry file and line; a module with errors comes back as far
// as it could be read.
func Inspect(dir string) (Module, hcl.Diagnostics) {
	m := Module{Dir: dir, Backend: "local", Variables: map[string]Variable{}, BackendSettings: map[string]string{},
		Calls: map[string]string{}, Setters: map[string][]string{}}
	files, err := configFiles(dir)
	if err != nil {
		return m, problem("can't read the root module", err.Error())
	}
	if len(files) == 0 {
		return m, problem("no root module", fmt.Sprintf("The directory %s holds no .tf and no .tf.json file.", dir))
	}
	parser := hclparse.NewParser()
	var diags hcl.Diagnostics
	for _, name := range files {
		diags = append(diags, m.file(parser, filepath.Join(dir, name))...)
	}
	_, m.Named = m.Variables[NamesVariable]
	if _, err := os.Stat(filepath.Join(dir, ".terraform.lock.hcl")); err == nil {
		m.LockFile = true
	}
	diags = append(diags, m.setters(parser)...)
	if m.Digest, err = digest(dir, m.Calls); err != nil {
		diags = append(diags, problem("can't read the root module", err.Error())...)
	}
	return m, diags
}

func problem(summary, detail string) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail}}
}

// configFiles lists a module's files, those that override others last, as
// Terraform loads them.
func configFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var plain, overrides []string
	for _, e := range entries {
		name := e.Name()
		base, ok := strings.CutSuffix(name, ".tf.json")
		if !ok {
			base, ok = strings.CutSuffix(name, ".tf")
		}
		switch {
		case !ok || e.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~"):
		case base == "override" || strings.HasSuffix(base, "_override"):
			overrides = append(overrides, name)
		default:
			plain = append(plain, name)
		}
	}
	return append(plain, overrides...), nil
}

func parseFile(parser *hclparse.Parser, path string) (*hcl.File, hcl.Diagnostics) {
	if strings.HasSuffix(path, ".json") {
		return parser.ParseJSONFile(path)
	}
	return parser.ParseHCLFile(path)
}

func (m *Module) file(parser *hclparse.Parser, path string) hcl.Diagnostics {
	f, diags := parseFile(parser, path)
	if f == nil || diags.HasErrors() {
		return diags
	}
	content, _, more := f.Body.PartialContent(moduleSchema)
	diags = append(diags, more...)
	for _, b := range content.Blocks {
		switch b.Type {
		case "terraform":
			diags = append(diags, m.terraform(b)...)
		case "variable":
			diags = append(diags, m.variable(b)...)
		case "module":
			attrs, _, more := b.Body.PartialContent(callSchema)
			diags = append(diags, more...)
			if a := attrs.Attributes["source"]; a != nil {
				m.Calls[b.Labels[0]] = literal(a.Expr)
			}
		}
	}
	return diags
}

func (m *Module) terraform(b *hcl.Block) hcl.Diagnostics {
	content, _, diags := b.Body.PartialContent(terraformSchema)
	if a := content.Attributes["required_version"]; a != nil {
		m.RequiredVersion = append(m.RequiredVersion, literal(a.Expr))
	}
	for _, inner := range content.Blocks {
		m.Backend, m.BackendSettings = inner.Type, map[string]string{}
		if inner.Type != "backend" {
			continue // cloud and state_store are known by their own names
		}
		m.Backend = inner.Labels[0]
		// A backend may hold blocks of its own; only its settings matter here,
		// and JustAttributes returns them beside the diagnostic about blocks.
		attrs, _ := inner.Body.JustAttributes()
		for name, a := range attrs {
			m.BackendSettings[name] = literal(a.Expr)
		}
	}
	return diags
}

func (m *Module) variable(b *hcl.Block) hcl.Diagnostics {
	content, _, diags := b.Body.PartialContent(variableSchema)
	v := m.Variables[b.Labels[0]] // an override changes only what it names
	v.Range = b.DefRange
	if a := content.Attributes["type"]; a != nil {
		v.Type = source(a.Expr)
	}
	if content.Attributes["default"] != nil {
		v.HasDefault = true
	}
	if a := content.Attributes["ephemeral"]; a != nil {
		v.Ephemeral = literal(a.Expr) == "true"
	}
	if a := content.Attributes["nullable"]; a != nil {
		v.NeverNull = literal(a.Expr) == "false"
	}
	m.Variables[b.Labels[0]] = v
	return diags
}

// literal is an expression's value as text, or "" if it is no literal.
func literal(e hcl.Expression) string {
	v, diags := e.Value(nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() {
		return ""
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		return ""
	}
	return s.AsString()
}

// source is a type as it was written.
func source(e hcl.Expression) string {
	if text := literal(e); text != "" {
		return text // in JSON a type is a string
	}
	if words := hcl.ExprAsKeyword(e); words != "" {
		return words
	}
	content, err := os.ReadFile(e.Range().Filename)
	if err != nil || !e.Range().CanSliceBytes(content) {
		return ""
	}
	return string(e.Range().SliceBytes(content))
}

// setters reads the variable files that Terraform loads by themselves.
func (m *Module) setters(parser *hclparse.Parser) hcl.Diagnostics {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return problem("can't read the root module", err.Error())
	}
	var diags hcl.Diagnostics
	for _, e := range entries {
		name := e.Name()
		own := name == "terraform.tfvars" || name == "terraform.tfvars.json" ||
			strings.HasSuffix(name, ".auto.tfvars") || strings.HasSuffix(name, ".auto.tfvars.json")
		if !own || name == VariableFile || e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		f, more := parseFile(parser, filepath.Join(m.Dir, name))
		diags = append(diags, more...)
		if f == nil {
			continue
		}
		attrs, more := f.Body.JustAttributes()
		diags = append(diags, more...)
		for _, variable := range sorted(attrs) {
			m.Setters[variable] = append(m.Setters[variable], name)
		}
	}
	for _, files := range m.Setters {
		slices.Sort(files)
	}
	return diags
}
