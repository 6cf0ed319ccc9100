package spool

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	benchRounds = flag.Int("rounds", 15, "how many alternating rounds the benchmark measures")
	benchTime   = flag.Duration("round", time.Second, "how long each measurement of a round takes")
	benchDir    = flag.String("spool-dir", "", "where the benchmark writes; a temporary folder if empty")
)

const benchBytes = 512

// BenchmarkSpool measures durable messages a second, beside what the disk itself
// does in the same run: a write and an fsync for each message, and for each batch as
// large as what one writer's turn brings from 64.
func BenchmarkSpool(b *testing.B) {
	for range b.N {
		folder := *benchDir
		if folder == "" {
			folder = b.TempDir()
		}
		rates := map[string][]float64{}
		for range *benchRounds {
			raw := rawWrites(b, folder, 1)
			limit := rawWrites(b, folder, 64)
			one := spoolWrites(b, folder, 1)
			many := spoolWrites(b, folder, 64)
			for name, v := range map[string]float64{
				"raw write+fsync of 1": raw, "raw write+fsync of 64": limit, "spool, 1 writer": one, "spool, 64 writers": many,
				"64 writers / raw of 1": many / raw, "64 writers / raw of 64": many / limit, "1 writer / raw of 1": one / raw,
			} {
				rates[name] = append(rates[name], v)
			}
		}
		for _, name := range []string{
			"raw write+fsync of 1", "raw write+fsync of 64", "spool, 1 writer", "spool, 64 writers",
			"1 writer / raw of 1", "64 writers / raw of 1", "64 writers / raw of 64",
		} {
			all := slices.Sorted(slices.Values(rates[name]))
			fmt.Printf("%-24s median %10.2f   lowest %10.2f   highest %10.2f   (%d rounds)\n", name, all[len(all)/2], all[0], all[len(all)-1], len(all))
		}
	}
}

// rawWrites is how many messages a second are written and synced in batches of n.
func rawWrites(b *testing.B, folder string, n int) float64 {
	path := filepath.Join(folder, "raw")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
		if err := os.Remove(path); err != nil {
			b.Error(err)
		}
	}()
	data := make([]byte, n*(benchBytes+frameHead))
	began, messages := time.Now(), 0
	for time.Since(began) < *benchTime {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := syncData(f); err != nil {
			b.Fatal(err)
		}
		messages += n
	}
	return float64(messages) / time.Since(began).Seconds()
}

// spoolWrites is how many messages a second a log takes from n writers.
func spoolWrites(b *testing.B, folder string, n int) float64 {
	dir := filepath.Join(folder, "spool")
	l, _, err := openLog(logConfig{dir: dir, segmentBytes: 16 << 20, maxBytes: 8 << 30, disk: realDisk{}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			b.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	}()
	var messages atomic.Int64
	var writers sync.WaitGroup
	began := time.Now()
	for range n {
		writers.Go(func() {
			payload := [][]byte{make([]byte, benchBytes)}
			for time.Since(began) < *benchTime {
				if err := l.append(context.Background(), payload); err != nil {
					b.Error(err)
					return
				}
				messages.Add(1)
			}
		})
	}
	writers.Wait()
	return float64(messages.Load()) / time.Since(began).Seconds()
}
