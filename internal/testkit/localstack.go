package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// LocalStackServer is one LocalStack, of which EC2, S3, STS, IAM and SSM are used.
// It takes any credentials, starts no machine, and all it has is gone when it ends.
type LocalStackServer struct {
	server
	port int
}

// LocalStack starts a LocalStack that ends with the test.
func LocalStack(tb testing.TB) *LocalStackServer {
	tb.Helper()
	if _, err := LocalStackPython(tb.Context()); err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	l, err := StartLocalStack(tb.Context(), LocalStackOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	l.endWith(tb)
	return l
}

// LocalStackOptions says which LocalStack to start.
type LocalStackOptions struct {
	Port int    // 0: a free one
	Also string // another address of this host to listen at, beside loopback
}

// StartLocalStack starts LocalStack and returns when it is ready. The caller
// closes it.
func StartLocalStack(ctx context.Context, o LocalStackOptions) (*LocalStackServer, error) {
	python, err := LocalStackPython(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	l := &LocalStackServer{port: cmp.Or(o.Port, ports[0])}
	l.server = server{name: "localstack", stopWith: syscall.SIGTERM, ports: ports, ready: l.isReady}
	if err := l.place(""); err != nil {
		return nil, err
	}
	l.data = filepath.Join(l.directory, "data")
	if err := errors.Join(os.MkdirAll(filepath.Join(l.data, "root"), 0o755), os.MkdirAll(filepath.Join(l.data, "tmp"), 0o755)); err != nil {
		return nil, fmt.Errorf("place LocalStack: %w", err)
	}
	l.program = func() program {
		return program{
			command:   []string{python, "-m", "localstack.runtime.main"},
			directory: l.directory, environment: l.environment(o.Also),
		}
	}
	if err := l.Start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// environment has LocalStack neither ask anybody outside nor write anywhere else.
func (l *LocalStackServer) environment(also string) []string {
	listen := []string{loopback(l.port)}
	if also != "" {
		listen = append(listen, l.At(also))
	}
	return append(os.Environ(),
		"GATEWAY_LISTEN="+strings.Join(listen, ","), "LOCALSTACK_HOST="+loopback(l.port),
		"SERVICES=ec2,s3,sts,iam,ssm", "EAGER_SERVICE_LOADING=0", "DISABLE_EVENTS=1", "SKIP_SSL_CERT_DOWNLOAD=1",
		"DNS_ADDRESS=0", "DISABLE_CORS_CHECKS=1", "PYTHONDONTWRITEBYTECODE=1",
		"LOCALSTACK_VOLUME_DIR="+l.data, "FILESYSTEM_ROOT="+filepath.Join(l.data, "root"),
		"HOME="+l.data, "XDG_CACHE_HOME="+filepath.Join(l.data, "cache"), "TMPDIR="+filepath.Join(l.data, "tmp"),
	)
}

// At is where it listens at an address of this host, host:port.
func (l *LocalStackServer) At(address string) string { return address + ":" + strconv.Itoa(l.port) }

// URL is the endpoint on loopback.
func (l *LocalStackServer) URL() string { return "http://" + loopback(l.port) }

// MakeBucket makes a bucket of S3.
func (l *LocalStackServer) MakeBucket(ctx context.Context, name string) error {
	return httpCall(ctx, http.MethodPut, l.URL()+"/"+name)
}

func (l *LocalStackServer) isReady(ctx context.Context) error {
	return httpCall(ctx, http.MethodGet, l.URL()+"/_localstack/health")
}
