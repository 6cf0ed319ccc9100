package door

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// account is a line of passwd(5).
type account struct {
	Name    string `json:"name"`
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
	Comment string `json:"comment,omitempty"`
	Home    string `json:"home"`
	Shell   string `json:"shell,omitempty"`
	// Group is the name of GID, Groups are those it is in besides.
	Group  string   `json:"group,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// accounts are those of this machine itself. Others, of a directory service,
// have no files that a birth could have put a key into.
func accounts() ([]account, error) {
	users, err := readColons("/etc/passwd", 7)
	if err != nil {
		return nil, err
	}
	groups, err := readColons("/etc/group", 4)
	if err != nil {
		return nil, err
	}
	var all []account
	for _, f := range users {
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil {
			continue // such as a line for a directory service
		}
		a := account{Name: f[0], UID: uid, GID: gid, Comment: f[4], Home: f[5], Shell: f[6]}
		for _, g := range groups {
			if g[2] == f[3] {
				a.Group = g[0]
			} else if slices.Contains(strings.Split(g[3], ","), a.Name) {
				a.Groups = append(a.Groups, g[0])
			}
		}
		all = append(all, a)
	}
	return all, nil
}

func readColons(path string, fields int) ([][]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the machine's accounts: %w", err)
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == fields {
			all = append(all, f)
		}
	}
	return all, nil
}

// expand fills a pattern of AuthorizedKeysFile in.
func (a account) expand(pattern string) string {
	path := strings.NewReplacer("%%", "%", "%h", a.Home, "%u", a.Name, "%U", strconv.Itoa(a.UID)).Replace(pattern)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(a.Home, path)
}
