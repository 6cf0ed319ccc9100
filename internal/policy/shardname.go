package policy

import (
	"regexp"
	"strconv"
)

// ShardPrefix begins the name of a shard's workspace, and of all that belongs to it alone.
const ShardPrefix = "shard-"

// numbered are workspaces of shards from 1 on.
var numbered = regexp.MustCompile(`^(?:.+-)?` + ShardPrefix + `([1-9][0-9]*)$`)

// ShardWorkspace is the name of the workspace of a shard from 1 on; own is that of shard 0.
func ShardWorkspace(own string, shard int) string {
	name := ShardPrefix + strconv.Itoa(shard)
	if own != "" && own != "default" {
		return own + "-" + name
	}
	return name
}

// ShardOf returns the shard, from 1 on, that a workspace of this name is of: "shard-7", or
// "prod-shard-7" where the policy names the workspace prod. Any other is 0: no policy
// may name one that looks like a shard's.
func ShardOf(workspace string) int {
	m := numbered.FindStringSubmatch(workspace)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0 // of more digits than a number may have
	}
	return n
}
