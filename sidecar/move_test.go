package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestRunMove(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	environment := append(os.Environ(), "HOMEOSTAT_CELL=db-2")
	if err := runMove(t.Context(), []string{"sh", "-c", "echo moved the rows of $HOMEOSTAT_CELL"}, environment, logger); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "moved the rows of db-2") {
		t.Errorf("the log lacks the output: %s", log.String())
	}
	err := runMove(t.Context(), []string{"sh", "-c", "echo looking; echo no other database >&2; exit 3"}, environment, logger)
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no other database") {
		t.Errorf("got %v", err)
	}
	if err := runMove(t.Context(), []string{filepath.Join(t.TempDir(), "nothing")}, environment, logger); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Stopped, nothing of the command is left, whatever it started.
func TestRunMoveIsStopped(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runMove(ctx, []string{"sh", "-c", "sleep 1000 & echo $! >" + dir + "/child; wait"}, os.Environ(), slog.New(slog.DiscardHandler))
	}()
	var child string
	testkit.Await(t, time.Minute, func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(dir, "child"))
		if child = strings.TrimSpace(string(text)); err == nil && child == "" {
			err = errors.New("not written yet")
		}
		return err
	})
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	testkit.Await(t, time.Minute, func(context.Context) error {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return errors.New("the command's child is left")
		}
		return nil
	})
}

func TestLastBytes(t *testing.T) {
	var l lastBytes
	for range 3 {
		if n, err := l.Write(bytes.Repeat([]byte("x"), moveOutput-1)); n != moveOutput-1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := l.Write([]byte("\nlast\n")); err != nil || len(l.kept) != moveOutput || l.lastLine() != "last" {
		t.Errorf("%d bytes, last line %q", len(l.kept), l.lastLine())
	}
}
