package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// S3Server is one server of S3 on loopback. It takes any credentials, and all it
// has is gone when it ends.
type S3Server struct {
	server
	port int
}

// S3 starts a server of S3 that ends with the test.
func S3(tb testing.TB) *S3Server {
	tb.Helper()
	python, err := MotoPython(tb.Context())
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	s, err := startS3(tb.Context(), python)
	if err != nil {
		tb.Fatal(err)
	}
	s.endWith(tb)
	return s
}

func startS3(ctx context.Context, python string) (*S3Server, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &S3Server{port: ports[0]}
	s.server = server{name: "s3", stopWith: syscall.SIGTERM, ports: ports, ready: s.isReady}
	if err := s.place(""); err != nil {
		return nil, err
	}
	s.program = func() program {
		return program{
			command:     []string{python, "-m", "moto.server", "-H", "127.0.0.1", "-p", strconv.Itoa(s.port)},
			directory:   s.directory,
			environment: append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"),
		}
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is the endpoint.
func (s *S3Server) URL() string { return "http://" + loopback(s.port) }

// MakeBucket makes a bucket.
func (s *S3Server) MakeBucket(ctx context.Context, name string) error {
	return httpCall(ctx, http.MethodPut, s.URL()+"/"+name)
}

func (s *S3Server) isReady(ctx context.Context) error {
	return httpCall(ctx, http.MethodGet, s.URL()+"/")
}

// httpCall asks for something and wants to be answered that it is well.
func httpCall(ctx context.Context, method, url string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := r.Body.Close(); err != nil || r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, req.URL, r.Status)
	}
	return nil
}
