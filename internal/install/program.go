package install

import "github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"

// ProgramOf is the digest of the program that cells of a genome run as their
// sidecar, empty where it has none: then no machine can be made of it.
func ProgramOf(g bundle.Genome) string {
	for _, f := range g.Files {
		if f.Path == Program {
			return f.SHA256
		}
	}
	return ""
}
