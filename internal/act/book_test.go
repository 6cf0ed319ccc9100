package act

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// doubling is 30 s doubling to 10 min, and one at a time after three.
var doubling = Backoff{Min: 30 * time.Second, Max: 10 * time.Minute, TrialAfter: 3}

func TestBookMeasuresEachBirth(t *testing.T) {
	var b Book
	if _, known := b.Median(); known {
		t.Error("a median of nothing")
	}
	for i := range 40 { // 1 s to 40 s; the first eight are forgotten
		k := guard.Key(fmt.Sprint(i))
		b.Ordered(k, start)
		if took, ok := b.Landed(k, start.Add(time.Duration(i+1)*time.Second)); !ok || took != time.Duration(i+1)*time.Second {
			t.Fatal(took, ok)
		}
	}
	if len(b.Births) != 32 {
		t.Errorf("%d births", len(b.Births))
	}
	if m, _ := b.Median(); m != 24500*time.Millisecond {
		t.Errorf("median %s", m)
	}
	if _, ok := b.Landed("stranger", start); ok {
		t.Error("a birth that nobody ordered was measured")
	}
	b.Ordered("back", start)
	if took, _ := b.Landed("back", start.Add(-time.Hour)); took != 0 {
		t.Errorf("a birth of %s", took)
	}
}

func TestBookBacksOff(t *testing.T) {
	var b Book
	now := start
	for i, seconds := range []int{30, 60, 120, 240, 480, 600, 600} {
		want := time.Duration(seconds) * time.Second
		k := guard.Key(fmt.Sprint(i))
		b.Ordered(k, now)
		b.Failed(k, "quota", now, doubling, 0)
		if n, in := b.Allowed(5, now, doubling); n != 0 || in != want || b.Wait(now) != in {
			t.Errorf("after %d failures: %d allowed, wait %s, want %s", i+1, n, in, want)
		}
		now = b.Until
		n, _ := b.Allowed(5, now, doubling)
		if trial := i >= 2; trial && n != 1 || !trial && n != 5 {
			t.Errorf("after %d failures and the wait: %d allowed", i+1, n)
		}
	}
	b.Ordered("trial", now)
	if n, in := b.Allowed(5, now, doubling); n != 0 || in != 0 {
		t.Errorf("%d beside a trial, wait %s", n, in)
	}
	b.Landed("trial", now)
	if n, _ := b.Allowed(5, now, doubling); n != 5 || b.Failures != 0 {
		t.Errorf("%d allowed after a success", n)
	}
}

func TestBookCountsARoundOnce(t *testing.T) {
	var b Book
	for i := range 5 {
		b.Ordered(guard.Key(fmt.Sprint(i)), start)
	}
	for i := range 5 {
		b.Failed(guard.Key(fmt.Sprint(i)), "quota", start.Add(time.Duration(i+1)*time.Second), doubling, 0)
	}
	if b.Failures != 1 || !b.Until.Equal(start.Add(31*time.Second)) {
		t.Errorf("%d failures, until %s", b.Failures, b.Until)
	}
}

func TestBookForgetsOtherCauses(t *testing.T) {
	var b Book
	for i, cause := range []string{"quota", "quota", "image", "quota"} {
		now := start.Add(time.Duration(i) * time.Hour)
		b.Ordered("0", now)
		b.Failed("0", cause, now, doubling, 0)
	}
	if b.Alike != 1 || b.Failures != 4 {
		t.Errorf("%d alike of %d", b.Alike, b.Failures)
	}
}

func TestBookJitter(t *testing.T) {
	for jitter, want := range map[float64]time.Duration{0: 30 * time.Second, 0.5: 33750 * time.Millisecond, 7: 37500 * time.Millisecond, -1: 30 * time.Second} {
		if got := doubling.after(1, jitter); got != want {
			t.Errorf("jitter %v: %s, want %s", jitter, got, want)
		}
	}
	if got := doubling.after(5000, 0); got != 10*time.Minute {
		t.Errorf("after 5000 failures: %s", got)
	}
}

func TestBookSurvivesJSON(t *testing.T) {
	var b, c Book
	b.Ordered("a", start)
	b.Ordered("b", start.Add(time.Second))
	b.Landed("a", start.Add(time.Minute))
	b.Ordered("c", start.Add(time.Minute))
	b.Failed("c", "quota", start.Add(2*time.Minute), doubling, 0)
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, c); diff != "" {
		t.Error(diff)
	}
	if _, open := c.Open["b"]; len(c.Open) != 1 || !open {
		t.Errorf("open: %v", c.Open)
	}
	c.Withdrawn("b")
	if len(c.Open) != 0 {
		t.Error("a withdrawn birth is still open")
	}
	if empty, err := json.Marshal(Book{}); err != nil || string(empty) != "{}" {
		t.Errorf("an empty book is %s, %v", empty, err)
	}
}

func TestOnlyWhatIsOrderedIsOpen(t *testing.T) {
	var b Book
	for _, k := range keys("1", "2", "3") {
		b.Ordered(k, time.Unix(0, 0))
	}
	b.Only(keys("2", "4"))
	if _, open := b.Open["2"]; len(b.Open) != 1 || !open {
		t.Errorf("open: %v, want 2 alone", b.Open)
	}
}
