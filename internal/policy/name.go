package policy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// pattern is a rule for names, with what a person has to know of it.
type pattern struct {
	*regexp.Regexp
	words string
}

var (
	serviceName     = pattern{regexp.MustCompile(`^[a-z]([a-z0-9-]{0,46}[a-z0-9])?$`), "a DNS label"}
	topicName       = pattern{regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`), "at most 249 of a-z, A-Z, 0-9, '.', '_' and '-'"}
	metricName      = pattern{regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`), "letters, digits, '_' and ':', no digit first, and no labels"}
	labelName       = pattern{regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`), "letters, digits and '_', no digit first"}
	environmentName = pattern{regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`), "letters, digits and '_', no digit first"}
	identifier      = pattern{regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]*$`), "letters, digits, '_' and '-', a letter or '_' first"}
	workspaceName   = pattern{regexp.MustCompile(`^[a-zA-Z0-9._~-]{1,90}$`), "letters, digits, '.', '_', '~' and '-'"}
	headerName      = pattern{regexp.MustCompile(`^[a-zA-Z0-9-]+$`), "letters, digits and '-'"}
	prefixName      = pattern{regexp.MustCompile(`^[a-zA-Z0-9._-]+(/[a-zA-Z0-9._-]+)*$`), "letters, digits, '.', '_' and '-', with single slashes between"}
)

// match checks a name, if there is one.
func (d *decoder) match(name *string, p pattern) {
	if *name != "" && !p.MatchString(*name) {
		d.refuse("Not a name", name, "is %q. Use %s.", *name, p.words)
	}
}

// keys checks the keys of a map.
func (d *decoder) keys(ptr any, m map[string]string, p pattern) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !p.MatchString(key) {
			d.refuse("Not a name", ptr, "has the key %q. Use %s.", key, p.words)
		}
	}
}

// path checks the path of a URL, if there is one.
func (d *decoder) path(path *string) {
	switch {
	case *path == "":
	case strings.Contains(*path, "://"):
		d.refuse("Not a path", path, "is %q. Write the path alone, such as \"/health\": the address is the application's.", *path)
	case !strings.HasPrefix(*path, "/") || strings.ContainsAny(*path, " \t\r\n#"):
		d.refuse("Not a path", path, "is %q. A path begins with a slash and has no spaces, such as \"/health\".", *path)
	}
}

func (d *decoder) notEmpty(s *string) {
	if *s == "" {
		d.refuse("Empty value", s, "must not be empty. Leave the line out for the default.")
	}
}

func (d *decoder) noneEmpty(list *[]string) {
	if slices.Contains(*list, "") {
		d.refuse("Empty value", list, "has an empty string. Remove it.")
	}
}
