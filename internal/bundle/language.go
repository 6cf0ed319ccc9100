package bundle

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Defaults of the language.
const (
	defaultFileMode      = "0644"
	defaultDirectoryMode = "0755"
	defaultRunTimeout    = "5m"
)

// genomeSyntax is a genome as a person writes it.
type genomeSyntax struct {
	Command     []string          `hcl:"command,optional"`
	User        string            `hcl:"user,optional"`
	UserAt      hcl.Range         `hcl:"user,attr_range"`
	Environment map[string]string `hcl:"environment,optional"`
	Units       []string          `hcl:"units,optional"`
	UnitsAt     hcl.Range         `hcl:"units,attr_range"`
	Directories []directorySyntax `hcl:"directory,block"`
	Files       []fileSyntax      `hcl:"file,block"`
	Run         []runSyntax       `hcl:"run,block"`
}

type directorySyntax struct {
	Path  string    `hcl:"path,label"`
	Mode  string    `hcl:"mode,optional"`
	Owner string    `hcl:"owner,optional"`
	At    hcl.Range `hcl:",def_range"`
}

type fileSyntax struct {
	Path    string    `hcl:"path,label"`
	Source  *string   `hcl:"source,optional"`
	Content *string   `hcl:"content,optional"`
	Mode    string    `hcl:"mode,optional"`
	Owner   string    `hcl:"owner,optional"`
	SHA256  string    `hcl:"sha256,optional"`
	At      hcl.Range `hcl:",def_range"`
}

type runSyntax struct {
	Command []string  `hcl:"command"`
	Unless  []string  `hcl:"unless,optional"`
	Timeout string    `hcl:"timeout,optional"`
	At      hcl.Range `hcl:",def_range"`
}

// parseGenome reads a genome and says everything that is wrong with it.
func parseGenome(name string, text []byte) (genomeSyntax, hcl.Diagnostics) {
	var g genomeSyntax
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		return g, diags
	}
	diags = append(diags, gohcl.DecodeBody(file.Body, nil, &g)...)
	if diags.HasErrors() {
		return g, diags
	}
	return g, append(diags, g.check()...)
}

var (
	modeRE  = regexp.MustCompile(`^0?[0-7]{3}$`)
	ownerRE = regexp.MustCompile(`^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$`)
	unitRE  = regexp.MustCompile(`^[A-Za-z0-9:_.@-]+\.(service|socket|timer|path|mount)$`)
)

func (g *genomeSyntax) check() (diags hcl.Diagnostics) {
	seen := map[string]bool{}
	place := func(at hcl.Range, what, p, mode, owner string) {
		diags = append(diags, checkPlace(at, what, p)...)
		if seen[p] {
			diags = append(diags, wrong(at, "Named twice", "There is another file or directory "+p+" in this genome."))
		}
		seen[p] = true
		if mode != "" && !modeRE.MatchString(mode) {
			diags = append(diags, wrong(at, "Invalid mode", fmt.Sprintf("The mode %q must be three octal digits, such as \"0644\".", mode)))
		}
		diags = append(diags, checkOwner(at, owner)...)
	}
	for _, d := range g.Directories {
		place(d.At, "directory", d.Path, d.Mode, d.Owner)
	}
	for _, f := range g.Files {
		place(f.At, "file", f.Path, f.Mode, f.Owner)
		if (f.Source == nil) == (f.Content == nil) {
			diags = append(diags, wrong(f.At, "Source or content", "A file has either a source, which is read when the genome is published, or a content."))
		}
		if f.SHA256 != "" && CheckDigest(f.SHA256) != nil {
			diags = append(diags, wrong(f.At, "Invalid digest", fmt.Sprintf("%q must be 64 hexadecimal digits.", f.SHA256)))
		}
	}
	for _, r := range g.Run {
		diags = append(diags, r.check()...)
	}
	diags = append(diags, checkOwner(g.UserAt, g.User)...)
	for _, unit := range g.Units {
		if !unitRE.MatchString(unit) {
			diags = append(diags, wrong(g.UnitsAt, "Invalid unit", fmt.Sprintf("%q is no name of a systemd unit, such as \"node-exporter.service\".", unit)))
		}
	}
	return diags
}

func (r runSyntax) check() (diags hcl.Diagnostics) {
	if len(r.Command) == 0 || r.Command[0] == "" {
		diags = append(diags, wrong(r.At, "No command", "The command is empty."))
	}
	if d, err := time.ParseDuration(r.Timeout); r.Timeout != "" && (err != nil || d <= 0) {
		diags = append(diags, wrong(r.At, "Invalid timeout", fmt.Sprintf("The timeout %q must be a duration above zero, such as \"2m\".", r.Timeout)))
	}
	return diags
}

// kernels are trees that hold no files of anybody's.
var kernels = []string{"/proc", "/sys", "/dev"}

func checkPlace(at hcl.Range, what, p string) hcl.Diagnostics {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
		return hcl.Diagnostics{wrong(at, "Invalid path", fmt.Sprintf("The %s %q must be an absolute path without \".\", \"..\" or a slash at its end.", what, p))}
	}
	if below(p, kernels) {
		return hcl.Diagnostics{wrong(at, "Invalid path", fmt.Sprintf("The %s %s would lie among the kernel's.", what, p))}
	}
	if Reserved(p) {
		return hcl.Diagnostics{wrong(at, "Invalid path", fmt.Sprintf("The %s %s would lie among Homeostat's own, which a birth makes and a leaving removes.", what, p))}
	}
	return nil
}

func checkOwner(at hcl.Range, owner string) hcl.Diagnostics {
	if owner == "" || ownerRE.MatchString(owner) {
		return nil
	}
	return hcl.Diagnostics{wrong(at, "Invalid owner", fmt.Sprintf("The owner %q must be a user, or \"user:group\".", owner))}
}

func wrong(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// octal is a mode as it is written into the genome, four digits.
func octal(mode, otherwise string) string {
	if mode == "" {
		return otherwise
	}
	return "0" + mode[len(mode)-3:]
}

// executable reports whether a file that is read as a source can be run; it then
// can where it is installed, unless the genome says otherwise.
func executable(mode fs.FileMode) bool { return mode&0o111 != 0 }
