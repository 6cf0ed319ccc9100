package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestOnlyOneLeadsAtATime(t *testing.T) {
	t.Parallel()
	server := sharedConsul(t)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	var leading, turns atomic.Int32
	var mu sync.Mutex
	var epochs []uint64
	var all sync.WaitGroup
	for n := range 5 {
		c := newClient(t, quiet(t, server.Addr()))
		all.Go(func() {
			lease, err := c.Stand(ctx, "api", Holder{Cell: fmt.Sprintf("api-%d", n)})
			if err != nil {
				t.Error(err)
				return
			}
			if now := leading.Add(1); now != 1 {
				t.Errorf("%d lead at once", now)
			}
			mu.Lock()
			epochs = append(epochs, lease.Epoch())
			mu.Unlock()
			if err := bumpRecord(ctx, c, lease); err != nil {
				t.Error(err)
			}
			turns.Add(1)
			leading.Add(-1)
			if err := lease.Release(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if turns.Load() != 5 {
		t.Errorf("%d of 5 came to lead", turns.Load())
	}
	for i := 1; i < len(epochs); i++ {
		if epochs[i] <= epochs[i-1] {
			t.Errorf("epochs %v do not rise", epochs)
		}
	}
	record, _, err := sharedClient(t).Record(ctx, "api")
	ok(t, err)
	if record.Count != 5 || record.Epoch != epochs[4] {
		t.Errorf("record %+v, want the count of all five writes and epoch %d", record, epochs[4])
	}
}

// bumpRecord adds one to the count of a record, made where there is none.
func bumpRecord(ctx context.Context, c *Client, lease *Lease) error {
	record, index, err := c.Record(ctx, lease.Service())
	if errors.Is(err, ErrNoRecord) {
		record, err = &Record{}, nil
	}
	if err != nil {
		return err
	}
	record.Count++
	_, err = lease.PutRecord(ctx, *record, index)
	return err
}

func TestTryStandNamesTheHolder(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	_, err := c.Leader(t.Context(), "api")
	wantError(t, err, ErrNoLeader)
	lease := lead(t, c, "api")
	_, err = c.TryStand(t.Context(), "api", Holder{Cell: "api-9"})
	held, isHeld := errors.AsType[*HeldError](err)
	if !isHeld || held.Holder.Cell != "api-1" || held.Holder.PID != os.Getpid() || held.Delayed {
		t.Fatalf("got %v, want it held by api-1", err)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("api-1 (process %d on here", os.Getpid())) {
		t.Errorf("the message does not name the holder: %v", err)
	}
	leader := must(c.Leader(t.Context(), "api"))(t)
	if *leader != lease.Holder() || leader.Epoch != lease.Epoch() {
		t.Errorf("leader %+v, want %+v", *leader, lease.Holder())
	}
}

func TestReleasedLockIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	first := must(c.TryStand(t.Context(), "api", Holder{Cell: "a"}))(t)
	ok(t, first.Check(t.Context()))
	ok(t, first.Release(t.Context()))
	awaitLost(t, first)
	wantError(t, first.Check(t.Context()), ErrFenced)
	wantError(t, first.Put(t.Context(), "law", 1), ErrFenced)
	ok(t, first.Release(t.Context()))
	_, err := c.Leader(t.Context(), "api")
	wantError(t, err, ErrNoLeader)

	second := must(c.stand(t.Context(), "api", Holder{Cell: "b"}))(t) // One attempt, no waiting.
	if second.Epoch() != first.Epoch()+1 {
		t.Errorf("epoch %d after %d", second.Epoch(), first.Epoch())
	}
	ok(t, second.Release(t.Context()))
	sessions, _, err := raw(t, sharedConsul(t)).Session().List(nil)
	ok(t, err)
	for _, s := range sessions {
		if s.ID == first.session || s.ID == second.session {
			t.Errorf("session %s was left behind", s.Name)
		}
	}
}

func TestLeaderLosesTheLock(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*api.Client, *Client, *Lease) error{
		"session destroyed by an operator": func(consul *api.Client, _ *Client, l *Lease) error {
			_, err := consul.Session().Destroy(l.session, nil)
			return err
		},
		"lock deleted": func(consul *api.Client, c *Client, l *Lease) error {
			_, err := consul.KV().Delete(c.key(l.service, keyLock), nil)
			return err
		},
		"not renewed": func(_ *api.Client, _ *Client, l *Lease) error {
			l.stop()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sharedClient(t)
			lease := lead(t, c, "api")
			index := must(lease.PutRecord(t.Context(), Record{Count: 3}, 0))(t)
			ok(t, fault(raw(t, sharedConsul(t)), c, lease))
			next := lead(t, newClient(t, c.cfg), "api")
			if next.Epoch() <= lease.Epoch() {
				t.Errorf("epoch %d after %d", next.Epoch(), lease.Epoch())
			}
			_, err := lease.PutRecord(t.Context(), Record{Count: 4}, index)
			wantError(t, err, ErrFenced)
			wantError(t, lease.Put(t.Context(), "law", 1), ErrFenced)
			wantError(t, lease.Delete(t.Context(), "law"), ErrFenced)
			wantError(t, lease.Check(t.Context()), ErrFenced)
			awaitLost(t, lease)
			record, _, err := c.Record(t.Context(), "api")
			ok(t, err)
			if record.Count != 3 || record.Epoch != lease.Epoch() {
				t.Errorf("record %+v, want what was written while the lock was held", record)
			}
		})
	}
}

// The renewing finds out by itself, without a write that fails.
func TestLossIsSeenWithoutAWrite(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	lease := lead(t, c, "api")
	_, err := raw(t, sharedConsul(t)).KV().Delete(c.key("api", keyLock), nil)
	ok(t, err)
	awaitLost(t, lease)
}

func TestFrozenForLongerThanItsTTLALeaderStopsByItsOwnClock(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	lease := lead(t, c, "api")
	lease.stop() // As if nothing of this process ran for a while.
	<-lease.done
	lease.mu.Lock()
	lease.proven = lease.proven.Add(-testTTL)
	lease.mu.Unlock()
	wantError(t, lease.Put(t.Context(), "law", 1), ErrFenced) // Though Consul would still take it.
	awaitLost(t, lease)
}

func TestEpochOutlivesTheLock(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	for range 3 {
		ok(t, must(c.TryStand(t.Context(), "api", Holder{Cell: "a"}))(t).Release(t.Context()))
	}
	lease := must(c.TryStand(t.Context(), "api", Holder{Cell: "a"}))(t)
	must(lease.PutRecord(t.Context(), Record{}, 0))(t)
	ok(t, lease.Release(t.Context()))
	_, err := raw(t, sharedConsul(t)).KV().Delete(c.key("api", keyLock), nil)
	ok(t, err)
	if after := lead(t, c, "api"); after.Epoch() != 5 {
		t.Errorf("epoch %d after the lock's key was deleted, want 5", after.Epoch())
	}
}

// Between reading the lock and taking it another may have led: its epoch must
// not be used again.
func TestLockIsTakenOnlyAsItWasSeen(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	for _, name := range []string{"no key yet", "a key"} {
		seen := must(c.lock(t.Context(), "api"))(t)
		other := must(c.TryStand(t.Context(), "api", Holder{Cell: "other"}))(t)
		holder := Holder{Cell: "late", Epoch: seen.value.Holder.Epoch + 1}
		session := must(c.session(t.Context(), "api", holder))(t)
		err := c.acquire(t.Context(), "api", session, holder, seen)
		if held, isHeld := errors.AsType[*HeldError](err); !isHeld || held.Holder.Cell != "other" {
			t.Errorf("%s, held: got %v", name, err)
		}
		ok(t, other.Release(t.Context()))
		wantError(t, c.acquire(t.Context(), "api", session, holder, seen), errRace)
		c.destroy(t.Context(), session)
	}
}

func TestNobodyStandsOverWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		key, text string
		want      func(error) bool
	}{
		"a newer record":  {keyRecord, `{"format":9}`, func(err error) bool { return errors.Is(err, ErrNewerFormat) }},
		"a newer lock":    {keyLock, `{"format":9,"holder":{"epoch":3}}`, func(err error) bool { return errors.Is(err, ErrNewerFormat) }},
		"a foreign value": {keyLock, `hello`, isCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sharedClient(t)
			_, err := raw(t, sharedConsul(t)).KV().Put(&api.KVPair{Key: c.key("api", one.key), Value: []byte(one.text)}, nil)
			ok(t, err)
			if _, err := c.TryStand(t.Context(), "api", Holder{}); !one.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func isCorrupt(err error) bool {
	_, is := errors.AsType[*CorruptError](err)
	return is
}

func TestStandEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	lead(t, c, "api")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Stand(ctx, "api", Holder{})
		done <- err
	}()
	time.AfterFunc(200*time.Millisecond, cancel)
	select {
	case err := <-done:
		wantError(t, err, context.Canceled)
	case <-time.After(patient):
		t.Fatal("Stand goes on after its context ended")
	}
}

