package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var update = flag.Bool("update", false, "write what the scripts' cmp commands found into them")

// TestMain lets the test binary be the program itself when a script calls it by
// that name, and an application behind a proxy when a test's environment says so.
func TestMain(m *testing.M) {
	switch os.Getenv(apiVariable) {
	case "":
	case databaseProgram:
		serveDatabase()
	case readerProgram:
		serveReader()
	default:
		serveAPI()
	}
	if filepath.Base(os.Args[0]) == "homeostat" {
		main()
		return
	}
	testkit.Main(m)
}

// TestScripts tries each command as an operator meets it: testdata/script says
// what is typed and what is answered. A script runs in a folder that holds
// testdata/place, unless it brings a file of the same name. Those that need
// servers begin with consul. In policies Consul is at 127.0.0.1:1 and Kafka at
// 127.0.0.1:2, where nothing listens, until these are started.
//
//	consul              starts Consul, shared but for the prefix, which is
//	                    "script" in policies; skips the script with -short
//	kafka topic:n ...   starts a broker with topics of n partitions
//	postgres            starts PostgreSQL, shared, at the port 4 of policies
//	exits code command  runs a command that must end with this exit code
//	await file regexp   waits until the file holds it
//	until regexp cmd    runs a command again and again until it prints it
//	keys file           writes down all that Consul holds for this script
//	garble key          puts something else under a key in Consul
//	serve folder        serves a folder at http://127.0.0.1:3 of policies
//	free service        takes the service's lock, which must be free at once,
//	                    and gives it back
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         t.TempDir(), // testscript's own stays when only some scripts run
		UpdateScripts:       *update,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               place,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"consul":   startConsul,
			"kafka":    startKafka,
			"postgres": startPostgres,
			"exits":    exits,
			"await":    await,
			"until":    until,
			"keys":     keys,
			"free":     free,
			"garble":   garble,
			"serve":    serve,
		},
	})
}

// place lays out a script's folder, with the program on its PATH.
func place(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, "homeostat")); err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("CHECKPOINT_DISABLE", "1")
	env.Setenv("PREFIX", fmt.Sprintf("script-%d-%d", os.Getpid(), time.Now().UnixNano()))
	tb, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("a script's T is no testing.TB")
	}
	env.Values["tb"] = tb
	return copyAbsent("testdata/place", env.WorkDir)
}

// copyAbsent copies the files of a folder that the other lacks.
func copyAbsent(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		into := filepath.Join(to, name)
		if _, err := os.Stat(into); err == nil {
			return nil
		}
		if entry.IsDir() {
			return os.Mkdir(into, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(into, content, 0o644)
	})
}

// testingTB is the script's own test, for what testkit starts.
func testingTB(ts *testscript.TestScript) testing.TB {
	tb, ok := ts.Value("tb").(testing.TB)
	if !ok {
		ts.Fatalf("the script has no testing.TB")
	}
	return tb
}

// fill puts values into the policies of the script's folder.
func fill(ts *testscript.TestScript, pairs ...string) {
	paths, err := filepath.Glob(ts.MkAbs("*.hcl"))
	ts.Check(err)
	for _, path := range paths {
		text := strings.NewReplacer(pairs...).Replace(ts.ReadFile(path))
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
}

func startConsul(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: consul")
	}
	tb := testingTB(ts)
	if testing.Short() {
		tb.Skip("needs Consul and Terraform")
	}
	server := testkit.SharedConsul(tb)
	terraform := filepath.Dir(testkit.Terraform(tb))
	ts.Setenv("PATH", ts.Getenv("PATH")+string(os.PathListSeparator)+terraform)
	ts.Setenv("CONSUL", server.Addr())
	fill(ts, `"127.0.0.1:1"`, strconv.Quote(server.Addr()), `"script"`, strconv.Quote(ts.Getenv("PREFIX")))
}

func startKafka(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: kafka topic:partitions ...")
	}
	options := []kfake.Opt{kfake.NumBrokers(1)}
	for _, arg := range args {
		topic, count, _ := strings.Cut(arg, ":")
		n, err := strconv.Atoi(count)
		ts.Check(err)
		options = append(options, kfake.SeedTopics(int32(n), topic))
	}
	cluster, err := kfake.NewCluster(options...)
	ts.Check(err)
	ts.Defer(cluster.Close)
	fill(ts, `"127.0.0.1:2"`, strconv.Quote(cluster.ListenAddrs()[0]))
}

func startPostgres(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: postgres")
	}
	_, port, err := net.SplitHostPort(testkit.SharedPostgres(testingTB(ts)).Addr())
	ts.Check(err)
	fill(ts, "port = 4\n", "port = "+port+"\n")
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command ...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await file regexp")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	err = testkit.Poll(testingTB(ts).Context(), patience, func(context.Context) error {
		text, err := os.ReadFile(path)
		if err == nil && !pattern.Match(text) {
			err = fmt.Errorf("%s holds nothing like %q:\n%s", args[0], pattern, text)
		}
		return err
	})
	ts.Check(err)
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until regexp command ...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	err = testkit.Poll(testingTB(ts).Context(), patience, func(context.Context) error {
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			return err
		}
		if text := ts.ReadFile("stdout"); !pattern.MatchString(text) {
			return fmt.Errorf("%v prints nothing like %q:\n%s", args[1:], pattern, text)
		}
		return nil
	})
	ts.Check(err)
}

// client reaches Consul as the script's policy does.
func client(ts *testscript.TestScript) *fleet.Client {
	c, err := fleet.New(fleet.Config{
		Addresses: []string{ts.Getenv("CONSUL")}, Prefix: ts.Getenv("PREFIX"), LockDelay: time.Minute,
	})
	ts.Check(err)
	return c
}

func kv(ts *testscript.TestScript) *api.KV {
	consul, err := api.NewClient(&api.Config{Address: ts.Getenv("CONSUL")})
	ts.Check(err)
	return consul.KV()
}

func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keys file")
	}
	pairs, _, err := kv(ts).List(ts.Getenv("PREFIX")+"/", nil)
	ts.Check(err)
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "%s %d %s %s\n", p.Key, p.ModifyIndex, cmp.Or(p.Session, "-"), p.Value)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o644))
}

func garble(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: garble key")
	}
	_, err := kv(ts).Put(&api.KVPair{Key: ts.Getenv("PREFIX") + "/" + args[0], Value: []byte("garble")}, nil)
	ts.Check(err)
}

func free(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: free service")
	}
	c := client(ts)
	defer c.Close()
	// A lock that was lost rather than given back stays shut for its lock delay,
	// a minute in the policy of such a script.
	ctx, cancel := context.WithTimeout(testingTB(ts).Context(), 20*time.Second)
	defer cancel()
	lease, err := c.TryStand(ctx, args[0], fleet.Holder{Host: "a test", PID: os.Getpid()})
	ts.Check(err)
	ts.Check(lease.Release(ctx))
}

// serve serves a folder by HTTP until the script ends.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve folder")
	}
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(server.Close)
	fill(ts, "http://127.0.0.1:3/", server.URL+"/")
}
