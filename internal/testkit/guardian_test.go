package testkit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// abandonVariable makes this test binary a program that starts a server and
// then ends in the way it names, without ending the server.
const abandonVariable = "HOMEOSTAT_TESTKIT_ABANDON"

func TestMain(m *testing.M) {
	switch how := os.Getenv(abandonVariable); how {
	case "":
		Main(m)
	case "machines", "booting", "ending":
		panic(abandonMachines(how))
	case "place":
		panic(abandonPlace())
	default:
		abandon(how)
	}
}

// abandon starts a server with a child of its own, prints their process ids,
// the guardian's and the directory, and ends, or waits to be killed.
func abandon(how string) {
	g, err := guard()
	if err != nil {
		panic(err)
	}
	child := filepath.Join(g.directory, "child")
	p, err := program{
		name:      "sleeper",
		command:   []string{"sh", "-c", `sleep 600 & echo $! >"$0.new"; mv "$0.new" "$0"; wait`, child},
		directory: g.directory,
		log:       filepath.Join(g.directory, "sleeper.log"),
	}.start()
	if err != nil {
		panic(err)
	}
	for {
		if pid, err := os.ReadFile(child); err == nil {
			fmt.Printf("%d %d %s %s\n", p.pid, g.process.Pid, g.directory, pid)
			break
		}
		time.Sleep(pollInterval)
	}
	switch how {
	case "panic":
		panic("as a test may")
	case "exit":
		os.Exit(1)
	default:
		time.Sleep(time.Hour) // killed before
	}
}

func TestNothingIsLeftHoweverTheProcessEnds(t *testing.T) {
	for _, how := range []string{"panic", "exit", "kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), abandonVariable+"="+how)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			var server, guardian, child int
			var directory string
			if _, err := fmt.Sscanf(line, "%d %d %s %d", &server, &guardian, &directory, &child); err != nil {
				t.Fatalf("read %q: %v", line, err)
			}
			if how == "kill" {
				for _, pid := range []int{server, guardian, child} {
					if processState(t, pid) == "" {
						t.Errorf("process %d is gone before anything was killed", pid)
					}
				}
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the program ended without an error")
			}
			awaitGone(t, directory, server, guardian, child)
		})
	}
}

// awaitGone waits until the processes and the directory are gone.
func awaitGone(t *testing.T, directory string, pids ...int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var left []string
		for _, pid := range pids {
			if state := processState(t, pid); state != "" && state != "Z" {
				left = append(left, fmt.Sprintf("process %d in state %s", pid, state))
			}
		}
		if _, err := os.Stat(directory); err == nil {
			left = append(left, directory)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v", left)
		}
		time.Sleep(pollInterval)
	}
}