const (
	leaderAddress = "HOMEOSTAT_TEST_LEADER_ADDRESS"
	leaderPrefix  = "HOMEOSTAT_TEST_LEADER_PREFIX"
)

// leaderMain is the process of a leader that a test freezes: it takes the lock
// and says so, and at each line on its input writes the record and says how that
// went.
func leaderMain() {
	c, err := New(Config{Addresses: []string{os.Getenv(leaderAddress)}, Prefix: os.Getenv(leaderPrefix), SessionTTL: testTTL, LockDelay: 100 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	lease, err := c.TryStand(context.Background(), "api", Holder{Cell: "frozen", PID: os.Getpid()})
	fmt.Println("stood:", err)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		err := lease.Put(context.Background(), "law", in.Text())
		fmt.Println("wrote:", err == nil, errors.Is(err, ErrFenced))
	}
}

func TestFrozenLeaderIsFenced(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	cmd := exec.CommandContext(t.Context(), must(os.Executable())(t))
	cmd.Env = append(os.Environ(), leaderAddress+"="+c.cfg.Addresses[0], leaderPrefix+"="+c.cfg.Prefix)
	stdin := must(cmd.StdinPipe())(t)
	stdout := must(cmd.StdoutPipe())(t)
	ok(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	say := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the leader said %q (%v), want %q", lines.Text(), lines.Err(), want)
		}
	}
	say("stood: <nil>")
	must(fmt.Fprintln(stdin, "one"))(t)
	say("wrote: true false")
	ok(t, cmd.Process.Signal(syscall.SIGSTOP))

	lease := lead(t, c, "api") // Only after the frozen one's session has expired.
	ok(t, lease.Put(t.Context(), "law", "two"))
	ok(t, cmd.Process.Signal(syscall.SIGCONT))
	must(fmt.Fprintln(stdin, "three"))(t)
	say("wrote: false true")
	var law string
	ok(t, c.Law(t.Context(), "api", &law))
	if law != "two" {
		t.Errorf("the value is %q: the frozen leader wrote it", law)
	}
	ok(t, stdin.Close())
	ok(t, cmd.Wait())
}
