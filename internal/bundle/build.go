package bundle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Source is what a bundle is made from. All paths are absolute.
type Source struct {
	Service string
	// Policy is the policy's file, Module the folder of the root module.
	Policy, Module string
	// Files are those of the root module and of the local modules it calls.
	Files []string
	// Genome is the genome's file.
	Genome string
}

// GenomeError is what is wrong with a genome, in the order of its lines.
type GenomeError struct {
	Path  string
	Diags hcl.Diagnostics
}

func (e *GenomeError) Error() string {
	return fmt.Sprintf("the genome %s is wrong: %v", e.Path, e.Diags)
}

// Build makes a bundle. Nothing of it is copied yet: it is read when it is put
// into a store. A genome with mistakes makes a *GenomeError.
func Build(ctx context.Context, src Source) (*Bundle, error) {
	b := &Bundle{content: map[string]content{}}
	var err error
	if b.Genome, err = b.genome(ctx, src); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", src.Service, err)
	}
	if err := b.tree(ctx, src); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", src.Service, err)
	}
	b.Manifest.Genome = b.add(content{text: encode(b.Genome)})
	if err := b.Manifest.check(); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", src.Service, err)
	}
	return b, nil
}

// Tree returns the manifest of what a bundle's tree would be, as the files are now,
// with a genome that is known by its digest and need not be here. It has the digest
// of a bundle if policy and root module are those of it.
func Tree(ctx context.Context, src Source, genome string) (Manifest, error) {
	b := &Bundle{content: map[string]content{}}
	if err := b.tree(ctx, src); err != nil {
		return Manifest{}, fmt.Errorf("bundle %s: %w", src.Service, err)
	}
	b.Manifest.Genome = genome
	return b.Manifest, nil
}

// tree takes policy and root module, at their places below the folder that they
// have in common.
func (b *Bundle) tree(ctx context.Context, src Source) error {
	base := commonFolder(append([]string{src.Policy, filepath.Join(src.Module, "main.tf")}, src.Files...))
	place := func(path string) string {
		rel, _ := filepath.Rel(base, path) // both are absolute, and path lies below base
		return filepath.ToSlash(rel)
	}
	b.Manifest = Manifest{Format: Format, Service: src.Service, Policy: place(src.Policy), Module: place(src.Module)}
	for _, path := range append([]string{src.Policy}, src.Files...) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // a link that leads nowhere, or a socket
		}
		digest, size, err := b.file(ctx, path)
		if err != nil {
			return err
		}
		b.Manifest.Tree = append(b.Manifest.Tree, TreeFile{Path: place(path), SHA256: digest, Size: size})
	}
	slices.SortFunc(b.Manifest.Tree, func(x, y TreeFile) int { return cmp.Compare(x.Path, y.Path) })
	return nil
}

// genome reads the genome and resolves its sources, which are relative to it.
func (b *Bundle) genome(ctx context.Context, src Source) (Genome, error) {
	g := Genome{Format: Format, Service: src.Service}
	text, err := os.ReadFile(src.Genome)
	if err != nil {
		return g, fmt.Errorf("read the genome: %w", err)
	}
	s, diags := parseGenome(src.Genome, text)
	if !diags.HasErrors() {
		diags = append(diags, b.files(ctx, &g, s.Files, filepath.Dir(src.Genome))...)
	}
	if diags.HasErrors() {
		slices.SortStableFunc(diags, func(x, y *hcl.Diagnostic) int { return cmp.Compare(line(x), line(y)) })
		return g, &GenomeError{Path: src.Genome, Diags: diags}
	}
	g.Command, g.User, g.Environment, g.Units = s.Command, s.User, s.Environment, s.Units
	for _, d := range s.Directories {
		g.Directories = append(g.Directories, Directory{Path: d.Path, Mode: octal(d.Mode, defaultDirectoryMode), Owner: d.Owner})
	}
	for _, r := range s.Run {
		g.Run = append(g.Run, Command{Command: r.Command, Unless: r.Unless, Timeout: cmp.Or(r.Timeout, defaultRunTimeout)})
	}
	slices.SortFunc(g.Directories, func(x, y Directory) int { return cmp.Compare(x.Path, y.Path) })
	slices.SortFunc(g.Files, func(x, y File) int { return cmp.Compare(x.Path, y.Path) })
	return g, nil
}

func line(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return 0
	}
	return d.Subject.Start.Line
}

func (b *Bundle) files(ctx context.Context, g *Genome, files []fileSyntax, base string) (diags hcl.Diagnostics) {
	for _, f := range files {
		resolved, err := b.resolve(ctx, f, base)
		if err != nil {
			diags = append(diags, wrong(f.At, "File not taken", err.Error()))
			continue
		}
		g.Files = append(g.Files, resolved)
	}
	return diags
}

// resolve finds the content of one file of the genome.
func (b *Bundle) resolve(ctx context.Context, f fileSyntax, base string) (File, error) {
	out := File{Path: f.Path, Mode: octal(f.Mode, defaultFileMode), Owner: f.Owner}
	if f.Content != nil {
		out.SHA256, out.Size = b.add(content{text: []byte(*f.Content)}), int64(len(*f.Content))
	} else {
		path := *f.Source
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return out, err
		}
		if !info.Mode().IsRegular() {
			return out, fmt.Errorf("the source %s is no file", path)
		}
		if f.Mode == "" && executable(info.Mode()) {
			out.Mode = "0755"
		}
		if out.SHA256, out.Size, err = b.file(ctx, path); err != nil {
			return out, err
		}
	}
	if f.SHA256 != "" && f.SHA256 != out.SHA256 {
		return out, fmt.Errorf("its digest is %s, and the genome wants %s", out.SHA256, f.SHA256)
	}
	return out, nil
}

// file digests a file and remembers where its content is.
func (b *Bundle) file(ctx context.Context, path string) (string, int64, error) {
	if err := ctx.Err(); err != nil {
		return "", 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("read a file of the bundle: %w", err)
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", path, err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	b.content[digest] = content{path: path, size: size}
	return digest, size, nil
}

// add takes content from memory.
func (b *Bundle) add(c content) string {
	digest := digestText(c.text)
	c.size = int64(len(c.text))
	b.content[digest] = c
	return digest
}

// commonFolder is the deepest folder that holds all of the files.
func commonFolder(paths []string) string {
	base := filepath.Dir(paths[0])
	for _, p := range paths[1:] {
		for base != "/" && !strings.HasPrefix(p, base+"/") {
			base = filepath.Dir(base)
		}
	}
	return base
}
