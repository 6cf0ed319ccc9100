package searchengine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/archive"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// limit is how long anything awaited may take on a busy machine.
const limit = 2 * time.Minute

// engine is a search engine without Homeostat: its programs as processes, which
// the test registers in Consul, starts and kills itself.
type engine struct {
	programs string // folder of the programs
	consul   *testkit.ConsulServer
	client   *api.Client
	broker   int // port; a broker need not listen there yet
	web      *httptest.Server
	data     string // the databases' directory
	// replyTo is what messages name: the base URL of an API, or nil.
	replyTo atomic.Pointer[string]
}

// newEngine builds the programs and starts Consul and the web. The database
// runs; the queue and the cells are the test's to start.
func newEngine(t *testing.T, files fstest.MapFS) *engine {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Consul and PostgreSQL")
	}
	e := &engine{programs: t.TempDir(), consul: testkit.Consul(t), broker: testkit.FreePort(t)}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", e.programs, "./api", "./crawler", "./db")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, output)
	}
	var err error
	if e.client, err = e.consul.Client(); err != nil {
		t.Fatal(err)
	}
	e.web = httptest.NewServer(archive.Handler(files, slog.New(slog.DiscardHandler)))
	t.Cleanup(e.web.Close)
	// PostgreSQL runs under an account that can't enter the test's own folder.
	if e.data, err = os.MkdirTemp("", "search-engine-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(e.data) })
	if err := os.Chmod(e.data, 0o755); err != nil {
		t.Fatal(err)
	}
	return e
}

// startBroker starts the queue.
func (e *engine) startBroker(t *testing.T) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(e.broker))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
}

func (e *engine) brokerAddress() string { return fmt.Sprintf("127.0.0.1:%d", e.broker) }

// cell is one program that runs as a sidecar would start it.
type cell struct {
	id      string
	address string
	command *exec.Cmd
}

// start starts a program on a free port and registers it in Consul once it
// listens. An API writes to db-1.
func (e *engine) start(t *testing.T, program, name string, arguments ...string) *cell {
	t.Helper()
	beside := ""
	if program != "db" {
		beside = e.sidecar(t, "db-1")
	}
	return e.startBeside(t, beside, program, name, arguments...)
}

// startBeside starts a program beside a sidecar.
func (e *engine) startBeside(t *testing.T, sidecar, program, name string, arguments ...string) *cell {
	t.Helper()
	port := testkit.FreePort(t)
	c := &cell{id: name, address: fmt.Sprintf("127.0.0.1:%d", port)}
	c.command = exec.Command(filepath.Join(e.programs, program), arguments...)
	c.command.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+e.consul.Addr(), "KAFKA_BROKERS="+e.brokerAddress(),
		"HOMEOSTAT_SIDECAR="+sidecar, "HOMEOSTAT_CELL="+name,
		"HOMEOSTAT_PORT="+strconv.Itoa(port), "HOMEOSTAT_DATA_DIRECTORY="+filepath.Join(e.data, name))
	c.command.Stdout, c.command.Stderr = t.Output(), t.Output()
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.kill() })
	if program != "db" {
		testkit.Await(t, limit, func(ctx context.Context) error { return c.call(ctx, http.MethodGet, "/healthz") })
	}
	err := e.client.Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID: name, Name: program, Address: "127.0.0.1", Port: port,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// kill ends a cell and all its processes as a crash would.
func (c *cell) kill() {
	_ = syscall.Kill(-c.command.Process.Pid, syscall.SIGKILL)
	_ = c.command.Wait()
}

// crash kills a cell, and takes it out of Consul as its lapsed health would.
func (e *engine) crash(t *testing.T, c *cell) {
	t.Helper()
	c.kill()
	if err := e.client.Agent().ServiceDeregister(c.id); err != nil {
		t.Fatal(err)
	}
}

func (c *cell) call(ctx context.Context, method, path string) error {
	_, err := c.get(ctx, method, path)
	return err
}

func (c *cell) get(ctx context.Context, method, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode >= 300 {
		return "", fmt.Errorf("%s %s: %s: %s", method, path, response.Status, body)
	}
	return string(body), nil
}

// metric reads one number of a cell's /metrics.
func (c *cell) metric(ctx context.Context, name string) (float64, error) {
	text, err := c.get(ctx, http.MethodGet, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// lag is the number of messages that no crawler has committed yet.
func (e *engine) lag(ctx context.Context) (int64, error) {
	client := &kafka.Client{Addr: kafka.TCP(e.brokerAddress()), Transport: &kafka.Transport{}}
	defer testkit.CloseClient(client)
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"urls"}})
	if err != nil {
		return 0, err
	}
	partitions := metadata.Topics[0].Partitions
	var ids []int
	var requests []kafka.OffsetRequest
	for _, p := range partitions {
		ids = append(ids, p.ID)
		requests = append(requests, kafka.LastOffsetOf(p.ID))
	}
	ends, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"urls": requests}})
	if err != nil {
		return 0, err
	}
	done, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "crawlers", Topics: map[string][]int{"urls": ids}})
	if err != nil {
		return 0, err
	}
	var lag int64
	for _, end := range ends.Topics["urls"] {
		lag += end.LastOffset
		at := slices.IndexFunc(done.Topics["urls"], func(p kafka.OffsetFetchPartition) bool { return p.Partition == end.Partition })
		if at >= 0 {
			lag -= max(0, done.Topics["urls"][at].CommittedOffset)
		}
	}
	return lag, nil
}
