// Traffic runs the two sides of a benchmark as programs of their own, so that each
// can be given its processor: "traffic serve" is the application, "traffic send" the
// clients, described as JSON on the standard input, who write what became of their
// requests to the standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/traffic"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:])
	}
	if len(args) == 1 && args[0] == "send" {
		return send(ctx)
	}
	return errors.New("write traffic serve [flags], or traffic send with the clients on the standard input")
}

// serve listens where its flag says, or else where a sidecar says.
func serve(ctx context.Context, args []string) error {
	var application traffic.Application
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	address := fs.String("listen", net.JoinHostPort(os.Getenv("HOMEOSTAT_ADDRESS"), os.Getenv("HOMEOSTAT_PORT")), "`address` to listen on")
	fs.IntVar(&application.Workers, "workers", 0, "requests worked on side by side; 0 for any number")
	fs.DurationVar(&application.Work, "work", 0, "what a request takes on average")
	fs.IntVar(&application.Body, "body", 100, "`bytes` of an answer")
	messages := traffic.Messages{Sidecar: os.Getenv("HOMEOSTAT_SIDECAR"), Length: 512}
	fs.StringVar(&messages.Name, "name", "", "what the messages' ids begin with")
	fs.StringVar(&messages.Topic, "topic", "", "`topic` to put a message on, by way of the sidecar, for each request served; none by default")
	log := fs.String("log", "", "`file` that gets the ids of the messages that were acknowledged")
	if err := fs.Parse(args); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *address)
	if err != nil {
		return err
	}
	if messages.Topic == "" {
		return application.Serve(ctx, listener)
	}
	file, err := os.Create(*log)
	if err != nil {
		return err
	}
	defer file.Close()
	messages.Log = file
	stop := messages.Start(ctx)
	application.Served = messages.Put
	return errors.Join(application.Serve(ctx, listener), stop())
}

// sent is what send writes.
type sent struct {
	Outcomes []traffic.Outcome `json:"outcomes"`
	// CPU is the process's own time, of all it did.
	CPU time.Duration `json:"cpu"`
	// Lasted is from its first moment to the last answer.
	Lasted time.Duration `json:"lasted"`
}

func send(ctx context.Context) error {
	var clients traffic.Clients
	if err := json.NewDecoder(os.Stdin).Decode(&clients); err != nil {
		return fmt.Errorf("read the clients: %w", err)
	}
	begin := time.Now()
	outcomes, err := clients.Send(ctx)
	if err != nil {
		return err
	}
	lasted := time.Since(begin)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return json.NewEncoder(os.Stdout).Encode(sent{Outcomes: outcomes, CPU: cpu, Lasted: lasted})
}
