package policy

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files and the reference anew")

// parse reads a policy that must be right.
func parse(t *testing.T, src string) *Policy {
	t.Helper()
	p, diags := Parse("test.hcl", []byte(src))
	if diags.HasErrors() {
		t.Fatalf("parse: %v", diags)
	}
	return p
}

// complain reads a policy that must be wrong and returns what is said of it.
func complain(t *testing.T, filename string, src []byte) string {
	t.Helper()
	p, diags := Parse(filename, src)
	if !diags.HasErrors() {
		t.Fatalf("%s was accepted", filename)
	}
	if p != nil {
		t.Errorf("%s: a policy came with the errors", filename)
	}
	var out bytes.Buffer
	if err := FormatDiagnostics(&out, filename, src, diags); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestParseSearchEngine(t *testing.T) {
	src := read(t, "testdata/good/search-engine.hcl")
	p := parse(t, string(src))
	if diff := cmp.Diff([]string{"127.0.0.1:8500"}, p.Consul.Addresses); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&Kafka{Brokers: []string{"127.0.0.1:9092"}, Timeout: 3 * time.Second}, p.Kafka); diff != "" {
		t.Error(diff)
	}
	s := p.Service("crawler")
	if s == nil || p.Service("front") != nil {
		t.Fatalf("services: %v", p.Services)
	}
	want := Terraform{
		Dir: "crawler", Variable: "desired_count", Binary: "terraform", Parallelism: 50,
		Timeout: 15 * time.Minute, ShardSize: 100, ShardsAtOnce: 4, LockTimeout: time.Minute, OnForeignChange: ForeignTarget,
	}
	if diff := cmp.Diff(want, s.Terraform); diff != "" {
		t.Error(diff)
	}
	lag := &KafkaLag{Topic: "urls", Group: "crawlers", Upper: 30 * time.Second, ConsumersPerCell: 1,
		WithoutCommit: "unknown", OnUnknown: Fallback{Kind: FallbackHold}}
	if diff := cmp.Diff(lag, s.KafkaLag); diff != "" {
		t.Error(diff)
	}
	latency := &Latency{Histogram: "page_seconds", Quantile: 0.99, Upper: 2 * time.Second, OnUnknown: Fallback{Kind: FallbackHold}}
	if diff := cmp.Diff(latency, s.Latency); diff != "" {
		t.Error(diff)
	}
	if s.Utilization != (Utilization{Lower: 0.5, Upper: 0.85}) || s.Min != 1 || s.Max != 40 || s.Beat != 5*time.Second {
		t.Errorf("bounds: %+v, %d to %d every %s", s.Utilization, s.Min, s.Max, s.Beat)
	}
	if s.AnswersRequests() || s.WaitBound() != 30*time.Second {
		t.Errorf("a service that reads a queue: requests %v, wait bound %s", s.AnswersRequests(), s.WaitBound())
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(src)); p.Digest != want {
		t.Errorf("digest %q, want %q", p.Digest, want)
	}
}

func TestParseEverything(t *testing.T) {
	p := parse(t, string(read(t, "testdata/good/everything.hcl")))
	api, crawler, db := p.Service("api"), p.Service("crawler"), p.Service("db")
	if got := api.Latency.OnUnknown; got != (Fallback{Kind: FallbackNumber, Number: 4}) {
		t.Errorf("latency fallback %+v", got)
	}
	if got := crawler.KafkaLag.OnUnknown; got != (Fallback{Kind: FallbackFloor}) {
		t.Errorf("lag fallback %+v", got)
	}
	if api.Utilization.Upper != 0.85 || crawler.Utilization.Upper != 0.92 {
		t.Errorf("planned busy share: api %g, crawler %g", api.Utilization.Upper, crawler.Utilization.Upper)
	}
	if api.Law.RequestUtilization != 0.85 || crawler.Law.Utilization != 0.92 {
		t.Error("the law doesn't have the planned busy share")
	}
	if !api.AnswersRequests() || api.WaitBound() != 250*time.Millisecond {
		t.Errorf("api: requests %v, wait bound %s", api.AnswersRequests(), api.WaitBound())
	}
	if db.AnswersRequests() || db.WaitBound() != 0 || !db.HoldsData || !db.Health.TCP {
		t.Errorf("db: %+v", db)
	}
	if db.Lead == nil || len(db.Lead) != 0 || crawler.Lead != nil {
		t.Errorf("none and all are told apart by nil: db %#v, crawler %#v", db.Lead, crawler.Lead)
	}
	looks := []time.Duration{30 * time.Second, 5 * time.Minute, 2 * time.Hour}
	if diff := cmp.Diff(looks, api.Law.LookBacks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"db_password": "DB_PASSWORD"}, api.Terraform.EphemeralVars); diff != "" {
		t.Error(diff)
	}
	if p.Kafka.SASL.PasswordEnv != "KAFKA_PASSWORD" || p.Kafka.TLS.ServerName != "kafka.example" {
		t.Errorf("kafka: %+v %+v", p.Kafka.SASL, p.Kafka.TLS)
	}
}

func TestDigestFollowsTheBytes(t *testing.T) {
	const src = "service \"a\" {\n min = 1\n max = 1\n terraform { dir = \"a\" }\n}\n"
	one, same, other := parse(t, src), parse(t, src), parse(t, src+"# a comment\n")
	if one.Digest != same.Digest || one.Digest == other.Digest {
		t.Errorf("digests %s, %s, %s", one.Digest, same.Digest, other.Digest)
	}
}

// TestBad reads one file for each kind of mistake; the golden file beside it
// holds what a person is told.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".hcl"), func(t *testing.T) {
			got := complain(t, filepath.Base(file), read(t, file))
			golden := strings.TrimSuffix(file, ".hcl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), got); diff != "" {
				t.Errorf("run with -update if the new text is meant:\n%s", diff)
			}
		})
	}
}

// TestTooLargeAndTooDeep gives what would make the parser recurse until the
// stack overflows, which no program survives.
func TestTooLargeAndTooDeep(t *testing.T) {
	const times = 5_000
	for name, test := range map[string]struct{ src, want string }{
		"large":              {strings.Repeat("# "+strings.Repeat("filler ", 100)+"\n", maxBytes/700), "Too large for a policy"},
		"brackets":           {"a = " + strings.Repeat("[", times), "Nested too deep"},
		"parentheses":        {"a = " + strings.Repeat("(", times), "Nested too deep"},
		"templates":          {"a = " + strings.Repeat(`"${`, times), "Nested too deep"},
		"blocks":             {strings.Repeat("a {\n", times), "Nested too deep"},
		"after closing ones": {strings.Repeat("}", times) + strings.Repeat("a {\n", times), "Nested too deep"},
		"negations":          {"a = " + strings.Repeat("-", times) + "1", "Not a plain value"},
		"sums":               {"a = 1" + strings.Repeat("+1", times), "Not a plain value"},
	} {
		t.Run(name, func(t *testing.T) {
			if out := complain(t, "deep.hcl", []byte(test.src)); !strings.HasPrefix(out, "Error: "+test.want+"\n") {
				t.Errorf("want %q, said: %.200s", test.want, out)
			}
		})
	}
}
