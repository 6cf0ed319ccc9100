package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// sourcePackage is what go list -json says of a package, as far as it matters here.
type sourcePackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// pure are the packages that take values and give values: they import nothing
// of ours but readings, and no package that is there to reach outside the
// process. What of time and net they may not call is in .golangci.yml.
var pure = []string{"internal/policy", "internal/balance", "internal/guard"}

var reachesOutside = []string{"net/http", "os", "os/exec", "os/signal", "syscall", "log", "log/slog"}

// directionErrors returns one line for each import that goes against the
// project's direction of imports.
func directionErrors(packages []sourcePackage) []string {
	var wrong []string
	for _, p := range packages {
		from := ours(p.ImportPath)
		for _, path := range p.Imports {
			if why := forbidden(from, path); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", from, path, why))
			}
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if in(from, "internal") && isProgram(ours(path)) {
				wrong = append(wrong, fmt.Sprintf("a test of %s imports %s: %s", from, path, whyProgram))
			}
		}
	}
	return wrong
}

const whyProgram = "internal/ doesn't know the programs that are made of it"

// forbidden says why code in the directory from, tests aside, may not import
// path, or "".
func forbidden(from, path string) string {
	to := ours(path)
	isPure := slices.ContainsFunc(pure, func(dir string) bool { return in(from, dir) })
	switch {
	case in(from, "internal") && isProgram(to):
		return whyProgram
	case in(to, "internal/testkit") && !in(from, "internal/testkit") && !in(from, "examples"):
		return "testkit is for tests and examples"
	case in(from, "internal/loop") && in(to, "internal/cell"), in(from, "internal/cell") && in(to, "internal/loop"):
		return "a leader and a cell know of each other what is in Consul"
	case isPure && to != "" && !in(to, "internal/reading") && !samePart(from, to):
		return "a pure package imports nothing of ours but readings"
	case isPure && slices.Contains(reachesOutside, path):
		return "a pure package does no I/O"
	}
	return ""
}

// samePart reports whether two directories are below the same one of internal/.
func samePart(a, b string) bool {
	return slices.ContainsFunc(pure, func(dir string) bool { return in(a, dir) && in(b, dir) })
}

func isProgram(dir string) bool { return in(dir, "provider") || in(dir, "sidecar") }

// ours is the directory of a package of this module, "" for any other.
func ours(path string) string {
	dir, found := strings.CutPrefix(path, modulePath+"/")
	if !found {
		return ""
	}
	return dir
}

func in(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

func TestImportsGoInTheRightDirection(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []sourcePackage
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p sourcePackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	for _, dir := range append([]string{"provider", "sidecar"}, pure...) {
		if !slices.ContainsFunc(packages, func(p sourcePackage) bool { return ours(p.ImportPath) == dir }) {
			t.Errorf("there is no package %s to check", dir)
		}
	}
	for _, line := range directionErrors(packages) {
		t.Error(line)
	}
}

func TestImportsInTheWrongDirectionAreFound(t *testing.T) {
	for _, c := range []struct {
		name, from, path string
		fine             bool
	}{
		{name: "internal to the provider", from: "internal/loop", path: modulePath + "/provider/model"},
		{name: "internal to the sidecar", from: "internal/act", path: modulePath + "/sidecar"},
		{name: "pure to another of ours", from: "internal/balance", path: modulePath + "/internal/policy"},
		{name: "pure to the operating system", from: "internal/guard", path: "os"},
		{name: "pure to the network", from: "internal/policy", path: "net/http"},
		{name: "program to testkit", from: "sidecar", path: modulePath + "/internal/testkit"},
		{name: "internal to testkit", from: "internal/fleet", path: modulePath + "/internal/testkit"},
		{name: "leader to cell", from: "internal/loop", path: modulePath + "/internal/cell"},
		{name: "cell to leader", from: "internal/cell", path: modulePath + "/internal/loop"},
		{name: "pure to readings", from: "internal/balance", path: modulePath + "/internal/reading", fine: true},
		{name: "pure to a part of itself", from: "internal/policy", path: modulePath + "/internal/policy/field", fine: true},
		{name: "a name that only begins alike", from: "internal/policyfile", path: "os", fine: true},
		{name: "example to testkit", from: "examples/search-engine/demo", path: modulePath + "/internal/testkit", fine: true},
		{name: "program to internal", from: "provider", path: modulePath + "/internal/birth", fine: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			wrong := directionErrors([]sourcePackage{{ImportPath: modulePath + "/" + c.from, Imports: []string{c.path}}})
			if got := len(wrong) == 0; got != c.fine {
				t.Errorf("%s imports %s: %q", c.from, c.path, wrong)
			}
		})
	}
	test := sourcePackage{ImportPath: modulePath + "/internal/act", XTestImports: []string{modulePath + "/provider"}}
	if len(directionErrors([]sourcePackage{test})) != 1 {
		t.Error("a test of internal that imports the provider is not found")
	}
}
