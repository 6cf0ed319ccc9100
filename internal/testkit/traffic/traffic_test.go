package traffic

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestReadHead(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       head
		err        string
	}{
		{name: "length", text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", want: head{status: 200, length: 3}},
		{name: "chunks", text: "HTTP/1.1 429 No\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", want: head{status: 429, length: -1, closing: true}},
		{name: "a request", text: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", want: head{}},
		{name: "cut in the head", text: "HTTP/1.1 200 OK\r\nContent-Le", err: "unexpected EOF"},
		{name: "cut in the body", text: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", err: "unexpected EOF"},
		{name: "no number", text: "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", err: `length "x"`},
		{name: "no chunk", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", err: `chunk "zz`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(test.text))
			got, err := readHead(r)
			if err == nil {
				err = got.skipBody(r)
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("%+v, %v, want %+v", got, err, test.want)
			}
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("left over: %q, %v", rest, err)
			}
		})
	}
}

// Two workers of 50 ms do 40 requests a second at most, and one that finds both at
// work waits.
func TestLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	serving, stop := context.WithCancel(ctx)
	go func() {
		served <- Application{Workers: 2, Work: 50 * time.Millisecond, Body: 10}.Serve(serving, listener)
	}()
	clients := Clients{
		Address: listener.Addr().String(), For: 3 * time.Second, Connections: 500, Seed: 1,
		Streams: []Stream{
			{Name: "patient", Rate: 60, Path: "/", Patience: 20 * time.Second},
			{Name: "hasty", Rate: 20, Path: "/", Patience: 100 * time.Millisecond},
		},
	}
	outcomes, err := clients.Send(ctx)
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	patient, hasty := outcomes[0], outcomes[1]
	if patient.Answered[200] != patient.Due || len(patient.Latencies) != patient.Due || patient.Due < 100 {
		t.Errorf("patient clients: %d due, answered %v", patient.Due, patient.Answered)
	}
	if least := patient.Latencies[0]; least < 25*time.Millisecond {
		t.Errorf("the quickest answer took %s, and the work takes half of 50 ms at least", least)
	}
	if most := patient.Quantile(1); most < 500*time.Millisecond {
		t.Errorf("at twice what can be done the slowest answer took only %s", most)
	}
	if hasty.GivenUp == 0 || hasty.GivenUp+hasty.Answered[200]+hasty.Failed != hasty.Due {
		t.Errorf("hasty clients: %d due, %d given up, %d failed, answered %v", hasty.Due, hasty.GivenUp, hasty.Failed, hasty.Answered)
	}
	if all, some := patient.Within(time.Hour), patient.Within(100*time.Millisecond); all <= some {
		t.Errorf("%.1f a second in an hour, %.1f in 100 ms", all, some)
	}
}

// Each of four connections of a closed load has one request under way at a time.
func TestClosedLoad(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Application{Work: 20 * time.Millisecond}.Serve(serving, listener) }()
	outcomes, err := Clients{
		Address: listener.Addr().String(), For: time.Second, Connections: 4, Closed: true,
		Streams: []Stream{{Name: "all", Path: "/", Patience: 10 * time.Second}},
	}.Send(t.Context())
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	// Four in a second of 10 ms each, at the very most.
	if o := outcomes[0]; o.Due < 4 || o.Due > 400 || o.Answered[200] != o.Due {
		t.Errorf("%d sent, answered %v", o.Due, o.Answered)
	}
}

func TestClientsOfNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	outcomes, err := Clients{
		Address: address, For: 200 * time.Millisecond, Connections: 10,
		Streams: []Stream{{Name: "any", Rate: 100, Path: "/", Patience: time.Second}},
	}.Send(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o := outcomes[0]; o.Due == 0 || o.Failed != o.Due {
		t.Errorf("%d due, %d failed", o.Due, o.Failed)
	}
	if _, err := (Clients{}).Send(t.Context()); err == nil {
		t.Error("clients without anything to send are no error")
	}
}
