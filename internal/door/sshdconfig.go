package door

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// includeDepth is how deep sshd follows Include.
const includeDepth = 16

// readConfig gathers the arguments of each keyword of a configuration and of
// what it includes, whatever Match they stand below.
func readConfig(path string, into map[string][]string, depth int) error {
	if depth > includeDepth {
		return fmt.Errorf("read sshd's configuration %s: it includes files more than %d deep", path, includeDepth)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read sshd's configuration: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		words := splitConfig(line)
		if len(words) == 0 {
			continue
		}
		keyword := strings.ToLower(words[0])
		into[keyword] = append(into[keyword], words[1:]...)
		if keyword != "include" {
			continue
		}
		for _, pattern := range words[1:] {
			if err := include(pattern, into, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func include(pattern string, into map[string][]string, depth int) error {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join("/etc/ssh", pattern)
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("read sshd's configuration: Include %s: %w", pattern, err)
	}
	for _, file := range files {
		if err := readConfig(file, into, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// splitConfig takes a line of sshd_config(5) apart: words, which may be quoted,
// with an optional "=" after the first, up to a comment.
func splitConfig(line string) []string {
	var words []string
	rest := strings.TrimSpace(line)
	for rest != "" && rest[0] != '#' {
		var word string
		if quoted := rest[0] == '"'; quoted {
			word, rest, _ = strings.Cut(rest[1:], `"`)
		} else {
			end := strings.IndexAny(rest, " \t")
			if len(words) == 0 {
				end = strings.IndexAny(rest, " \t=")
			}
			if end < 0 {
				end = len(rest)
			}
			word, rest = rest[:end], rest[end:]
		}
		words = append(words, word)
		rest = strings.TrimLeft(rest, " \t")
		if len(words) == 1 {
			rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
		}
	}
	return words
}
