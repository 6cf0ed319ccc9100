package replyto

import (
	"os"
	"strings"
	"testing"
)

// What is told to who writes in another language has the names that are used.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../docs/spool.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Header + ": http", CrawlerHeader + ": 1"} {
		if !strings.Contains(string(b), name) {
			t.Errorf("docs/spool.md doesn't tell of %q", name)
		}
	}
	// The spool makes of this a header that nobody reads.
	if wrong := "Homeostat-Header-Reply-To"; strings.Contains(string(b), wrong) || strings.Contains(string(b), `"reply-to"`) {
		t.Errorf("docs/spool.md has messages bring a header that nobody reads: %s", wrong)
	}
}
